"""What the head of every page shows."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from harvester.models import Source
from tests.factories import make_source
from tests.harvester.pages.reading import elements

pytestmark = pytest.mark.django_db


def says_sample(client: Client, address: str = "/runs") -> bool:
    return bool(elements(client.get(address).content, "span", class_="tag"))


def test_the_sample_world_is_called_a_sample(client: Client) -> None:
    make_source(is_sample=True)
    assert says_sample(client)


def test_without_it_nothing_is(client: Client) -> None:
    make_source()
    assert not says_sample(client)


def test_it_is_asked_once_a_minute(client: Client, django_assert_num_queries: Any, time_machine: Any) -> None:
    time_machine.move_to("2026-11-23T12:00:00Z", tick=False)
    assert not says_sample(client, "/about/score")
    make_source(is_sample=True)
    with django_assert_num_queries(0):
        assert not says_sample(client, "/about/score")
    time_machine.shift(timedelta(seconds=61))
    with django_assert_num_queries(1):
        assert says_sample(client, "/about/score")


def test_the_first_page_knows_it_at_once(client: Client) -> None:
    make_source(is_sample=True)
    assert says_sample(client, "/")
    Source.objects.all().delete()
    assert not says_sample(client, "/")
