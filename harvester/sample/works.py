"""Makes the works of the sample world: papers by rule, each able to cite those before it, and the posts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from harvester.sample import people, vocabulary, writing
from harvester.sample.outlets import ANNALS, ARXIV
from harvester.sample.people import Person
from harvester.sample.planted import CROSS_LISTED, REPRINTS, STAGED_PAPERS, Proof
from harvester.sample.posts import POSTS, Post
from harvester.sample.topics import TOPICS, WEEKS, Topic
from harvester.sample.writing import Link, LinkScheme, link_to

_WEEK_SECONDS = 7 * 86_400
#: What the journal publishes, in the order of its DOIs.
_IN_ANNALS = (
    *(reprint.work for reprint in REPRINTS if reprint.outlet is ANNALS),
    *(post.key for post in POSTS if post.outlet is ANNALS),
)
#: The preprints whose authors told arXiv where the article appeared.
_KNOWN_TO_ARXIV = frozenset(
    reprint.work for reprint in REPRINTS if reprint.outlet is ANNALS and reprint.proof is Proof.DOI
)


@dataclass(frozen=True, slots=True)
class Credit:
    """An author as a work names them."""

    person: Person
    written: str
    affiliation: str = ""


@dataclass(frozen=True, slots=True)
class Work:
    """A paper, post or release. ``versions`` are the moments it was submitted, the first one its publication.

    ``arxiv_id``, ``comment``, ``journal`` and ``categories`` are what arXiv states of a paper, else empty.
    """

    key: str
    topic: str
    title: str
    url: str
    credits: tuple[Credit, ...]
    paragraphs: tuple[str, ...]
    links: tuple[Link, ...]
    versions: tuple[datetime, ...]
    doi: str = ""
    arxiv_id: str = ""
    comment: str = ""
    journal: str = ""
    categories: tuple[str, ...] = ()

    @property
    def published(self) -> datetime:
        return self.versions[0]


def moment_of(key: str, days: int, midnight: datetime) -> datetime:
    """A moment of the day that lies so many days before midnight; always the same for the same key."""
    return midnight - timedelta(days=days) + timedelta(seconds=writing.dice(f"time of {key}").randrange(86_400))


def annals_doi(key: str, midnight: datetime) -> str:
    """The DOI of what the journal publishes; 10.5555 is the prefix that is set aside for examples."""
    return f"10.5555/annals.{midnight:%Y}.{_IN_ANNALS.index(key) + 1:04d}"


# --- papers --------------------------------------------------------------------------------------------------------


def papers(midnight: datetime) -> list[Work]:
    """All papers, oldest first."""
    schedule = sorted(
        ((moment, topic, number) for topic in TOPICS for number, moment in _moments(topic, midnight)),
        key=lambda slot: slot[0],
    )
    submitted: Counter[date] = Counter()
    made: list[Work] = []
    for moment, topic, number in schedule:
        submitted[moment.date()] += 1
        # Numbers from 90000 on have never been given out; these tell the day and the place within it.
        arxiv_id = f"{moment:%y%m}.9{moment:%d}{submitted[moment.date()]:02d}"
        made.append(_paper(topic, number, moment, arxiv_id, midnight, made))
    return made


def _moments(topic: Topic, midnight: datetime) -> Iterator[tuple[int, datetime]]:
    seconds = sorted(
        week * _WEEK_SECONDS + writing.dice(f"{topic.key} {week} {place}").randrange(_WEEK_SECONDS)
        for week, count in enumerate(topic.papers_per_week)
        for place in range(count)
    )
    begin = midnight - timedelta(weeks=WEEKS)
    return enumerate((begin + timedelta(seconds=second) for second in seconds), start=1)


def _paper(
    topic: Topic, number: int, moment: datetime, arxiv_id: str, midnight: datetime, earlier: Sequence[Work]
) -> Work:
    key = f"{topic.key}-{number:02d}"
    chance = writing.dice(key)
    title, first_author = STAGED_PAPERS.get(key, (writing.paper_title(topic, number), None))
    links = tuple(_paper_links(topic, number, earlier))
    is_known = key in _KNOWN_TO_ARXIV
    return Work(
        key=key,
        topic=topic.key,
        title=title,
        url=f"{ARXIV.base}{arxiv_id}",
        credits=_credits(topic, number, first_author),
        paragraphs=(writing.abstract(topic, number, links),),
        links=links,
        versions=tuple(_versions(key, moment, midnight)),
        doi=annals_doi(key, midnight) if is_known else "",
        arxiv_id=arxiv_id,
        comment=chance.choice(vocabulary.PAPER_COMMENTS),
        journal=f"{ANNALS.title} ({midnight:%Y})" if is_known else "",
        categories=_categories(topic, key),
    )


def _credits(topic: Topic, number: int, first: Person | None) -> tuple[Credit, ...]:
    chance = writing.dice(f"authors {topic.key} {number}")
    team = chance.sample(people.members(topic.labs[number % len(topic.labs)]), chance.randint(2, 4))
    if first is not None:
        team = [first, *(person for person in team if person is not first)]
    is_affiliated = chance.random() < 0.5
    return tuple(
        Credit(person, person.signs, chance.choice(person.lab.spellings) if is_affiliated else "") for person in team
    )


def _versions(key: str, moment: datetime, midnight: datetime) -> Iterator[datetime]:
    chance = writing.dice(f"versions {key}")
    yield moment
    for revision in range(1, chance.choice((1, 1, 2, 3))):
        revised = moment + timedelta(days=9 * revision, seconds=chance.randrange(86_400))
        if revised < midnight:
            yield revised


def _categories(topic: Topic, key: str) -> tuple[str, ...]:
    named = [category for field in topic.fields for category in field.categories]
    crossed = [CROSS_LISTED[key]] if key in CROSS_LISTED else []
    return tuple(dict.fromkeys([*named, *crossed]))


def _paper_links(topic: Topic, number: int, earlier: Sequence[Work]) -> Iterator[Link]:
    chance = writing.dice(f"links {topic.key} {number}")
    relatives = [work for work in earlier if work.topic == topic.key]
    if relatives and chance.random() < 0.4:
        yield link_to(LinkScheme.ARXIV, chance.choice(relatives).arxiv_id, chance)
    elif chance.random() < 0.2:
        archive = topic.fields[0].categories[0].partition(".")[0]
        yield link_to(LinkScheme.ARXIV, vocabulary.CLASSICS[archive], chance)
    published = [work for work in earlier if work.doi]
    if published and chance.random() < 0.15:
        yield link_to(LinkScheme.DOI, chance.choice(published).doi, chance)
    name = writing.system_name(topic, number)
    if name:
        account = topic.labs[number % len(topic.labs)].account
        yield link_to(LinkScheme.GITHUB, f"{account}/{name.lower().replace(' ', '-')}", chance)


# --- posts ---------------------------------------------------------------------------------------------------------


def post(plan: Post, midnight: datetime, known: Sequence[Work]) -> Work:
    """What an outlet publishes itself; ``known`` are the papers it may link to, oldest first."""
    moment = moment_of(plan.key, plan.days, midnight)
    links = tuple(_post_links(plan, [paper for paper in known if paper.published < moment]))
    in_journal = plan.outlet is ANNALS
    return Work(
        key=plan.key,
        topic=plan.topic,
        title=plan.title,
        url=f"{plan.outlet.base}{plan.slug}",
        credits=(Credit(plan.author, plan.author.signs if in_journal else plan.author.name),),
        paragraphs=(plan.text,) if plan.text else writing.paragraphs(_topic(plan.topic), plan.title, links),
        links=links,
        versions=(moment,),
        doi=annals_doi(plan.key, midnight) if in_journal else "",
    )


def _post_links(plan: Post, known: Sequence[Work]) -> Iterator[Link]:
    chance = writing.dice(f"links {plan.key}")
    relatives = [paper for paper in known if paper.topic == plan.topic]
    for paper in relatives[max(len(relatives) - plan.mentions, 0) :]:
        yield link_to(LinkScheme.ARXIV, paper.arxiv_id, chance)
    if plan.repository:
        yield link_to(LinkScheme.GITHUB, plan.repository, chance)


def _topic(key: str) -> Topic:
    return next(topic for topic in TOPICS if topic.key == key)
