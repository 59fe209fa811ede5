"""The cache makes pages quick and may be away: then they answer as ever, a little later."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest
from django.core.cache import cache
from django.test import Client

from harvester.config.cache import cache_config
from tests import services
from tests.factories import make_source
from tests.silence import BROKEN

ENOUGH_SECONDS = 2


@pytest.mark.django_db
@pytest.mark.parametrize("broken", BROKEN, ids=lambda broken: broken.__name__)
@pytest.mark.parametrize("path", ["/sources", "/runs", "/nowhere"])
def test_pages_answer_without_it(
    broken: Callable[[], AbstractContextManager[int]],
    path: str,
    client: Client,
    settings: Any,
    caplog: pytest.LogCaptureFixture,
) -> None:
    make_source(is_sample=True)
    usual = client.get(path)
    with broken() as port:
        settings.CACHES = {"default": cache_config(f"redis://127.0.0.1:{port}/0")}
        started = time.monotonic()
        answer = client.get(path)
        assert time.monotonic() - started < ENOUGH_SECONDS
    assert answer.status_code == usual.status_code
    assert b"sample" in answer.content
    assert any(record.name.startswith("django_redis") for record in caplog.records), "it is not silent about it"


def test_it_is_used_where_it_is_there(settings: Any) -> None:
    with services.redis_server() as url:
        settings.CACHES = {"default": cache_config(url)}
        cache.set("a", 1)
        assert cache.get("a") == 1
        cache.clear()


def test_without_redis_it_is_in_memory() -> None:
    assert cache_config("")["BACKEND"].endswith("LocMemCache")
