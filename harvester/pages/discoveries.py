"""The first page: what deserves attention now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal, cast
from urllib.parse import urlencode

from django import forms
from django.db.models.functions import Lower
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_safe

from harvester.errors import InvalidCursorError, UnknownSourceError
from harvester.models import LONGEST_NAME, Artifact, ArtifactKind, Score, Source
from harvester.pages.words import clip, counted
from harvester.queries.artifacts import SameWork, same_works
from harvester.queries.cursors import KeysetPage, paginate
from harvester.queries.discoveries import COUNT_CEILING, DiscoveryFilters, count_at_most, discoveries, order_of
from harvester.queries.ranks import band, decayed_score, full_hour
from harvester.queries.sources import source_named

ROWS = 50
_LISTED_SOURCES = 100  # with more of them the filter is a field to write the name in
_NAME_LENGTH = 80  # characters of a name or a place
_NAMED_ELSEWHERE = 3  # places listed in a row before “and n more”

_WINDOWS: dict[str, timedelta | None] = {
    "24h": timedelta(hours=24),
    "7d": timedelta(days=7),
    "30d": timedelta(days=30),
    "90d": timedelta(days=90),
    "all": None,
}
_WINDOW_WORDS = {
    "24h": "the last 24 hours",
    "7d": "the last 7 days",
    "30d": "the last 30 days",
    "90d": "the last 90 days",
    "all": "all time",
}
_USUAL_WINDOW = "7d"
_USUAL = {"since": _USUAL_WINDOW, "sort": "best"}
_SORTS = {"best": "best first", "newest": "newest first"}


class FilterForm(forms.Form):
    """The filters as the address carries them; every field may be left out."""

    source = forms.CharField(required=False, max_length=LONGEST_NAME)
    kind = forms.ChoiceField(
        required=False,
        choices=[("", "any kind"), *ArtifactKind.choices],
        error_messages={"invalid_choice": "There is no such kind."},
    )
    since = forms.ChoiceField(
        required=False,
        label="Published in",
        choices=list(_WINDOW_WORDS.items()),
        error_messages={"invalid_choice": "Choose one of the listed times."},
    )
    min_score = forms.FloatField(
        required=False,
        label="Score at least",
        min_value=0,
        max_value=100,
        # Not a number input: browsers empty those when what is in them is no number, and it could not be mended.
        widget=forms.TextInput(attrs={"inputmode": "decimal", "size": 5}),
        error_messages=dict.fromkeys(("invalid", "min_value", "max_value"), "Write a number from 0 to 100."),
    )
    sort = forms.ChoiceField(
        required=False,
        label="Order",
        choices=list(_SORTS.items()),
        error_messages={"invalid_choice": "Choose one of the listed orders."},
    )

    def __init__(self, data: dict[str, str], *, listed: Sequence[Source]) -> None:
        self._known = {source.name.casefold(): source for source in listed}
        written = data.get("source", "")
        if (known := self._known.get(written.casefold())) is not None:
            data = data | {"source": known.name}
        super().__init__(data, auto_id="filter-%s")
        if len(listed) <= _LISTED_SOURCES:
            choices = [("", "any source"), *((source.name, source.name) for source in listed)]
            self.fields["source"].widget = forms.Select(choices=choices)

    def clean_source(self) -> Source | None:
        written: str = self.cleaned_data["source"]
        if not written:
            return None
        try:
            return self._known.get(written.casefold()) or source_named(written)
        except UnknownSourceError:
            raise forms.ValidationError("There is no source of this name.") from None


@dataclass(frozen=True, slots=True)
class ShownFilter:
    """A filter in words, and the address of the list without it."""

    words: str
    address_without: str


@dataclass(frozen=True, slots=True)
class Row:
    """One discovery as the list shows it; ``score`` is the decayed one, cut to a whole number."""

    artifact: Artifact
    score: int
    band: str
    authors: Authors
    engagement: tuple[str, ...]
    elsewhere: tuple[SameWork, ...]
    more_elsewhere: int


@dataclass(frozen=True, slots=True)
class Authors:
    """Who made it, in a few words: a name and its place, or either and how many there are besides."""

    lead: str
    place: str = ""
    rest: str = ""


@dataclass(frozen=True, slots=True)
class _Choice:
    """What the visitor asked for. ``window`` is a key of _WINDOWS."""

    filters: DiscoveryFilters
    window: str

    @property
    def address_parts(self) -> dict[str, str]:
        """The query parameters of a link to the same list; the cursor is not part of it."""
        words = {
            "source": str(self.filters.source or ""),
            "kind": self.filters.kind or "",
            "since": self.window,
            "min_score": f"{self.filters.min_score:g}" if self.filters.min_score else "",
            "sort": "" if self.filters.sort == "best" else self.filters.sort,
        }
        return {name: word for name, word in words.items() if word}

    def address(self, **changes: str) -> str:
        parts = {name: word for name, word in (self.address_parts | changes).items() if word}
        return f"{reverse('discoveries')}?{urlencode(parts)}" if parts else reverse("discoveries")

    @property
    def in_words(self) -> list[ShownFilter]:
        filters, shown = self.filters, []
        if filters.source:
            shown.append(ShownFilter(f"from {filters.source}", self.address(source="")))
        if filters.kind:
            shown.append(ShownFilter(f"of kind {filters.kind}", self.address(kind="")))
        if self.window != "all":
            shown.append(ShownFilter(f"published in {_WINDOW_WORDS[self.window]}", self.address(since="all")))
        if filters.min_score:
            shown.append(ShownFilter(f"with a score of {filters.min_score:g} or more", self.address(min_score="")))
        return shown


@require_safe
def discoveries_page(request: HttpRequest) -> HttpResponse:
    """The list, its filters and its empty states; 422 for an impossible filter, 400 for a cursor that is not ours."""
    now = timezone.now()
    listed = list(Source.objects.only("name", "is_sample").order_by(Lower("name"))[: _LISTED_SOURCES + 1])
    asked = {name: str(value) for name, value in request.GET.items() if value}
    form = FilterForm(_USUAL | asked, listed=listed)
    context: dict[str, Any] = {"here": "discoveries", "form": form, "has_sources": bool(listed)}
    if len(listed) <= _LISTED_SOURCES:  # then it is known without asking again
        context["has_sample_world"] = any(source.is_sample for source in listed)
    if not form.is_valid():
        return render(request, "discoveries.html", context, status=422)

    choice = _choice(form.cleaned_data, now)
    status, cursor = 200, asked.get("cursor")
    try:
        page = _page(choice, cursor, now)
    except InvalidCursorError:
        status, page = 400, _page(choice, None, now)
        context["cursor_was_refused"] = True
    if not page.results and "since" not in asked and cursor is None:
        widened = _choice(form.cleaned_data | {"since": "all"}, now)
        if (wider := _page(widened, None, now)).results:
            choice, page = widened, wider
            form = FilterForm(_USUAL | asked | {"since": "all"}, listed=listed)
            context |= {"form": form, "nothing_since": _WINDOW_WORDS[_USUAL_WINDOW]}
    context |= _list_context(choice, page, now)
    return render(request, "discoveries.html", context, status=status)


def _choice(cleaned: dict[str, Any], now: datetime) -> _Choice:
    window = cleaned["since"] or _USUAL_WINDOW
    length = _WINDOWS[window]
    filters = DiscoveryFilters(
        source=cleaned["source"] or None,
        kind=cleaned["kind"] or None,
        min_score=cleaned["min_score"],
        since=full_hour(now) - length if length is not None else None,
        sort=cast('Literal["best", "newest"]', cleaned["sort"] or "best"),
    )
    return _Choice(filters, window)


def _page(choice: _Choice, cursor: str | None, now: datetime) -> KeysetPage[Artifact]:
    """Bound to the window's name, not to the moment it begins, so that a cursor outlives the hour it was made in."""
    return paginate(
        discoveries(choice.filters, now=now),
        order=order_of(choice.filters),
        cursor=cursor,
        limit=ROWS,
        binding=choice.filters.binding | {"since": choice.window},
    )


def _list_context(choice: _Choice, page: KeysetPage[Artifact], now: datetime) -> dict[str, Any]:
    if not page.results:
        has_any = Score.objects.exists()
        return {"filters": choice.in_words, "has_any": has_any, "waiting": "" if has_any else _waiting()}
    count = count_at_most(choice.filters, now)
    shown = f"{count:,} or more" if count >= COUNT_CEILING else f"{count:,}"
    return {
        "rows": _rows(page.results, now),
        "count": shown,
        "window": "in all" if choice.window == "all" else f"in {_WINDOW_WORDS[choice.window]}",
        "order": _SORTS[choice.filters.sort],
        "is_filtered": len(choice.in_words) > (choice.window != "all"),
        "next_address": choice.address(cursor=page.next_cursor) if page.next_cursor else "",
        "previous_address": choice.address(cursor=page.previous_cursor) if page.previous_cursor else "",
    }


def _waiting() -> str:
    """How many artifacts there are while none has a score."""
    count = Artifact.objects.all()[:COUNT_CEILING].count()
    return counted(count, "artifact") if count else ""


def _rows(artifacts: list[Artifact], now: datetime) -> list[Row]:
    elsewhere = same_works([artifact.pk for artifact in artifacts])
    rows = []
    for artifact in artifacts:
        score = decayed_score(artifact.score.discovery_score, artifact.published_at, now)
        places = elsewhere[artifact.pk]
        rows.append(
            Row(
                artifact=artifact,
                score=int(score),
                band=band(score),
                authors=authors_in_short(artifact.authors),
                engagement=engagement_in_words(artifact.engagement),
                elsewhere=tuple(places[:_NAMED_ELSEWHERE]),
                more_elsewhere=max(len(places) - _NAMED_ELSEWHERE, 0),
            )
        )
    return rows


def authors_in_short(authors: list[dict[str, str]]) -> Authors:
    """“Lab Nord, 3 authors” where a place is known, else “Ada Lovelace and 2 more”."""
    named = [author for author in authors if author.get("name")]
    if not named:
        return Authors("")
    name, place = clip(named[0]["name"], _NAME_LENGTH), clip(named[0].get("affiliation") or "", _NAME_LENGTH)
    if len(named) == 1:
        return Authors(name, place)
    if place:
        return Authors(place, rest=f", {counted(len(named), 'author')}")
    return Authors(name, rest=f" and {len(named) - 1} more")


def engagement_in_words(engagement: dict[str, Any]) -> tuple[str, ...]:
    """“3 stars”, “12 points”: each count of attention by its own name."""
    return tuple(
        counted(count, name.removesuffix("s"))
        for name, count in engagement.items()
        if isinstance(count, int) and not isinstance(count, bool)
    )
