"""The OpenAPI document: what ninja derives from the signatures, completed by what all operations share."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any, Literal

from ninja import NinjaAPI
from ninja.openapi.schema import OpenAPISchema
from ninja.operation import Operation

from harvester.api import problems
from harvester.api.problems import ProblemType
from harvester.api.schemas import LimitProblem, Problem

Json = dict[str, Any]

_READING = (
    problems.KEY_NOT_VERIFIED,
    problems.NOT_ACCEPTABLE,
    problems.INVALID,
    problems.TOO_MANY_REQUESTS,
    problems.BROKEN,
)
_WRITING = (
    problems.MALFORMED,
    problems.SIGN_IN_REQUIRED,
    problems.NOT_PERMITTED,
    problems.LENGTH_REQUIRED,
    problems.TOO_LARGE,
    problems.UNSUPPORTED_MEDIA_TYPE,
    *_READING,
)
_SECURITY_SCHEMES: Json = {
    "key": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "A key that was given to you."},
    "bearer": {"type": "http", "scheme": "bearer", "description": "The same key, as a bearer token."},
    "session": {
        "type": "apiKey",
        "in": "cookie",
        "name": "sessionid",
        "description": "Signed in on the pages; writing also takes the CSRF token in the header X-CSRFToken.",
    },
}
_LIMIT_HEADERS = {
    "Retry-After": "Seconds until the next request is welcome.",
    "RateLimit": "What is left and when it is renewed.",
    "RateLimit-Policy": "The limit that was met.",
    "X-RateLimit-Limit": "Requests a minute.",
    "X-RateLimit-Remaining": "Requests left.",
    "X-RateLimit-Reset": "When it is renewed, in Unix seconds.",
}


def documented(
    *,
    cost: int,
    example: str,
    scope: Literal["read", "write"] = "read",
    body: Mapping[str, Any] | None = None,
    calls: str = "",
) -> Json:
    """What an operation adds to its document: its price in requests, the scope a key needs, and a request as example.

    ``calls`` is a limit of its own beside the tier's, such as ``6/m``. An operation of another price than 1, or with
    such a limit, bears ``@rate_limit`` with the same; a test compares. The documentation shows the example and a test
    sends it.
    """
    request: Json = {"path": example} | ({"body": dict(body)} if body is not None else {})
    return {"x-cost": cost, "x-scope": scope, "x-example": request} | ({"x-calls": calls} if calls else {})


class DocumentedApi(NinjaAPI):
    """NinjaAPI whose document tells the whole truth: errors, headers, conditional requests and security too."""

    def get_openapi_operation_id(self, operation: Operation) -> str:
        return operation.view_func.__name__

    def get_openapi_schema(self, **where: Any) -> OpenAPISchema:  # noqa: ARG002 - ninja says where, and it is one place
        """The document, made once."""
        return self._document

    @cached_property
    def _document(self) -> OpenAPISchema:
        document = super().get_openapi_schema()
        components = document["components"]
        components["schemas"] |= {
            shape.__name__: _schema(shape, components["schemas"]) for shape in (Problem, LimitProblem)
        }
        components["securitySchemes"] = _SECURITY_SCHEMES
        components["responses"] = {kind.slug: _problem(kind) for kind in problems.PROBLEM_TYPES}
        for path, operations in document["paths"].items():
            for method, operation in operations.items():
                _complete(operation, reads=method == "get", has_id="{" in path)
        return document


def _complete(operation: Json, *, reads: bool, has_id: bool) -> None:
    for parameter in operation["parameters"]:
        parameter["schema"] = _never_null(parameter["schema"])
    kinds = list(_READING if reads else _WRITING) + ([problems.NOT_FOUND] if has_id else [])
    if reads:
        operation["parameters"].append(
            {
                "in": "header",
                "name": "If-None-Match",
                "required": False,
                "schema": {"type": "string"},
                "description": "The ETag you hold; if it still holds, the answer is 304.",
            }
        )
        is_list = any(parameter["name"] == "cursor" for parameter in operation["parameters"])
        operation["responses"][200]["headers"] = _headers(
            {"ETag": "Of this body; send it back in If-None-Match."}, required=True
        ) | _headers({"Link": "The next page, as rel=next; absent on the last one."} if is_list else {})
        operation["responses"][304] = {
            "description": "What you hold is still right. It costs the same as a 200.",
            "headers": _headers({"ETag": "As sent."}, required=True),
        }
        operation["security"] = [{}, {"key": []}, {"bearer": []}]
    else:
        operation["responses"][202]["headers"] = _headers({"Location": "The run."}, required=True)
        operation["security"] = [{"session": []}, {"key": []}, {"bearer": []}]
    # The server in front says this in its own words, before it comes to us.
    operation["responses"][414] = {"description": "The address is longer than the server takes."}
    for status, reference in _references(kinds).items():
        operation["responses"][status] = reference
    operation["responses"] = dict(sorted(operation["responses"].items()))


def _references(kinds: list[ProblemType]) -> dict[int, Json]:
    """One response a status: where two kinds share one, the first stands for both, since their shape is the same."""
    references: dict[int, Json] = {}
    for kind in kinds:
        references.setdefault(kind.status, {"$ref": f"#/components/responses/{kind.slug}"})
    return references


def _problem(kind: ProblemType) -> Json:
    example = {
        "type": kind.address,
        "title": kind.title,
        "status": kind.status,
        "detail": kind.meaning,
        "instance": "6f1c0e5a9d3b4c1e8a7f2b6d4e9c0a15",
        "errors": (
            [{"field": "limit", "in": "query", "message": "Input should be less than or equal to 100"}]
            if kind is problems.INVALID
            else []
        ),
    }
    shape = "Problem"
    if kind is problems.TOO_MANY_REQUESTS:
        shape = "LimitProblem"
        example |= {"limit": 100, "retry_after": 1}
    response: Json = {
        "description": f"{kind.title}. {kind.meaning}",
        "content": {problems.MEDIA_TYPE: {"schema": {"$ref": f"#/components/schemas/{shape}"}, "example": example}},
    }
    if kind is problems.TOO_MANY_REQUESTS:
        response["headers"] = _headers(_LIMIT_HEADERS)
    elif kind.status == 401:
        response["headers"] = _headers({"WWW-Authenticate": "How to say who you are."}, required=True)
    return response


def _schema(shape: type[Problem], schemas: Json) -> Json:
    schema: Json = shape.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas.update(schema.pop("$defs"))
    return schema


def _headers(meanings: Mapping[str, str], *, required: bool = False) -> Json:
    return {
        name: {"description": meaning, "required": required, "schema": {"type": "string"}}
        for name, meaning in meanings.items()
    }


def _never_null(schema: Json) -> Json:
    """A parameter that is not given is absent; there is no way to write null in a query string."""
    choices: list[Json] = [choice for choice in schema.get("anyOf", ()) if choice != {"type": "null"}]
    if len(choices) != 1:
        return schema
    kept: Json = {name: value for name, value in schema.items() if name != "anyOf"}
    return kept | choices[0]
