"""What the recorded files hold, counted with a few lines of their own: nothing here knows the product."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from xml.etree import ElementTree as ET

ATOM, ARXIV = "{http://www.w3.org/2005/Atom}", "{http://arxiv.org/schemas/atom}"


def papers(bodies: Iterable[bytes]) -> dict[str, dict[str, Any]]:
    """Each paper once, by its id without version, in its highest version."""
    found: dict[str, dict[str, Any]] = {}
    for body in bodies:
        for entry in ET.fromstring(body).findall(f"{ATOM}entry"):  # noqa: S314 - recorded files, looked at before
            match = re.fullmatch(r"https?://arxiv\.org/abs/(.+?)v(\d+)", entry.findtext(f"{ATOM}id", ""))
            if match and int(match[2]) >= found.get(match[1], {"version": 0})["version"]:
                found[match[1]] = _paper(entry, int(match[2]))
    return found


def _paper(entry: ET.Element, version: int) -> dict[str, Any]:
    def text(tag: str) -> str:
        return " ".join(entry.findtext(tag, "").split())

    return {
        "version": version,
        "title": text(f"{ATOM}title"),
        "text": text(f"{ATOM}summary"),
        "authors": [
            (
                " ".join(one.findtext(f"{ATOM}name", "").split()),
                "; ".join(" ".join((part.text or "").split()) for part in one.findall(f"{ARXIV}affiliation")),
            )
            for one in entry.findall(f"{ATOM}author")
        ],
        "published": datetime.fromisoformat(text(f"{ATOM}published")),
        "updated": datetime.fromisoformat(text(f"{ATOM}updated")),
        "doi": text(f"{ARXIV}doi"),
        "comment": text(f"{ARXIV}comment"),
        "journal_ref": text(f"{ARXIV}journal_ref"),
        "categories": list(dict.fromkeys(one.attrib["term"] for one in entry.findall(f"{ATOM}category"))),
    }


UNTITLED = "(no title)"


@dataclass(frozen=True)
class FeedCount:
    """What a file is (``feed``, ``page`` or ``other``), its entries by id, and how many of them are empty."""

    kind: str
    entries: dict[str, tuple[str, datetime | None]]
    all_entries: int = 0
    empty: int = 0


def feed(body: bytes) -> FeedCount:
    """Entries as id → (title, date); an id is guid, id, link, title or the date, whichever comes first."""
    text = _decoded(body)
    root = re.search(r"<([a-zA-Z:]+)", re.sub(r"(?s)<!--.*?-->|<\?.*?\?>|<!DOCTYPE.*?>", "", text))
    name = root[1].lower() if root else ""
    if name not in ("rss", "feed", "rdf:rdf"):
        return FeedCount("page" if name == "html" else "other", {})
    blocks = re.findall(r"(?s)<(item|entry)\b[^>]*>(.*?)</\1>", text)
    entries, empty = {}, 0
    for _, block in blocks:
        title = _field(block, "title")
        link = _field(block, "link") or "".join(
            re.findall(r'<link\b[^>]*\brel="alternate"[^>]*\bhref="([^"]*)"', block)[:1]
        )
        date = _field(block, "pubDate", "published", "updated", "dc:date")
        identity = _field(block, "guid", "id") or link or title or date
        if not identity and not _field(block, "description", "summary", "content"):
            empty += 1
            continue
        entries[identity] = (title or UNTITLED, _date(date))
    return FeedCount("feed", entries, len(blocks), empty)


def _decoded(body: bytes) -> str:
    declared = re.search(rb'<\?xml[^>]*encoding="([^"]+)"', body)
    for encoding in ("utf-8", declared[1].decode() if declared else "", "cp1252"):
        try:
            return body.decode(encoding)
        except (UnicodeDecodeError, LookupError):
            continue
    raise ValueError("not even windows-1252")


def _field(block: str, *names: str) -> str:
    """The first of these elements that has text, as a reader would see it."""
    for name in names:
        found = re.search(rf"(?s)<{name}\b[^>]*>(.*?)</{name}>", block)
        text = found[1].strip() if found else ""
        wrapped = re.fullmatch(r"(?s)<!\[CDATA\[(.*)\]\]>", text)
        text = wrapped[1] if wrapped else html.unescape(text)
        if text.strip():
            return " ".join(html.unescape(text).split())
    return ""


def _date(written: str) -> datetime | None:
    if not written:
        return None
    found = datetime.fromisoformat(written) if written[:4].isdigit() else parsedate_to_datetime(written)
    return found.astimezone(UTC)
