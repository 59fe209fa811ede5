"""Whatever a client claims in Content-Type, text is UTF-8 and nothing breaks."""

from __future__ import annotations

import json
from io import BytesIO
from typing import Any
from wsgiref.util import setup_testing_defaults

import pytest
from django.core.handlers.asgi import ASGIRequest
from django.core.handlers.wsgi import WSGIRequest

from harvester.config.asgi import application as asgi_application
from harvester.config.wsgi import application as wsgi_application

STRANGE = [
    "text/plain; charset=hex",
    "text/plain; charset=undefined",
    "text/plain; charset=utf-16",
    "text/plain; charset=klingon",
    "text/plain; x*=klingon'en'%ff",
    ";;;",
    "\xff",
]


@pytest.mark.usefixtures("kept_connection")
@pytest.mark.parametrize("content_type", STRANGE)
def test_a_strange_content_type_breaks_nothing(content_type: str) -> None:
    environ: dict[str, Any] = {
        "PATH_INFO": "/api/v1/discoveries",
        "QUERY_STRING": "limit=%C3%BC",
        "CONTENT_TYPE": content_type,
        "HTTP_HOST": "localhost",
    }
    setup_testing_defaults(environ)
    statuses: list[str] = []
    body = b"".join(wsgi_application(environ, lambda status, _: statuses.append(status)))
    assert statuses == ["422 Unprocessable Entity"]
    assert json.loads(body)["errors"][0]["field"] == "limit"


@pytest.mark.parametrize("content_type", STRANGE)
def test_query_strings_are_utf_8(content_type: str) -> None:
    environ: dict[str, Any] = {"QUERY_STRING": "name=%C3%BC", "CONTENT_TYPE": content_type}
    setup_testing_defaults(environ)
    scope: dict[str, Any] = {
        "path": "/",
        "method": "GET",
        "query_string": b"name=%C3%BC",
        "headers": [(b"content-type", content_type.encode("latin-1"))],
    }
    requests: list[WSGIRequest | ASGIRequest] = [
        wsgi_application.request_class(environ),
        asgi_application.request_class(scope, BytesIO()),
    ]
    assert [request.GET["name"] for request in requests] == ["ü", "ü"]


def test_a_usual_content_type_is_read_as_ever() -> None:
    environ: dict[str, Any] = {"CONTENT_TYPE": "Application/JSON; charset=utf-8"}
    setup_testing_defaults(environ)
    request = wsgi_application.request_class(environ)
    assert (request.content_type, request.content_params) == ("application/json", {"charset": "utf-8"})
