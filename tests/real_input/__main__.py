"""`python -m tests.real_input DIR`: harvest the recorded replies of DIR and compare with an independent count.

The replies are served byte for byte from the loopback address and harvested through the real command line, twice.
Prints a table per source; the exit code is 1 on any difference. DATABASE_URL may name a PostgreSQL server on which a
scratch database is made; without it a scratch SQLite file serves.
"""

from __future__ import annotations

import os
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tests.installation import Installation, installation
from tests.loopback import loopback
from tests.real_input import comparing, counting
from tests.real_input.recordings import ARXIV_PATH, FEEDS_PATH, Recordings

ARXIV = "arxiv"
NOT_A_FEED = {"page": "This is an HTML page, not a feed.", "other": "This is XML, but no feed:"}


@dataclass
class Tally:
    """The reports of one source over several harvests, added up."""

    fetched: int = 0
    created: int = 0
    updated: int = 0
    errors: int = 0
    messages: list[str] = field(default_factory=list)

    def add(self, report: dict[str, Any]) -> None:
        self.fetched += report["fetched"]
        self.created += report["created"]
        self.updated += report["updated"]
        self.errors += report["errors"]
        self.messages += report["messages"]

    @property
    def numbers(self) -> str:
        return f"{self.fetched:>7} {self.created:>7} {self.updated:>7} {self.errors:>6}"


class Trial:
    """One installation that harvests the recordings; ``tallies`` has a dictionary by source for each passage."""

    def __init__(self, installed: Installation, recordings: Recordings, address: str) -> None:
        self._installed = installed
        self._recordings = recordings
        self._address = address
        self.tallies: list[dict[str, Tally]] = []

    def add_sources(self) -> None:
        queries = self._recordings.queries
        self._add("arxiv", ARXIV, ARXIV_PATH, "--query", queries[0])
        for query in self._recordings.refused_queries:
            self._add("arxiv", f"refused {query}", ARXIV_PATH, "--query", query)
        for name in self._recordings.feeds:
            self._add("feed", name, FEEDS_PATH + quote(name))

    def harvest(self) -> None:
        """arXiv as one source, query after query; then all sources in one run, in which some must fail."""
        tallies: dict[str, Tally] = {}
        for query in self._recordings.queries:
            self._installed.manage("source", "edit", ARXIV, "--query", query)
            printed = self._installed.harvest("--source", ARXIV, expect=query in self._recordings.refused_queries)
            self._take(tallies, printed)
        printed = self._installed.harvest()
        self._take(tallies, printed)
        self.tallies.append(tallies)

    def differences(self) -> list[str]:
        """Everything that is not as counted."""
        counted = counting.papers(one.body for one in self._recordings.arxiv if one.status == 200)
        stored = comparing.stored_papers(self._installed, ARXIV)
        found = [*comparing.paper_differences(stored, counted)]
        found += comparing.identifier_differences(self._installed, ARXIV, counted)
        first = self.tallies[0]
        found += _unlike("arxiv: created", first[ARXIV].created, len(counted))
        for name, body in self._recordings.feeds.items():
            found += self._feed_differences(name, counting.feed(body), first[name])
        for query in self._recordings.refused_queries:
            tally = first[f"refused {query}"]
            found += _unlike(f"refused {query}: errors", tally.errors, 1)
            found += [] if tally.messages[0].startswith("arXiv: ") else [f"{query}: {tally.messages}"]
        for name, tally in self.tallies[1].items():
            found += _unlike(f"{name}: created by the second harvest", tally.created, 0)
            found += _unlike(f"{name}: updated by the second harvest", tally.updated, 0)
        return found

    def _feed_differences(self, name: str, counted: counting.FeedCount, tally: Tally) -> list[str]:
        if counted.kind != "feed":
            sentence = NOT_A_FEED[counted.kind]
            says_so = len(tally.messages) == 1 and tally.messages[0].startswith(sentence)
            return _unlike(f"{name}: errors", (tally.errors, tally.created), (1, 0)) + (
                [] if says_so else [f"{name}: should say “{sentence}”, says {tally.messages}"]
            )
        return [
            *_unlike(f"{name}: created", tally.created, len(counted.entries)),
            *_unlike(f"{name}: errors", tally.errors, counted.empty),
            *comparing.entry_differences(self._installed, name, counted),
        ]

    def table(self) -> str:
        """Counts by source: the first passage, and what the second created."""
        width = max(map(len, self.tallies[0]))
        lines = [f"{'source':<{width}} fetched created updated errors | again created"]
        total, again = Tally(), 0
        for name, tally in self.tallies[0].items():
            second = self.tallies[1][name].created
            lines.append(f"{name:<{width}} {tally.numbers} | {second:>13}")
            lines += [f"{'':<{width}}   {message}" for message in dict.fromkeys(tally.messages)]
            total.add(vars(tally) | {"messages": []})
            again += second
        return "\n".join([*lines, f"{'all':<{width}} {total.numbers} | {again:>13}"])

    def _add(self, kind: str, name: str, path: str, *more: str) -> None:
        self._installed.manage("source", "add", kind, "--name", name, "--url", self._address + path, *more)

    def _take(self, tallies: dict[str, Tally], printed: dict[str, Any]) -> None:
        for report in printed["sources"]:
            tallies.setdefault(report["name"], Tally()).add(report)


def _unlike(what: str, found: object, expected: object) -> list[str]:
    return [] if found == expected else [f"{what}: {found}, expected {expected}"]


def _summary(recordings: Recordings) -> str:
    feeds = [counting.feed(body) for body in recordings.feeds.values()]
    entries = sum(one.all_entries for one in feeds)
    papers = counting.papers(one.body for one in recordings.arxiv if one.status == 200)
    return (
        f"Counted in the files: {len(papers)} papers in {len(recordings.arxiv)} replies; {entries} entries "
        f"in {sum(one.kind == 'feed' for one in feeds)} feeds of {len(feeds)} files."
    )


def main(folder: Path) -> int:
    recordings = Recordings(folder)
    named = os.environ.get("DATABASE_URL", "")
    server = named if named.startswith("postgres") else None
    with (
        tempfile.TemporaryDirectory(prefix="signal-harvester-real-input-") as scratch,
        loopback(recordings.answer) as web,
        installation(Path(scratch), server) as installed,
    ):
        trial = Trial(installed, recordings, web.address)
        trial.add_sources()
        trial.harvest()
        trial.harvest()
        found = trial.differences()
        print(trial.table())
    print(_summary(recordings))
    print("\n".join(found) or "Everything harvested is as counted, and the second harvest added nothing.")
    return 1 if found else 0


if __name__ == "__main__":
    if len(sys.argv) != 2 or not (Path(sys.argv[1]) / "arxiv" / "index.json").is_file():
        sys.exit("Usage: python -m tests.real_input DIR, where DIR holds arxiv/index.json and feeds/")
    sys.exit(main(Path(sys.argv[1])))
