"""Lists in pages: the parameters in, the envelope and the Link header out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TypeVar

from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from pydantic import BaseModel

from harvester.api.parameters import ListParameters
from harvester.api.schemas import ListOf
from harvester.queries.cursors import Order, paginate
from harvester.queries.ranks import full_hour

Row = TypeVar("Row", bound=Model)
Shown = TypeVar("Shown", bound=BaseModel)


def list_page(
    request: HttpRequest,
    response: HttpResponse,
    queryset: QuerySet[Row],
    show: Callable[[Row], Shown],
    *,
    order: Order,
    binding: Mapping[str, str],
    parameters: ListParameters,
    now: datetime,
) -> ListOf[Shown]:
    """The page that ``parameters`` ask for; sets the Link header. Raises InvalidCursorError."""
    page = paginate(queryset, order=order, cursor=parameters.cursor, limit=parameters.limit, binding=binding)
    following = _address(request, page.next_cursor) if page.next_cursor is not None else None
    if following is not None:
        response["Link"] = f'<{following}>; rel="next"'
    return ListOf(results=[show(row) for row in page.results], next=following, as_of=full_hour(now))


def _address(request: HttpRequest, cursor: str) -> str:
    query = request.GET.copy()
    query["cursor"] = cursor
    return f"{request.path}?{query.urlencode()}"
