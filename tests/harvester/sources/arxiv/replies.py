"""Invented replies in the shape of the arXiv API's, and a service that sorts and pages like it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

from harvester.clients.http import Reply

NEWEST = datetime(2024, 6, 30, 12, tzinfo=UTC)

PAPER = """
  <entry>
    <id>http://arxiv.org/abs/2401.00007v3</id>
    <title>Memory for
      tool-using   agents</title>
    <updated>2024-02-03T04:05:06Z</updated>
    <link href="https://arxiv.org/abs/2401.00007v3" rel="alternate" type="text/html"/>
    <link href="https://arxiv.org/pdf/2401.00007v3" rel="related" type="application/pdf" title="pdf"/>
    <summary>  We remember
 what was  asked. </summary>
    <category term="cs.LG" scheme="http://arxiv.org/schemas/atom"/>
    <category term="cs.AI" scheme="http://arxiv.org/schemas/atom"/>
    <category term="cs.LG" scheme="http://arxiv.org/schemas/atom"/>
    <published>2024-01-02T03:04:05Z</published>
    <arxiv:comment>12 pages,
      3 figures</arxiv:comment>
    <arxiv:primary_category term="cs.LG"/>
    <arxiv:journal_ref>J. Mem. 4 (2024) 1-12</arxiv:journal_ref>
    <arxiv:doi>10.1000/MEM.7</arxiv:doi>
    <author><name>Ann Lee</name><arxiv:affiliation>Lab Nord</arxiv:affiliation></author>
    <author><name>Bo  Chen</name></author>
    <author><name> </name></author>
  </entry>"""


def paper(number: int, *, version: int = 1, updated: datetime = NEWEST, title: str = "A paper") -> str:
    return f"""
  <entry>
    <id>http://arxiv.org/abs/2401.{number:05}v{version}</id>
    <title>{title}</title>
    <updated>{updated:%Y-%m-%dT%H:%M:%SZ}</updated>
    <published>{updated:%Y-%m-%dT%H:%M:%SZ}</published>
    <author><name>Ann Lee</name></author>
  </entry>"""


def atom(*entries: str, start: int = 0, total: int | None = None) -> str:
    count = "" if total is None else f"<opensearch:totalResults>{total}</opensearch:totalResults>"
    return f"""<?xml version='1.0' encoding='UTF-8'?>
<feed xmlns:opensearch="http://a9.com/-/spec/opensearch/1.1/" xmlns:arxiv="http://arxiv.org/schemas/atom"
      xmlns="http://www.w3.org/2005/Atom">
  <id>https://arxiv.org/api/x</id>
  <title>arXiv Query</title>
  <updated>2024-07-01T00:00:00Z</updated>
  {count}<opensearch:startIndex>{start}</opensearch:startIndex>{"".join(entries)}
</feed>"""


ERROR = atom(
    """
  <entry>
    <id>https://arxiv.org/api/errors#incorrect_id_format_for_nonsense</id>
    <title>Error</title>
    <summary>incorrect id format for nonsense</summary>
    <author><name>arXiv api core</name></author>
  </entry>""",
    total=1,
)


@dataclass
class Service:
    """Papers as (number, time of the last change), served newest change first; ``starts`` is what it was asked."""

    papers: list[tuple[int, datetime]]
    page_size: int = 100
    starts: list[int] = field(default_factory=list)
    parameters: dict[str, list[str]] = field(default_factory=dict)

    @classmethod
    def with_papers(cls, count: int, *, every: timedelta = timedelta(hours=1)) -> Service:
        return cls([(number, NEWEST - number * every) for number in range(count)])

    def publish(self, *numbers: int, at: datetime) -> None:
        self.papers = [(number, at) for number in numbers] + [one for one in self.papers if one[0] not in numbers]

    def __call__(self, url: str) -> Reply:
        self.parameters = parse_qs(urlsplit(url).query)
        start, size = int(self.parameters["start"][0]), min(self.page_size, int(self.parameters["max_results"][0]))
        self.starts.append(start)
        return reply(atom(*entries_of(self.papers[start : start + size]), start=start, total=len(self.papers)), url)


def entries_of(papers: Sequence[tuple[int, datetime]]) -> list[str]:
    return [paper(number, updated=updated) for number, updated in papers]


def reply(body: str, url: str = "", status: int = 200) -> Reply:
    return Reply(url, status, {}, body.encode())
