"""10,000 requests with whatever headers a client makes up: one bucket, and no error, through the whole WSGI handler."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from http import HTTPStatus
from random import Random
from typing import Any

import pytest
from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpResponse
from django.test import RequestFactory
from django.urls import path

from ratelimit.identity import resolver
from ratelimit.identity.directory import get_directory
from ratelimit.identity.suspects import Suspects
from ratelimit.keys import new_key
from ratelimit.signals import identity_rejected

REQUESTS = 10_000
CLIENT = "203.0.113.9"
PROXY = "192.0.2.1"

urlpatterns = [path("", lambda _: HttpResponse("fine"))]

Headers = dict[str, str]


@pytest.fixture
def project(settings: Any, monkeypatch: pytest.MonkeyPatch, transactional_db: None) -> Iterator[Any]:
    """As many requests as a test makes and none comes back, so that each must show in the client's one bucket."""
    settings.ROOT_URLCONF = __name__
    settings.MIDDLEWARE = [
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "ratelimit.middleware.RateLimitMiddleware",
    ]
    settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
    settings.RATELIMIT_TIERS = {"anonymous": {"limit": REQUESTS, "window_seconds": 31 * 24 * 3600}}
    settings.DEBUG = False
    monkeypatch.setattr(resolver, "_suspects", Suspects())
    yield settings
    get_directory().stop()


@pytest.fixture
def rejections() -> Iterator[list[str]]:
    """The reasons told while a test runs."""
    told: list[str] = []

    def listen(reason: str, **_: Any) -> None:
        told.append(reason)

    identity_rejected.connect(listen)
    yield told
    identity_rejected.disconnect(listen)


def made_up_headers(random: Random) -> Headers:
    def mess(longest: int) -> str:
        return "".join(chr(random.randrange(256)) for _ in range(random.randrange(longest)))

    def address() -> str:
        return ".".join(str(random.randrange(300)) for _ in range(4))

    kinds: tuple[Callable[[], str], ...] = (
        lambda: mess(60),
        address,
        lambda: f"{address()}, {address()}",
        lambda: f"for={address()}",
        lambda: f'for="{address()}:{random.randrange(99999)}";proto={mess(5)}',
        lambda: f"shk_{mess(50)}",
        lambda: new_key()[:-1] + "!",
        lambda: new_key()[:-6] + "000000",
        new_key,
        lambda: f"Bearer {new_key()}",
        lambda: f"Bearer {mess(50)}",
        lambda: f"Bearer shk_{random.randrange(10**40)}",
        lambda: "\x00" * random.randrange(9000),
        lambda: f"{CLIENT}\x00, {new_key()}\x00",
        lambda: random.choice(',;="[]:_') * 8192,
        lambda: f"{address()}, " * 500 + mess(200),
        lambda: "::ffff:" + address(),
    )
    names = ("HTTP_X_FORWARDED_FOR", "HTTP_FORWARDED", "HTTP_X_API_KEY", "HTTP_AUTHORIZATION", "HTTP_X_REAL_IP")
    return {name: random.choice(kinds)() for name in names if random.random() < 0.6}


def directly(headers: Headers) -> Headers:
    return headers | {"REMOTE_ADDR": CLIENT}


def through_a_proxy(headers: Headers) -> Headers:
    """As nearly every proxy does it: X-Forwarded-For is appended to, everything else passed on."""
    written = headers.get("HTTP_X_FORWARDED_FOR")
    hops = CLIENT if written is None else f"{written}, {CLIENT}"
    return headers | {"REMOTE_ADDR": PROXY, "HTTP_X_FORWARDED_FOR": hops}


def through_a_proxy_that_writes_forwarded(headers: Headers) -> Headers:
    written = headers.get("HTTP_FORWARDED")
    hop = f'for="{CLIENT}:4711";proto=https'
    return headers | {"REMOTE_ADDR": PROXY, "HTTP_FORWARDED": hop if written is None else f"{written}, {hop}"}


@pytest.mark.parametrize(
    ("arrive", "chosen"),
    [
        (directly, {}),
        (through_a_proxy, {"RATELIMIT_TRUSTED_PROXIES": [f"{PROXY}/32"]}),
        (
            through_a_proxy_that_writes_forwarded,
            {"RATELIMIT_TRUSTED_PROXIES": [f"{PROXY}/32"], "RATELIMIT_FORWARDED_HEADER": "Forwarded"},
        ),
    ],
    ids=["directly", "through a proxy", "through a proxy that writes Forwarded"],
)
def test_10_000_made_up_headers_stay_in_one_bucket_and_break_nothing(
    project: Any, rejections: list[str], arrive: Callable[[Headers], Headers], chosen: dict[str, Any]
) -> None:
    for name, value in chosen.items():
        setattr(project, name, value)
    random = Random(REQUESTS)  # noqa: S311 - makes a mess, guards nothing
    handler = WSGIHandler()
    bare = RequestFactory().get("/").environ
    answers: list[tuple[int, str]] = []
    for _ in range(REQUESTS):
        environ = bare | arrive(made_up_headers(random))
        response = handler(environ, lambda *_: None)
        answers.append((response.status_code, response["X-RateLimit-Remaining"]))
        response.close()
    assert answers == [(HTTPStatus.OK, str(left)) for left in reversed(range(REQUESTS))]
    assert {"malformed", "checksum", "too_many"} <= set(rejections)
    assert handler(bare | arrive({}), lambda *_: None).status_code == HTTPStatus.TOO_MANY_REQUESTS
