"""Where works of the sample world appear, and the sources that watch these places."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from harvester.models import SourceKind


@dataclass(frozen=True, slots=True)
class Outlet:
    """A place on the web where works appear.

    Its address holds the anchor, so a loaded world never shifts. Pages of its entries begin with ``base``, their ids
    with ``id_base``, where these differ.
    """

    key: str
    title: str
    description: str
    host: str
    path: str
    base: str
    id_base: str = ""

    def address(self, anchor: date) -> str:
        return f"https://{self.host}/{anchor.isoformat()}/{self.path}"

    @property
    def home(self) -> str:
        return f"https://{self.host}/"


@dataclass(frozen=True, slots=True)
class SampleSource:
    """A source that watches an outlet; of arXiv only the ``categories``."""

    name: str
    kind: SourceKind
    outlet: Outlet
    categories: tuple[str, ...] = ()

    @property
    def query(self) -> str:
        return " OR ".join(f"cat:{category}" for category in self.categories)


ARXIV = Outlet(
    key="arxiv",
    title="arXiv",
    description="Preprints",
    host="arxiv.sample.invalid",
    path="api/query",
    base="https://arxiv.org/abs/",
)
LAB_NORD = Outlet(
    key="lab-nord",
    title="Lab Nord",
    description="Notes from a laboratory for decoders and agents",
    host="lab-nord.sample.invalid",
    path="feed.xml",
    base="https://lab-nord.sample.invalid/posts/",
)
QUBIT_NOTES = Outlet(
    key="qubit-notes",
    title="Qubit Notes",
    description="Error correction, drawn by hand",
    host="qubit-notes.sample.invalid",
    path="atom.xml",
    base="https://qubit-notes.sample.invalid/",
)
HELIX = Outlet(
    key="helix",
    title="Helix Institute",
    description="Stories and publications of the institute",
    host="helix.sample.invalid",
    path="feed.json",
    base="https://helix.sample.invalid/news/",
)
ANNALS = Outlet(
    key="annals",
    title="Annals of Deep Technology",
    description="Latest articles",
    host="annals.sample.invalid",
    path="latest/rss.rdf",
    base="https://annals.sample.invalid/article/",
)
JUNCTION = Outlet(
    key="junction",
    title="Junction",
    description="A weekly letter about deep technology",
    host="junction.sample.invalid",
    path="rss",
    base="https://junction.sample.invalid/letters/",
)
ENGRAM = Outlet(
    key="engram",
    title="Release notes from engram",
    description="",
    host="code.sample.invalid",
    path="sample-invalid-nord/engram/releases.atom",
    base="https://github.com/sample-invalid-nord/engram/releases/tag/",
    id_base="tag:github.com,2008:Repository/9900000001/",
)

SOURCES = (
    SampleSource("Sample: arXiv, agents and languages", SourceKind.ARXIV, ARXIV, ("cs.AI", "cs.PL")),
    SampleSource("Sample: arXiv, quantum physics", SourceKind.ARXIV, ARXIV, ("quant-ph",)),
    SampleSource(
        "Sample: arXiv, devices, materials and molecules",
        SourceKind.ARXIV,
        ARXIV,
        ("cs.ET", "cond-mat.mtrl-sci", "q-bio.BM"),
    ),
    SampleSource("Sample: Lab Nord", SourceKind.FEED, LAB_NORD),
    SampleSource("Sample: Qubit Notes", SourceKind.FEED, QUBIT_NOTES),
    SampleSource("Sample: Helix Institute", SourceKind.FEED, HELIX),
    SampleSource("Sample: Annals of Deep Technology", SourceKind.FEED, ANNALS),
    SampleSource("Sample: Junction newsletter", SourceKind.FEED, JUNCTION),
    SampleSource("Sample: engram releases", SourceKind.FEED, ENGRAM),
)
