"""Requests made up from the OpenAPI document: no 5xx, no answer the document does not foresee."""

from __future__ import annotations

import json

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    allow_header_conformance,
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from harvester.api.v1 import api
from harvester.config.wsgi import application
from harvester.models import RunStatus, SourceState
from tests.factories import (
    make_artifact,
    make_artifacts,
    make_identifier,
    make_run,
    make_same_work,
    make_source,
    make_staff,
)
from tests.harvester.api.clients import CSRF_TOKEN, session_cookies

pytestmark = [pytest.mark.schema, pytest.mark.django_db]

# Not positive_data_acceptance: no schema can say which cursors we signed and which sources there are.
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    negative_data_rejection,
    unsupported_method,
    allow_header_conformance,
]
KNOWN_ID = 1_000_000_000  # far from what the database gives out
EXAMPLES = 40  # per operation, beside those that cover each boundary of the document


schema = schemathesis.openapi.from_dict(json.loads(json.dumps(api.get_openapi_schema())))
schema.app = application
schema.config.generation.with_security_parameters = False  # keys are sent by the tests of the manner

bounded = settings(
    max_examples=EXAMPLES, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck), database=None
)


@pytest.fixture
def world(kept_connection: None) -> None:
    """A few of everything, and one of each with an id that is known beforehand."""
    sources = [make_source("arXiv"), make_source("Blög 日本 🚀"), make_source("Paused", state=SourceState.PAUSED)]
    for source in sources:
        make_artifacts(source, 5, title="Ünïcode \u202e <script> 🚀", text="\u0001 é")
    works = [make_artifact(source, score=score) for source, score in zip(sources, (None, 0, 100), strict=True)]
    known = make_artifact(pk=KNOWN_ID)
    make_same_work([*works, known])
    make_identifier(known, "10.5555/ü")
    for run_id in (None, None, KNOWN_ID):
        make_run(
            pk=run_id,
            status=RunStatus.SUCCEEDED,
            parameters={"source": "arXiv", "limit": 5},
            stage_reports=[{"stage": "ingest", "processed": 3, "failed": 0, "duration_seconds": 0.25}],
            source_reports=[{"name": "Blög", "fetched": 3, "created": 3, "updated": 0, "errors": 0}],
        )


@schema.parametrize()
@bounded
@pytest.mark.usefixtures("world")
def test_nobody_meets_only_what_is_documented(case: schemathesis.Case) -> None:
    case.call_and_validate(checks=CHECKS)


@pytest.fixture
def cookies(db: None) -> dict[str, str]:
    return session_cookies(make_staff())


@schema.parametrize()
@bounded
@pytest.mark.usefixtures("world")
def test_staff_meets_only_what_is_documented(case: schemathesis.Case, cookies: dict[str, str]) -> None:
    case.call_and_validate(checks=CHECKS, cookies=cookies, headers={"X-CSRFToken": CSRF_TOKEN})


@schema.include(method="GET").parametrize()
@bounded
@pytest.mark.usefixtures("world")
def test_what_is_there_is_shown_as_documented(case: schemathesis.Case) -> None:
    """Made-up requests seldom meet an id that exists, and never a cursor of ours."""
    case.path_parameters = dict.fromkeys(case.path_parameters or (), KNOWN_ID)
    case.query = {name: value for name, value in (case.query or {}).items() if name != "cursor"}
    case.call_and_validate(checks=[check for check in CHECKS if check is not negative_data_rejection])


def test_such_requests_reach_what_they_should(world: None, cookies: dict[str, str]) -> None:
    """The tests above would be green too if everything was refused."""
    case = schema["/api/v1/harvest"]["POST"].Case(body={"stage": "score"}, media_type="application/json")
    assert case.call(cookies=cookies, headers={"X-CSRFToken": CSRF_TOKEN}).status_code == 202
    for path in ("/api/v1/artifacts/{artifact_id}", "/api/v1/artifacts/{artifact_id}/relationships"):
        assert schema[path]["GET"].Case(path_parameters={"artifact_id": KNOWN_ID}).call().status_code == 200
