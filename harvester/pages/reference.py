"""The API's own document, turned into what a page can list: operations, their parameters, and the shapes they speak."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ratelimit import Limit

Json = Mapping[str, Any]

_REFERENCE = "#/components/schemas/"
_METHODS = ("get", "post", "put", "patch", "delete")


@dataclass(frozen=True, slots=True)
class Type:
    """A type in words. ``shape`` is the name of the shape it is made of, to be linked by its ``title``, or empty."""

    before: str = ""
    shape: str = ""
    title: str = ""
    after: str = ""


@dataclass(frozen=True, slots=True)
class Field:
    """A parameter of an operation or a field of a shape. ``place`` is where a parameter stands, else empty."""

    name: str
    type: Type
    meaning: str
    is_required: bool
    place: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """``problem`` is the slug of the kind of error it is, or empty; ``body`` what it carries where it is none."""

    status: str
    problem: str = ""
    body: Type = Type()


@dataclass(frozen=True, slots=True)
class Operation:
    """``cost`` in requests; ``calls``: a limit of its own in words, or empty; ``example``: for a shell."""

    name: str
    method: str
    path: str
    summary: str
    description: str
    cost: int
    calls: str
    scope: str
    parameters: tuple[Field, ...]
    body: Type
    answers: tuple[Answer, ...]
    example: str


@dataclass(frozen=True, slots=True)
class Shape:
    """A JSON object. ``name`` is its key in the document, ``title`` what people read."""

    name: str
    title: str
    description: str
    fields: tuple[Field, ...]


def operations(document: Json, site: str) -> list[Operation]:
    """Every operation, in the document's order; ``site`` (scheme and host) goes into the examples."""
    return [
        _operation(document, site, path, method, found[method])
        for path, found in document["paths"].items()
        for method in _METHODS
        if method in found
    ]


def shapes(document: Json) -> list[Shape]:
    """Every JSON object that an operation takes or answers with, in the order a reader meets them."""
    schemas = document["components"]["schemas"]
    names = dict.fromkeys(
        name
        for path in document["paths"].values()
        for operation in path.values()
        for part in (operation.get("requestBody", {}), operation["responses"])
        for name in _mentioned(part, schemas, set())
    )
    return [_shape(name, schemas) for name in names if "properties" in schemas[name]]


def _operation(document: Json, site: str, path: str, method: str, found: Json) -> Operation:
    schemas = document["components"]["schemas"]
    body = found.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
    return Operation(
        name=found["operationId"],
        method=method.upper(),
        path=path,
        summary=found.get("summary", ""),
        description=found.get("description", ""),
        cost=found["x-cost"],
        calls=_in_words(found["x-calls"]) if "x-calls" in found else "",
        scope=found["x-scope"],
        parameters=tuple(
            Field(
                name=parameter["name"],
                type=_type(parameter["schema"], schemas),
                meaning=parameter.get("description", ""),
                is_required=parameter.get("required", False),
                place=parameter["in"],
            )
            for parameter in found.get("parameters", ())
        ),
        body=_type(body, schemas),
        answers=tuple(_answer(str(status), answer, schemas) for status, answer in found["responses"].items()),
        example=_example(site, method, found["x-example"]),
    )


def _in_words(calls: str) -> str:
    """``6/m`` as people say it."""
    limit = Limit.parse(calls)
    window = "a minute" if limit.window_seconds == 60 else f"every {limit.window_seconds:,} s"
    return f"{limit.requests:,} {window}"


def _answer(status: str, found: Json, schemas: Json) -> Answer:
    if problem := found.get("$ref", "").rpartition("/")[2]:
        return Answer(status, problem)
    content = found.get("content", {}).get("application/json", {}).get("schema", {})
    return Answer(status, body=_type(content, schemas))


def _example(site: str, method: str, example: Json) -> str:
    words = ["curl"]
    if method != "get":
        words += ["-b", "jar", "-e", f"{site}/", "-H", "X-CSRFToken: $(token)"]
        words += ["-H", "Content-Type: application/json", "-d", json.dumps(example.get("body", {}))]
    words.append(site + example["path"])
    # The token is to be filled in by the shell, everything else is to be left alone by it.
    return " ".join(f'"{word}"' if "$(" in word else shlex.quote(word) for word in words)


def _shape(name: str, schemas: Json) -> Shape:
    schema = schemas[name]
    required = schema.get("required", ())
    return Shape(
        name=name,
        title=schema.get("title", name),
        description=schema.get("description", ""),
        fields=tuple(
            Field(field, _type(found, schemas), found.get("description", ""), field in required)
            for field, found in schema["properties"].items()
        ),
    )


def _mentioned(part: Any, schemas: Json, seen: set[str]) -> Iterator[str]:
    """The names of the schemas in a part of the document, each before those it is made of."""
    if isinstance(part, Mapping):
        reference = part.get("$ref", "")
        if reference.startswith(_REFERENCE) and (name := reference.removeprefix(_REFERENCE)) not in seen:
            seen.add(name)
            yield name
            yield from _mentioned(schemas[name], schemas, seen)
        for value in part.values():
            yield from _mentioned(value, schemas, seen)
    elif isinstance(part, list):
        for value in part:
            yield from _mentioned(value, schemas, seen)


def _type(schema: Json, schemas: Json) -> Type:
    if "$ref" in schema:
        name = schema["$ref"].removeprefix(_REFERENCE)
        target = schemas[name]
        return Type(shape=name, title=target["title"]) if "properties" in target else _type(target, schemas)
    if choices := schema.get("anyOf"):
        first = _type(next(choice for choice in choices if choice != {"type": "null"}), schemas)
        return replace(first, after=f"{first.after} or null") if {"type": "null"} in choices else first
    if "enum" in schema:
        return Type(f"one of {', '.join(map(str, schema['enum']))}")
    match schema.get("type"):
        case "array":
            inner = _type(schema.get("items", {}), schemas)
            return replace(inner, before=f"list of {inner.before}")
        case "object":
            values = schema.get("additionalProperties")
            return Type(f"object of {_type(values, schemas).before}s" if isinstance(values, Mapping) else "object")
        case "string" if schema.get("format") == "date-time":
            return Type("time, RFC 3339")
        case str(word):
            return Type(word + _bounds(schema))
    return Type("anything")


def _bounds(schema: Json) -> str:
    """“, 1 to 100”; a bound that only says how large an integer may be in the database is left out."""
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is not None and high is not None and high < 2**53:
        return f", {low} to {high}"
    if "maxLength" in schema:
        return f", at most {schema['maxLength']} characters"
    return ""
