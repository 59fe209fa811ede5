"""The page for people: what it shows, to whom, and that it needs nothing from elsewhere."""

from __future__ import annotations

import base64
import hashlib
import re
from datetime import UTC, datetime
from html.parser import HTMLParser
from typing import Any

import pytest
from django.utils import translation

from health.lifecycle import Lifecycle
from health.page import as_page
from health.status import ComponentHealth, HealthCheckResponse, HealthStatus
from tests.health.conftest import Ask
from tests.health.fakes import only

HEALTHY, DEGRADED, UNHEALTHY = HealthStatus
AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def component(name: str, status: HealthStatus = HEALTHY, message: str = "Fine.", **facts: Any) -> ComponentHealth:
    return ComponentHealth(
        name, status, message, facts.get("ms", 3.21), AT, facts.get("age", 1500.0), facts.get("critical", True)
    )


def response(
    *components: ComponentHealth, status: HealthStatus = HEALTHY, reason: str = "", version: str = "4.2"
) -> HealthCheckResponse:
    return HealthCheckResponse(status, version, 93_784.0, components, AT, reason)


def text_of(html: str) -> str:
    class Reader(HTMLParser):
        def __init__(self) -> None:
            super().__init__()
            self.words: list[str] = []
            self.is_style = False

        def handle_starttag(self, tag: str, attrs: Any) -> None:
            self.is_style = tag == "style"

        def handle_endtag(self, tag: str) -> None:
            self.is_style = False

        def handle_data(self, data: str) -> None:
            if not self.is_style:
                self.words.append(data)

    reader = Reader()
    reader.feed(html)
    return " ".join(" ".join(reader.words).split())


@pytest.mark.parametrize(
    ("found", "word", "sentence"),
    [
        (response(component("a")), "Healthy", "All that was looked at is well."),
        (response(), "Healthy", "This process responds."),
        (
            response(component("a", DEGRADED), component("b", UNHEALTHY), component("c"), status=DEGRADED),
            "Degraded", "It works, but not all is well: a and b.",
        ),
        (
            response(*(component(name, UNHEALTHY) for name in "abc"), component("d", DEGRADED), status=UNHEALTHY),
            "Unhealthy", "Not working: a, b and c.",
        ),
        (response(component("a"), status=UNHEALTHY, reason="draining"), "Draining", "This process is about to stop"),
        (
            response(component("a", UNHEALTHY), status=UNHEALTHY, reason="starting"),
            "Starting", "This process has not started yet: it waits for a.",
        ),
    ],
)  # fmt: skip
def test_it_says_how_things_are(found: HealthCheckResponse, word: str, sentence: str) -> None:
    html = as_page(found, details=False).html
    assert f"<title>{word} – health</title>" in html
    assert html.count("<h1") == 1
    assert f"</span>{word}</h1>" in html
    assert sentence in text_of(html)


def test_anybody_sees_names_words_and_durations() -> None:
    found = response(component("disk", DEGRADED, "At /srv/data.", critical=False), status=DEGRADED)
    text = text_of(as_page(found, details=False).html)
    for shown in ("disk", "Degraded", "3.2 ms", "03:04:05 UTC"):
        assert shown in text
    for hidden in ("At /srv/data.", "ritical", "ago", "4.2", "Up for"):
        assert hidden not in text


def test_who_may_see_details_sees_them() -> None:
    found = response(component("disk", DEGRADED, "At /srv/data.", critical=False), component("a"), status=DEGRADED)
    text = text_of(as_page(found, details=True).html)
    for shown in ("At /srv/data.", "Not critical", "Critical", "1 s ago", "Version 4.2", "Up for 1 d 2 h"):
        assert shown in text


@pytest.mark.parametrize(
    ("milliseconds", "shown"), [(0.04, "0.0 ms"), (3.21, "3.2 ms"), (12.6, "13 ms"), (2345.6, "2.3 s")]
)
def test_durations_are_short(milliseconds: float, shown: str) -> None:
    assert f" {shown} " in text_of(as_page(response(component("a", ms=milliseconds)), details=False).html)


@pytest.mark.parametrize(
    ("age", "shown"),
    [
        (0.0, "0 s ago"),
        (999.0, "0 s ago"),
        (59_000.0, "59 s ago"),
        (61_000.0, "1 min 1 s ago"),
        (9e6, "2 h 30 min ago"),
    ],
)
def test_ages_are_short(age: float, shown: str) -> None:
    assert f" {shown} " in text_of(as_page(response(component("a", age=age)), details=True).html)


def test_its_policy_lets_its_own_style_in_and_nothing_else() -> None:
    page = as_page(response(component("a")), details=True)
    [style] = re.findall(r"<style>(.*?)</style>", page.html, flags=re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert page.policy == (
        f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    assert re.findall(r"style=|<script|<link|<img|\bon[a-z]+=|https?://|url\(", page.html) == []


def test_it_is_sent_with_its_headers(ask: Ask, settings: Any, life: Lifecycle) -> None:
    settings.HEALTH_CHECKS = only(database="degraded")
    answer = ask("/health/", Accept="text/html")
    assert answer["Content-Security-Policy"] == as_page(response(), details=False).policy
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["Referrer-Policy"] == "no-referrer"
    assert answer["Cache-Control"] == "no-store"
    assert answer["Content-Type"] == "text/html; charset=utf-8"


def test_a_draining_process_has_a_page_too(ask: Ask, settings: Any, life: Lifecycle) -> None:
    settings.HEALTH_CHECKS = only(database="healthy")
    life.drain()
    answer = ask("/health/", Accept="text/html")
    assert answer.status_code == 503
    assert "Draining" in text_of(answer.content.decode())


REFRESH = '<meta http-equiv="refresh" content="10">'


def test_it_renews_itself_only_where_that_was_asked_for() -> None:
    """WCAG 2.2.1 and 3.2.5: who reads slowly, or hears the page, would lose the place every ten seconds."""
    still = as_page(response(), details=False)
    renewing = as_page(response(), details=False, is_renewing=True)
    assert (REFRESH in still.html, REFRESH in renewing.html) == (False, True)
    assert '<a href="?refresh">Renew every 10 s</a>' in still.html
    assert '<a href="?">Stop renewing</a>' in renewing.html
    assert still.policy == renewing.policy


def test_the_parameter_asks_for_it(ask: Ask, settings: Any, life: Lifecycle) -> None:
    settings.HEALTH_CHECKS = only(database="healthy")
    for query, is_renewing in (("", False), ("?verbose", False), ("?refresh", True), ("?exclude=a&refresh=1", True)):
        assert (REFRESH in ask(f"/health/{query}", Accept="text/html").content.decode()) is is_renewing


def test_it_can_be_read_aloud() -> None:
    html = as_page(response(component("a"), component("b")), details=True).html
    assert '<html lang="en">' in html
    assert "<caption>Components</caption>" in html
    assert (html.count('scope="col"'), html.count('scope="row"')) == (3, 2)
    assert html.count('aria-hidden="true"') == html.count('class="mark"') == 3


def test_what_it_shows_is_escaped() -> None:
    found = response(component("<b>", message="<script>alert(1)</script>"), version="<i>")
    html = as_page(found, details=True).html
    assert ("<b>" in html, "<script" in html, "<i>" in html) == (False, False, False)
    assert "&lt;script&gt;" in html


def test_it_speaks_english_whatever_language_is_active(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its numbers too: the decimal comma of another locale would stand in an English page."""
    monkeypatch.setattr("health.page.REFRESH_SECONDS", 1234.5)
    with translation.override("de"):
        html = as_page(response(component("a")), details=False, is_renewing=True).html
    assert "1234.5" in html
    assert "1234,5" not in html


@pytest.mark.parametrize(
    "templates", [[], [{"BACKEND": "django.template.backends.dummy.TemplateStrings"}], [{"BACKEND": "nowhere.Engine"}]]
)
def test_it_needs_no_templates_of_the_projects(settings: Any, templates: object) -> None:
    settings.TEMPLATES = templates
    settings.USE_THOUSAND_SEPARATOR = True
    assert "All that was looked at is well." in as_page(response(component("a")), details=False).html
