"""The kinds of places that can be watched, a package each.

To add a kind: copy the nearest package (``arxiv/`` for an API with pages, ``feed/`` for one document), make it give
``validate`` and ``fetch`` as ``base.SourceKindModule`` describes them, add the kind to ``SourceKind`` with a migration,
and a line to the mapping below. A test holds the two together.
"""

from __future__ import annotations

from collections.abc import Mapping

from harvester.models import SourceKind
from harvester.sources import arxiv, feed
from harvester.sources.base import SourceKindModule

_MODULES: Mapping[SourceKind, SourceKindModule] = {
    SourceKind.ARXIV: arxiv,
    SourceKind.FEED: feed,
}


def source_module(kind: str) -> SourceKindModule:
    """The module that validates and fetches sources of this kind. Raises ValueError for an unknown kind."""
    return _MODULES[SourceKind(kind)]
