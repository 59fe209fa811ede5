"""One server and one browser for the whole walk; a new visitor for every test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser

from tests.faces.serving import World, serving
from tests.faces.visiting import NoBrowserError, Visit, browsing, visitor

Visitor = Callable[..., Visit]


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with serving(tmp_path_factory.mktemp("faces"), planted=True) as served:
        yield served


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    try:
        with browsing() as started:
            yield started
    except NoBrowserError as error:
        pytest.exit(str(error), returncode=3)


@pytest.fixture
def visit(world: World, browser: Browser) -> Iterator[Visitor]:
    """Begins a visit; its arguments are those of ``visiting.visitor``."""
    begun: list[Visit] = []

    def begin(**how: Any) -> Visit:
        begun.append(visitor(browser, world.site, **how))
        return begun[-1]

    yield begin
    for visited in begun:
        visited.page.context.close()
