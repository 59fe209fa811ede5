"""Every kind of source has its module."""

from __future__ import annotations

import pytest

from harvester.models import SourceKind
from harvester.sources import source_module


def test_every_kind_has_a_module_that_validates_and_fetches() -> None:
    for kind in SourceKind:
        module = source_module(kind)
        assert callable(module.validate)
        assert callable(module.fetch)


def test_an_unknown_kind_is_an_error() -> None:
    with pytest.raises(ValueError, match="gopher"):
        source_module("gopher")
