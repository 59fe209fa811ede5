"""Canonical forms: when two addresses, ids or titles mean the same work, they become the same string here."""

from __future__ import annotations

from urllib.parse import urlsplit

from harvester.models import ArtifactKind, IdentifierScheme
from harvester.sources.base import Item
from harvester.sources.identifiers.arxiv_ids import arxiv_id, arxiv_version
from harvester.sources.identifiers.dois import doi
from harvester.sources.identifiers.titles import title_key
from harvester.sources.identifiers.urls import canonical_url
from harvester.sources.text import bounded_id

__all__ = ["arxiv_id", "arxiv_version", "canonical_url", "doi", "identifiers_of", "title_key"]

LONGEST_IDENTIFIER = 500

_OF_ONE_WORK = frozenset((ArtifactKind.PREPRINT, ArtifactKind.ARTICLE))


def identifiers_of(item: Item) -> tuple[tuple[IdentifierScheme, str], ...]:
    """What an item states, and what its address and title yield; no pair twice, strongest scheme first.

    The front page of a site identifies no work, and titles of posts and releases repeat, so neither counts.
    """
    stated = {(scheme, value) for scheme, value in item.identifiers if 0 < len(value) <= LONGEST_IDENTIFIER}
    found = {(IdentifierScheme.DOI, doi(item.url) or ""), (IdentifierScheme.ARXIV, arxiv_id(item.url) or "")}
    found |= {
        (IdentifierScheme.ARXIV, arxiv_id(value) or "") for scheme, value in stated if scheme == IdentifierScheme.DOI
    }
    url = canonical_url(item.url)
    if url and not _is_front_page(url):
        found.add((IdentifierScheme.URL, bounded_id(url, LONGEST_IDENTIFIER)))
    if item.kind in _OF_ONE_WORK and item.authors and item.published_at:
        key = title_key(item.title, item.authors[0].name, item.published_at.year)
        found.add((IdentifierScheme.TITLE, key))
    pairs = stated | {(scheme, value) for scheme, value in found if value}
    strength = list(IdentifierScheme)
    return tuple(sorted(pairs, key=lambda pair: (strength.index(pair[0]), pair[1])))


def _is_front_page(url: str) -> bool:
    parts = urlsplit(url)
    return parts.path == "/" and not parts.query and not parts.fragment
