"""The recorded replies of a folder, and the answers a server gives from them, byte for byte."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from tests.loopback import Answer

ARXIV_PATH, FEEDS_PATH = "/arxiv/api/query", "/feeds/"


@dataclass(frozen=True)
class Recording:
    """One reply of the arXiv API: what was asked, what came."""

    search: str
    ids: str
    status: int
    body: bytes

    @property
    def query(self) -> str:
        """What a source has to ask for to get it."""
        return self.search or f"id_list:{self.ids}"

    @cached_property
    def start(self) -> int:
        found = re.search(rb"startIndex>(\d+)<", self.body)
        return int(found[1]) if found else 0

    @cached_property
    def count(self) -> int:
        return len(re.findall(rb"<entry>", self.body))


class Recordings:
    """Everything recorded in ``folder``: ``arxiv/`` with its ``index.json``, and ``feeds/``."""

    def __init__(self, folder: Path) -> None:
        self.arxiv = [_recording(folder / "arxiv", entry) for entry in _index(folder)]
        self.feeds = {path.name: path.read_bytes() for path in sorted((folder / "feeds").iterdir())}

    @property
    def queries(self) -> list[str]:
        """Each distinct arXiv query, in the order of recording."""
        return list(dict.fromkeys(recording.query for recording in self.arxiv))

    @property
    def refused_queries(self) -> list[str]:
        return list(dict.fromkeys(recording.query for recording in self.arxiv if recording.status >= 400))

    def answer(self, path: str, _: Mapping[str, str]) -> Answer:
        """What a plain static server, and the arXiv API as far as it was recorded, would send."""
        parts = urlsplit(path)
        if parts.path == ARXIV_PATH:
            asked = {name: values[0] for name, values in parse_qs(parts.query).items()}
            found = self._page(asked.get("search_query", ""), asked.get("id_list", ""), int(asked.get("start", "0")))
            return Answer(found.body, found.status, {"Content-Type": "application/atom+xml"})
        name = unquote(parts.path.removeprefix(FEEDS_PATH))
        if name not in self.feeds:
            return Answer(b"", 404)
        kind = "text/html" if name.endswith(".html") else "text/xml"
        return Answer(self.feeds[name], 200, {"Content-Type": kind})

    def _page(self, search: str, ids: str, start: int) -> Recording:
        """The page that covers ``start`` and reaches furthest, else the next one, else a recorded empty reply."""
        same = [one for one in self.arxiv if (one.search, one.ids) == (search, ids)]
        if not search and start == 0:
            return same[0]
        covering = [one for one in same if one.start <= start < one.start + one.count]
        if covering:
            return max(covering, key=lambda one: one.start + one.count)
        later = [one for one in same if one.start > start]
        return min(later, key=lambda one: one.start, default=self._empty)

    @cached_property
    def _empty(self) -> Recording:
        return next(one for one in self.arxiv if one.status == 200 and one.count == 0)


def _index(folder: Path) -> list[dict[str, str]]:
    listed: list[dict[str, str]] = json.loads((folder / "arxiv" / "index.json").read_text(encoding="utf-8"))
    return listed


def _recording(folder: Path, entry: Mapping[str, str]) -> Recording:
    asked = parse_qs(urlsplit(entry["url"]).query)
    return Recording(
        search=asked.get("search_query", [""])[0],
        ids=asked.get("id_list", [""])[0],
        status=int(entry["status_code"]),
        body=(folder / entry["file"]).read_bytes(),
    )
