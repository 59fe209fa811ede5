"""Puts a query to the arXiv API, politely."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlencode, urlsplit
from xml.etree.ElementTree import Element

from harvester.clients.http import HttpClient, Reply
from harvester.errors import FetchError, FetchFailure
from harvester.sources.arxiv.reply import Answer, read_answer, stated_error
from harvester.sources.courtesy import Courtesy
from harvester.sources.replies import blames_the_request, status_error
from harvester.sources.xml_guard import parse_xml

PAGE_SIZE = 100
LOOK_UP = "id_list:"

_EMPTY_PAGE_ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class Asker:
    """One query and whom to put it to; ``courtesy`` counts only where that is arXiv itself."""

    base_url: str
    query: str
    client: HttpClient
    courtesy: Courtesy

    def ask(self, start: int) -> Answer:
        """The answer from ``start`` on. arXiv sends an empty page now and then; that is asked for again.

        Raises FetchError: QUERY_REJECTED for what arXiv calls an error, HTTP_STATUS, MALFORMED.
        """
        answer = self._ask_once(start)
        for _ in range(_EMPTY_PAGE_ATTEMPTS - 1):
            if answer.is_plausible:
                break
            answer = self._ask_once(start)
        return answer

    def _ask_once(self, start: int) -> Answer:
        if _is_arxiv(self.base_url):
            self.courtesy.wait()
        reply = self.client.get(self._url(start))
        root = _root(reply)
        error = stated_error(root)
        if error is not None:
            raise FetchError(FetchFailure.QUERY_REJECTED, f"arXiv: {error}", permanent=True, status=reply.status)
        if reply.status != 200:
            raise status_error(reply, permanent=blames_the_request(reply.status))
        return read_answer(root, start)

    def _url(self, start: int) -> str:
        ids = looked_up_ids(self.query)
        parameters = {
            "search_query": "" if ids else " ".join(self.query.split()),
            "id_list": ",".join(ids),
            "sortBy": "lastUpdatedDate",
            "sortOrder": "descending",
            "start": start,
            "max_results": PAGE_SIZE,
        }
        return f"{self.base_url}{'&' if '?' in self.base_url else '?'}{urlencode(parameters)}"


def looked_up_ids(query: str) -> list[str]:
    """The ids after “id_list:”; empty for a search."""
    if not query.startswith(LOOK_UP):
        return []
    return [one for one in (part.strip() for part in query.removeprefix(LOOK_UP).split(",")) if one]


def _is_arxiv(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    return host == "arxiv.org" or host.endswith(".arxiv.org")


def _root(reply: Reply) -> Element:
    """The reply as XML; where the status says that it failed, that matters more than what else came."""
    if reply.status == 200 and reply.body.lstrip()[:14].lower().startswith((b"<!doctype html", b"<html")):
        raise FetchError(FetchFailure.MALFORMED, "An HTML page came instead of a reply of the arXiv API.")
    try:
        return parse_xml(reply.body)
    except FetchError:
        if reply.status == 200:
            raise
        raise status_error(reply, permanent=blames_the_request(reply.status)) from None
