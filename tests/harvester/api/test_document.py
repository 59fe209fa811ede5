"""The OpenAPI document: complete, true, and its examples work."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import jsonschema_rs
import pytest
from django.test import Client
from django.utils import timezone

from harvester.api.v1 import api
from harvester.pipeline.run import STAGES
from tests.factories import make_artifact, make_run, make_same_work, make_source
from tests.harvester.api.clients import ApiClient, staff

Json = dict[str, Any]

DOCUMENT: Json = json.loads(json.dumps(api.get_openapi_schema()))
OPERATIONS: list[tuple[str, str, Json]] = [
    (method, path, operation)
    for path, operations in DOCUMENT["paths"].items()
    for method, operation in operations.items()
]
each_operation = pytest.mark.parametrize(
    ("method", "path", "operation"), OPERATIONS, ids=[operation["operationId"] for *_, operation in OPERATIONS]
)

CONTRACT = {
    ("get", "/api/v1/discoveries", 1, "read"),
    ("get", "/api/v1/artifacts/{artifact_id}", 1, "read"),
    ("get", "/api/v1/artifacts/{artifact_id}/relationships", 1, "read"),
    ("get", "/api/v1/sources", 1, "read"),
    ("get", "/api/v1/runs", 1, "read"),
    ("get", "/api/v1/runs/{run_id}", 1, "read"),
    ("post", "/api/v1/harvest", 10, "write"),
}


def resolved(part: Json) -> Json:
    """What a reference leads to."""
    while "$ref" in part:
        target: Json = DOCUMENT
        for name in part["$ref"].removeprefix("#/").split("/"):
            target = target[name]
        part = target
    return part


def validator(schema: Json) -> jsonschema_rs.Validator:
    return jsonschema_rs.validator_for(schema | {"components": DOCUMENT["components"]})


def test_every_operation_of_the_contract_is_there_at_its_price() -> None:
    assert {(method, path, op["x-cost"], op["x-scope"]) for method, path, op in OPERATIONS} == CONTRACT


@each_operation
def test_an_operation_says_what_it_is_for(method: str, path: str, operation: Json) -> None:
    assert operation["summary"]
    assert operation["description"]
    assert operation["tags"]
    assert all(parameter.get("description") or parameter["in"] == "path" for parameter in operation["parameters"])


@each_operation
def test_an_operation_says_how_it_can_fail(method: str, path: str, operation: Json) -> None:
    expected = {"401", "406", "414", "422", "429", "500"}
    expected |= {"200", "304"} if method == "get" else {"202", "400", "403", "411", "413", "415"}
    expected |= {"404"} if "{" in path else set()
    assert set(operation["responses"]) == expected
    for status, reference in operation["responses"].items():
        if status not in {"200", "202", "304", "414"}:
            assert set(resolved(reference)["content"]) == {"application/problem+json"}


@each_operation
def test_an_operation_says_which_headers_it_answers_with(method: str, path: str, operation: Json) -> None:
    responses = operation["responses"]
    if method == "get":
        assert {"ETag"} <= set(responses["200"]["headers"])
        assert set(responses["304"]["headers"]) == {"ETag"}
        assert "If-None-Match" in [parameter["name"] for parameter in operation["parameters"]]
        is_list = "next" in resolved(responses["200"]["content"]["application/json"]["schema"])["properties"]
        assert ("Link" in responses["200"]["headers"]) == is_list
    else:
        assert set(responses["202"]["headers"]) == {"Location"}
    assert "Retry-After" in resolved(responses["429"])["headers"]
    assert "WWW-Authenticate" in resolved(responses["401"])["headers"]


@each_operation
def test_a_parameter_cannot_be_null(method: str, path: str, operation: Json) -> None:
    assert [p for p in operation["parameters"] if "null" in json.dumps(p["schema"])] == []


@pytest.mark.django_db
@each_operation
def test_the_example_of_an_operation_works(method: str, path: str, operation: Json) -> None:
    source = make_source("arXiv")
    artifact = make_artifact(source, pk=1, kind="preprint", score=90, published_at=timezone.now() - timedelta(hours=1))
    make_same_work([artifact, make_artifact(pk=2)])
    if method == "get":
        make_run(pk=1)
    example = operation["x-example"]
    client = ApiClient() if method == "get" else staff()
    response = client.get(example["path"]) if method == "get" else client.post(example["path"], example["body"])
    documented = operation["responses"][str(response.status_code)]
    assert response.status_code in (200, 202)
    body = json.loads(response.content)
    assert list(validator(documented["content"]["application/json"]["schema"]).iter_errors(body)) == []
    if "results" in body:
        assert body["results"]


def test_every_example_of_a_problem_is_one() -> None:
    for response in DOCUMENT["components"]["responses"].values():
        content = response["content"]["application/problem+json"]
        assert list(validator(content["schema"]).iter_errors(content["example"])) == []


def test_everything_referred_to_is_there() -> None:
    def references(part: object) -> list[str]:
        if isinstance(part, dict):
            here = [part["$ref"]] if isinstance(part.get("$ref"), str) else []
            return here + [found for value in part.values() for found in references(value)]
        return [found for value in part for found in references(value)] if isinstance(part, list) else []

    assert all(resolved({"$ref": reference}) for reference in references(DOCUMENT))


def test_the_stages_that_may_be_asked_for_are_named() -> None:
    schema = DOCUMENT["components"]["schemas"]["HarvestRequest"]["properties"]["stage"]
    assert {"type": "string", "enum": list(STAGES)} in schema["anyOf"]


def test_the_document_is_served() -> None:
    response = ApiClient().get("/openapi.json")
    assert response.status_code == 200
    assert json.loads(response.content) == DOCUMENT


def test_the_docs_page_holds_no_script_of_its_own_and_names_its_language(client: Client) -> None:
    response = client.get("/api/v1/docs")
    page = response.content.decode()
    assert response["Content-Type"] == "text/html; charset=utf-8"
    assert '<html lang="en">' in page
    assert page.count("<script") == page.count('<script src="/static/ninja/') + page.count('type="application/json"')
    assert "style=" not in page
    assert "<style" not in page
    assert '"url": "/api/v1/openapi.json"' in page
    assert "'unsafe" not in response["Content-Security-Policy"]
