"""What may stand in a query string: the parameters every list has, how a time is written, and nothing unknown."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Annotated

from django.http import HttpRequest
from pydantic import BaseModel, BeforeValidator, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

from harvester.api.problems import INVALID, FieldError, ProblemError

MOST_RESULTS = 100
USUAL_RESULTS = 50

_RFC_3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", re.ASCII | re.IGNORECASE)


def _moment(written: object) -> datetime:
    """Only what RFC 3339 allows, with its zone; in UTC."""
    if isinstance(written, str) and _RFC_3339.fullmatch(written):
        try:
            return datetime.fromisoformat(written.upper()).astimezone(UTC)
        except (ValueError, OverflowError):
            pass  # the 31st of February, or a year that ends up before the first
    raise PydanticCustomError(
        "moment", "Write a time with its zone, such as 2026-11-01T00:00:00Z. In a query string a + is written %2B."
    )


Moment = Annotated[datetime, BeforeValidator(_moment), WithJsonSchema({"type": "string", "format": "date-time"})]


class ListParameters(BaseModel):
    """What every list takes."""

    limit: int = Field(USUAL_RESULTS, ge=1, le=MOST_RESULTS, description="How many results at most.")
    cursor: str | None = Field(
        None,
        description="Where to go on; stands in “next” of the page before. It belongs to one list with its filters.",
    )


def refuse_unknown(request: HttpRequest, known: Iterable[str]) -> None:
    """422 that names each parameter we do not know, and each that was given twice."""
    names = sorted(known)
    listed = f"Known ones: {', '.join(names)}." if names else "There are none here."
    errors = [
        FieldError(name, "query", f"There is no such parameter. {listed}") for name in request.GET if name not in names
    ] + [
        FieldError(name, "query", "This parameter was given more than once.")
        for name in names
        if len(request.GET.getlist(name)) > 1
    ]
    if errors:
        raise ProblemError(INVALID, errors=tuple(errors))
