"""Writes the titles and texts of the sample world from its vocabulary; the same words for the same work, always."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from random import Random

from harvester.sample import vocabulary
from harvester.sample.topics import Topic

_SMALL_WORD = re.compile(
    "a|across|against|among|and|around|at|between|beyond|by|during|for|from|in|of|on|over|the|through|to|with"
)


class LinkScheme(StrEnum):
    """What an explicit link in a text points at."""

    ARXIV = "arxiv"
    DOI = "doi"
    GITHUB = "github"


@dataclass(frozen=True, slots=True)
class Link:
    """An explicit link: its target in normal form, and as it is written in the text."""

    scheme: LinkScheme
    value: str
    written: str


def dice(key: str) -> Random:
    """Chance that falls the same way for the same key, whatever else the world contains."""
    return Random(key)  # noqa: S311 - invents texts, guards nothing


def link_to(scheme: LinkScheme, value: str, chance: Random) -> Link:
    """A link in one of the ways people write it."""
    return Link(scheme, value, chance.choice(vocabulary.LINK_FORMS[scheme]).format(value=value))


def paper_title(topic: Topic, number: int) -> str:
    problem, method, name = _subject(topic, number)
    pattern = vocabulary.NAMED_TITLE if name else dice(f"title {topic.key} {number}").choice(vocabulary.TITLES)
    return _title_case(pattern.format(problem=problem, method=method, name=name))


def system_name(topic: Topic, number: int) -> str:
    """What the authors call what they built; empty for most papers."""
    return _subject(topic, number)[2]


def abstract(topic: Topic, number: int, links: tuple[Link, ...]) -> str:
    """Four to seven sentences: why, what, how it was tried, what came out, what remains, and links."""
    chance = dice(f"abstract {topic.key} {number}")
    problem, method, name = _subject(topic, number)
    claim = vocabulary.NAMED_CLAIM if name else chance.choice(vocabulary.CLAIMS)
    first, last = topic.fields[0], topic.fields[-1]
    sentences = [
        chance.choice(first.contexts),
        claim.format(problem=problem, method=method, name=name),
        chance.choice(vocabulary.TRIALS).format(setting=chance.choice(last.settings)),
        _numbered(chance.choice(first.findings), chance),
        chance.choice(last.limits),
        *(chance.choice(vocabulary.PAPER_LINKS[link.scheme]).format(link=link.written) for link in links),
    ]
    return " ".join(sentences)


def paragraphs(topic: Topic, title: str, links: tuple[Link, ...]) -> tuple[str, ...]:
    """A post: why it matters, what was tried, and where to read on."""
    chance = dice(f"post {topic.key} {title}")
    first, last = topic.fields[0], topic.fields[-1]
    tried = vocabulary.POST_TRIAL.format(
        problem=chance.choice(first.problems), method=chance.choice(last.methods), setting=chance.choice(last.settings)
    )
    return (
        f"{chance.choice(first.contexts)} {chance.choice(last.limits)}",
        f"{tried} {_numbered(chance.choice(first.findings), chance)}",
        *((" ".join(_read_on(place, link) for place, link in enumerate(links)),) if links else ()),
    )


def _read_on(place: int, link: Link) -> str:
    forms = vocabulary.POST_LINKS[link.scheme]
    return forms[place % len(forms)].format(link=link.written)


def _subject(topic: Topic, number: int) -> tuple[str, str, str]:
    """Problem, method and name of a topic's n-th paper (from 1); no two papers of a topic share problem and method."""
    asking, answering = topic.fields[0], topic.fields[-1]
    if number % 2 == 0:
        asking, answering = answering, asking
    round_, place = divmod(number - 1, len(asking.problems))
    problem = asking.problems[place]
    method = answering.methods[(3 * place + round_) % len(answering.methods)]
    is_named = len(topic.fields) == 1 and number % 4 == 2 and number // 4 < len(asking.names)
    return problem, method, asking.names[number // 4] if is_named else ""


def _numbered(finding: str, chance: Random) -> str:
    return finding.format(
        low=chance.randint(31, 58), high=chance.randint(67, 93), gain=chance.randint(4, 11), factor=chance.randint(2, 9)
    )


def _title_case(text: str) -> str:
    words = text.split(" ")
    return " ".join(
        word
        if index and _SMALL_WORD.fullmatch(word) and not words[index - 1].endswith(":")
        else word[:1].upper() + word[1:]
        for index, word in enumerate(words)
    )
