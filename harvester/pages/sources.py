"""The watched sources: how each is doing, and what staff may do with it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.http import require_safe

from harvester.actions import pause_source, resume_source
from harvester.errors import InvalidCursorError
from harvester.models import Source, SourceState
from harvester.pages.posts import SeeOther, new_token, staff_post
from harvester.queries.cursors import paginate
from harvester.queries.disclosure import failure_in_words, shown_url
from harvester.queries.sources import BY_NAME, source_counts, sources

ROWS = 50

_TONES = {"fine": "good", "failing": "bad", "paused": "warn"}


@dataclass(frozen=True, slots=True)
class Row:
    """One source as the list shows it. ``tone`` is a class of the stylesheet that repeats the word in colour.

    ``failure`` is the reason in words, ``detail`` what staff reads besides.
    """

    source: Source
    url: str
    tone: str
    failure: str
    detail: str

    @property
    def is_paused(self) -> bool:
        return self.source.state == SourceState.PAUSED


@require_safe
def sources_page(request: HttpRequest) -> HttpResponse:
    """Every source by name; 400 with the first page for a cursor that is not ours."""
    status, cursor = 200, request.GET.get("cursor") or None
    context: dict[str, Any] = {"here": "sources", "once": new_token(), "cursor": cursor or ""}
    try:
        page = paginate(sources(), order=BY_NAME, cursor=cursor, limit=ROWS, binding={})
    except InvalidCursorError:
        status, page = 400, paginate(sources(), order=BY_NAME, cursor=None, limit=ROWS, binding={})
        context |= {"cursor_was_refused": True, "cursor": ""}
    context |= {
        "rows": [_row(source, is_staff=request.user.is_staff) for source in page.results],
        "counts": source_counts(),
        "next_address": _address(page.next_cursor) if page.next_cursor else "",
        "previous_address": _address(page.previous_cursor) if page.previous_cursor else "",
    }
    return render(request, "sources.html", context, status=status)


@staff_post
def pause(request: HttpRequest, source_id: int) -> HttpResponse:
    source = get_object_or_404(Source, pk=source_id)
    pause_source(source)
    messages.success(request, f"{source.name} is paused. Scheduled harvests leave it out.")
    return _back(request)


@staff_post
def resume(request: HttpRequest, source_id: int) -> HttpResponse:
    source = get_object_or_404(Source, pk=source_id)
    resume_source(source)
    messages.success(request, f"{source.name} is watched again.")
    return _back(request)


def _back(request: HttpRequest) -> SeeOther:
    """To the page of the list that the form stood on."""
    return SeeOther(_address(request.POST.get("cursor")))


def _address(cursor: str | None) -> str:
    return f"{reverse('sources')}?{urlencode({'cursor': cursor})}" if cursor else reverse("sources")


def _row(source: Source, *, is_staff: bool) -> Row:
    return Row(
        source=source,
        url=shown_url(source, is_staff=is_staff),
        tone=_TONES.get(source.state_word, ""),
        failure=failure_in_words(source),
        detail=source.failure_detail if is_staff else "",
    )
