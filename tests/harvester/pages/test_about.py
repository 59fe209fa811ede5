"""The pages that explain: what they say is what the product does."""

from __future__ import annotations

import html as entities
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from pytest_django.live_server_helper import LiveServer

from harvester.api.problems import PROBLEM_TYPES
from harvester.api.v1 import api
from harvester.models import Run
from harvester.pages.reference import operations, shapes
from harvester.pipeline.score import WEIGHTS
from harvester.queries.ranks import HALF_LIFE_HOURS
from tests import services
from tests.factories import PASSWORD, make_artifacts, make_source, make_staff
from tests.harvester.pages.reading import elements, text_of

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("address", ["/about/score", "/about/api"])
def test_an_explanation_asks_the_database_nothing(client: Client, django_assert_num_queries: Any, address: str) -> None:
    client.get("/about/score")  # the sample flag is kept for a minute
    with django_assert_num_queries(0):
        assert client.get(address).status_code == 200


def test_the_formula_shows_todays_weights(client: Client) -> None:
    text = text_of(client.get("/about/score").content)
    for name, weight in WEIGHTS.items():
        assert f"{weight:.2f} × {name}" in text
    assert f"({HALF_LIFE_HOURS} hours)" in text
    assert "85 or more" in text


def test_every_kind_of_error_has_the_anchor_its_type_links_to(client: Client) -> None:
    html = client.get("/about/api").content
    for problem in PROBLEM_TYPES:
        path, _, anchor = problem.address.partition("#")
        assert path == "/about/api"
        (row,) = elements(html, "tr", id=anchor)
        assert str(problem.status) in row.text
        assert problem.meaning in row.text


def test_every_operation_is_there_with_price_parameters_and_example(client: Client) -> None:
    html = client.get("/about/api", headers={"host": "localhost"}).content
    text = text_of(html)
    for operation in operations(api.get_openapi_schema(), "http://localhost"):
        assert elements(html, "h3", id=operation.name)[0].text == f"{operation.method} {operation.path}"
        calls = f", at most {operation.calls}" if operation.calls else ""
        assert f"Price {operation.cost}{calls}, scope {operation.scope}." in text
        assert operation.example in text
        for parameter in operation.parameters:
            assert parameter.meaning in text


def test_every_link_within_the_page_leads_somewhere(client: Client) -> None:
    html = client.get("/about/api").content
    anchors = {element.attributes["id"] for element in elements(html) if "id" in element.attributes}
    inside = {link.attributes["href"][1:] for link in elements(html, "a") if link.attributes["href"].startswith("#")}
    assert inside <= anchors


def test_every_shape_that_is_spoken_is_described() -> None:
    document = api.get_openapi_schema()
    described = {shape.name for shape in shapes(document)}
    spoken = {field.type.shape for shape in shapes(document) for field in shape.fields}
    spoken |= {answer.body.shape for operation in operations(document, "") for answer in operation.answers}
    assert spoken - {""} <= described


def test_the_try_out_page_and_the_document_are_there(client: Client) -> None:
    links = {link.attributes["href"] for link in elements(client.get("/about/api").content, "a", class_="button")}
    assert links == {"/api/v1/docs", "/api/v1/openapi.json"}
    for link in links:
        assert client.get(link).status_code == 200


def listing(html: bytes, name: str) -> str:
    (code,) = re.findall(rf'<pre id="{name}"><code>(.*?)</code></pre>', html.decode(), flags=re.DOTALL)
    return entities.unescape(code)


def test_the_python_example_walks_all_pages(client: Client, live_server: LiveServer) -> None:
    make_artifacts(make_source(), 120, title="Found")
    host = live_server.url.removeprefix("http://")
    script = listing(client.get("/about/api", headers={"host": host}).content, "python")
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert told.stdout.count("Found") == 120


def test_the_curl_example_signs_in_and_asks_for_a_harvest(
    client: Client, live_server: LiveServer, tmp_path: Path
) -> None:
    if shutil.which("curl") is None and not services.REQUIRED:
        pytest.skip("there is no curl on this machine")
    make_staff("anna")
    host = live_server.url.removeprefix("http://")
    script = listing(client.get("/about/api", headers={"host": host}).content, "sign-in")
    script = script.replace("user=you password=yours", f"user=anna password='{PASSWORD}'")
    told = subprocess.run(
        ["bash", "-euc", script], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True
    )
    run = Run.objects.get()
    assert json.loads(told.stdout)["id"] == run.pk
    assert run.trigger == "api"
