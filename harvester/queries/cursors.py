"""Lists in pages that stay right while rows come and go: keyset pagination with signed, opaque cursors.

A cursor holds the sort value and id of a row, the direction to go from there, and a digest of the order and filters it
was made for. It is signed, so whatever arrives is either ours or an ``InvalidCursorError``.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from operator import attrgetter
from typing import Any, Generic, Literal, TypeVar

from django.core import signing
from django.db.models import BooleanField, F, Func, Model, QuerySet, Value
from django.db.models.lookups import GreaterThan, LessThan

from harvester.errors import InvalidCursorError

T = TypeVar("T", bound=Model)
SortValue = float | int | str | datetime
Direction = Literal["next", "previous"]

_SIGNER = signing.Signer(salt="harvester.queries.cursors")
_LONGEST_CURSOR = 4000  # characters; ours are below 200, but for a source named with 200 rare characters 3,300
_LARGEST_ID = 2**63 - 1
_DIGEST_LENGTH = 16  # hex digits; the signature protects, this only tells lists apart


@dataclass(frozen=True, slots=True)
class Order:
    """How a list is sorted: by ``value``, ties by ``id``, both in the same direction, both ORM paths from the row.

    ``type`` is what ``value`` holds: float, int, str or datetime. ``value`` must not be null.
    """

    name: str
    value: str
    type: type[SortValue]
    id: str = "id"
    is_descending: bool = True

    def columns(self, *, backwards: bool = False) -> tuple[str, str]:
        """What to give to ``order_by``."""
        sign = "-" if self.is_descending is not backwards else ""
        return f"{sign}{self.value}", f"{sign}{self.id}"


@dataclass(frozen=True, slots=True)
class KeysetPage(Generic[T]):
    """Rows in the list's order; a cursor is None where the list ends."""

    results: list[T]
    next_cursor: str | None
    previous_cursor: str | None


def paginate(
    queryset: QuerySet[T], *, order: Order, cursor: str | None, limit: int, binding: Mapping[str, str]
) -> KeysetPage[T]:
    """One page of at most ``limit`` rows (1 or more), in one query.

    ``binding`` are the filters in words: a cursor made under others is refused. The queryset's own order is replaced.
    Raises InvalidCursorError.
    """
    digest = _digest(order, binding)
    position = _read(cursor, order, digest) if cursor is not None else None
    backwards = position is not None and position.direction == "previous"
    if position is not None:
        queryset = queryset.filter(position.beyond(order))
    rows = list(queryset.order_by(*order.columns(backwards=backwards))[: limit + 1])
    has_more = len(rows) > limit
    rows = rows[:limit]
    if backwards:
        rows.reverse()
    has_next, has_previous = (bool(rows), has_more) if backwards else (has_more, bool(rows) and position is not None)
    return KeysetPage(
        results=rows,
        next_cursor=_write(rows[-1], order, "next", digest) if has_next else None,
        previous_cursor=_write(rows[0], order, "previous", digest) if has_previous else None,
    )


class _Row(Func):
    """A row value. Both databases compare ``(a, b) < (x, y)`` left to right and answer it from an index on (a, b)."""

    template = "(%(expressions)s)"
    output_field = BooleanField()


@dataclass(frozen=True, slots=True)
class _Position:
    direction: Direction
    value: SortValue
    id: int

    def beyond(self, order: Order) -> LessThan[Any] | GreaterThan[Any]:
        goes_down = order.is_descending is (self.direction == "next")
        compare = LessThan if goes_down else GreaterThan
        return compare(_Row(F(order.value), F(order.id)), _Row(Value(self.value), Value(self.id)))


def _digest(order: Order, binding: Mapping[str, str]) -> str:
    words = json.dumps([order.name, sorted(binding.items())])
    return hashlib.sha256(words.encode()).hexdigest()[:_DIGEST_LENGTH]


def _write(row: Model, order: Order, direction: Direction, digest: str) -> str:
    value, row_id = (attrgetter(path.replace("__", "."))(row) for path in (order.value, order.id))
    written = value.astimezone(UTC).isoformat() if isinstance(value, datetime) else value
    return _SIGNER.sign_object([digest, direction, written, row_id])


def _read(cursor: str, order: Order, digest: str) -> _Position:
    if len(cursor) > _LONGEST_CURSOR:
        raise InvalidCursorError
    try:
        held = _SIGNER.unsign_object(cursor)
    except (signing.BadSignature, ValueError):
        raise InvalidCursorError from None
    match held:
        case [str(made_for), "next" | "previous" as direction, written, int(row_id)] if (
            made_for == digest and type(row_id) is int and 0 <= row_id <= _LARGEST_ID
        ):
            return _Position(direction, _sort_value(written, order.type), row_id)
    raise InvalidCursorError


def _sort_value(written: object, expected: type[SortValue]) -> SortValue:
    try:
        return _READERS[expected](written)
    except (TypeError, ValueError, OverflowError):
        raise InvalidCursorError from None


def _finite(written: object) -> float:
    if type(written) is not float or not math.isfinite(written):
        raise ValueError
    return written


def _integer(written: object) -> int:
    if type(written) is not int or abs(written) > _LARGEST_ID:
        raise ValueError
    return written


def _text(written: object) -> str:
    if not isinstance(written, str) or "\0" in written:
        raise ValueError
    return written


def _moment(written: object) -> datetime:
    moment = datetime.fromisoformat(_text(written))
    if moment.tzinfo is None:
        raise ValueError
    return moment


_READERS: Mapping[type[SortValue], Callable[[object], SortValue]] = {
    float: _finite,
    int: _integer,
    str: _text,
    datetime: _moment,
}
