"""The 429, for programs and for people."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import RequestFactory

from ratelimit.bucket import SECOND, Decision, Limit
from ratelimit.responses import denied, detail

LIMIT = Limit(100, 60)
DENIED = Decision(False, LIMIT, 2_000 * SECOND + LIMIT.capacity_us, 2_000 * SECOND, "anonymous", "redis")
FIREFOX = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"


@pytest.fixture(autouse=True)
def no_templates_but_the_apps_own(settings: Any) -> None:
    settings.TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}]


def answer(accept: str | None = None, method: str = "GET", decision: Decision = DENIED) -> HttpResponse:
    headers = {"Accept": accept} if accept is not None else {}
    return denied(RequestFactory().generic(method, "/somewhere", headers=headers), decision)


def test_programs_get_problem_details() -> None:
    response = answer("application/json")
    assert response.status_code == 429
    assert response["Content-Type"] == "application/problem+json"
    assert json.loads(response.content) == {
        "type": "https://iana.org/assignments/http-problem-types#quota-exceeded",
        "title": "Too many requests",
        "status": 429,
        "detail": "The limit of 100 requests every minute is used up. Try again in 1 second.",
        "limit": 100,
        "retry_after": 1,
        "violated-policies": ["default"],
    }


@pytest.mark.parametrize(
    "accept",
    [None, "", "*/*", "application/*", "application/xml", "text/html;q=0.5, application/json", "text/html;q=0, */*",
     "text/html;q=0.8, application/problem+json;q=0.9", "junk", ";;;,,,", "text/html;x*=klingon''y",
     "text/html" + "," * 8000, "a/b," * 2000],
)  # fmt: skip
def test_whoever_does_not_prefer_a_page_gets_problem_details(accept: str | None) -> None:
    assert answer(accept)["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize(
    "accept", [FIREFOX, "text/html", "text/*", "text/html, application/json", "application/json;q=0.5, text/html"]
)
def test_whoever_prefers_a_page_gets_one(accept: str) -> None:
    response = answer(accept)
    assert response.status_code == 429
    assert response["Content-Type"] == "text/html; charset=utf-8"
    assert "Try again in 1 second." in response.content.decode()


def test_the_page_needs_nothing_that_a_strict_policy_forbids() -> None:
    seen: list[str] = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
            seen.extend([tag, *(f"@{name}" for name, _ in attributes)])

    page = answer(FIREFOX).content.decode()
    Reader().feed(page)
    assert {"html", "@lang", "title", "main", "h1"} <= set(seen)
    assert {"style", "script", "link", "img", "@style", "@onclick", "@src", "@href"}.isdisjoint(seen)


def test_the_page_is_a_template_of_the_project_where_it_has_one(settings: Any) -> None:
    own = (
        "django.template.loaders.locmem.Loader",
        {"ratelimit/429.html": "Slow down, {{ retry_after }} s. {{ detail }}"},
    )
    settings.TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates", "OPTIONS": {"loaders": [own]}}]
    assert answer(FIREFOX).content.decode().startswith("Slow down, 1 s. The limit of 100")


def test_a_project_without_templates_answers_all_the_same(settings: Any) -> None:
    settings.TEMPLATES = []
    assert answer(FIREFOX)["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize("accept", [FIREFOX, "application/json"])
def test_head_is_answered_like_get_without_a_body(accept: str) -> None:
    get, head = answer(accept), answer(accept, "HEAD")
    assert head.content == b""
    assert head["Content-Length"] == str(len(get.content))
    assert head["Content-Type"] == get["Content-Type"]


@pytest.mark.parametrize("accept", [FIREFOX, "application/json"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "OPTIONS", "BREW"])
def test_no_cache_keeps_a_denial(accept: str, method: str) -> None:
    response = answer(accept, method)
    assert response.status_code == 429
    assert response["Cache-Control"] == "no-store"
    assert "Vary" not in response


@pytest.mark.parametrize(
    ("limit", "words"),
    [
        (Limit(100, 60), "100 requests every minute"),
        (Limit(1_000, 3600), "1,000 requests every hour"),
        (Limit(5, 7200), "5 requests every 2 hours"),
        (Limit(5, 86400), "5 requests every day"),
        (Limit(5, 90), "5 requests every 90 seconds"),
        (Limit(5, 1), "5 requests every second"),
        (Limit(1, 60), "1 request every minute"),
    ],
)
def test_the_limit_is_put_in_words(limit: Limit, words: str) -> None:
    assert words in detail(DENIED._replace(spec=limit))


def test_while_nothing_can_be_counted_the_answer_says_so() -> None:
    assert "used up" not in detail(DENIED._replace(backend="none"))
