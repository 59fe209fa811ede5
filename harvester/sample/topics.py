"""The topics of the sample world and what becomes of them in its thirteen weeks."""

from __future__ import annotations

from dataclasses import dataclass

from harvester.sample import people, vocabulary
from harvester.sample.people import Lab
from harvester.sample.vocabulary import Field

WEEKS = 13


@dataclass(frozen=True, slots=True)
class Topic:
    """A subject with its life: how many papers appear in each of the thirteen weeks, oldest first.

    A topic of two fields meets the problems of one with the methods of the other and speaks in the words of both.
    """

    key: str
    label: str
    fields: tuple[Field, ...]
    labs: tuple[Lab, ...]
    papers_per_week: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class TopicChange:
    """What happens to topics, and in which week (1 is the oldest) it becomes visible."""

    type: str
    before: tuple[str, ...]
    after: tuple[str, ...]
    week: int


TOPICS = (
    Topic(
        "agent-memory",
        "Agent memory",
        (vocabulary.AGENTS,),
        (people.NORD, people.QUILLMARK),
        (0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 2, 4, 6),
    ),
    Topic(
        "photonic-computing",
        "Photonic computing",
        (vocabulary.PHOTONICS,),
        (people.SELDANE,),
        (1, 1, 2, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0),
    ),
    Topic(
        "neuromorphic-chips",
        "Neuromorphic chips",
        (vocabulary.NEUROMORPHIC,),
        (people.VELLINGEN,),
        (1, 2, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0),
    ),
    Topic(
        "photonic-neuromorphic",
        "Photonic neuromorphic hardware",
        (vocabulary.PHOTONICS, vocabulary.NEUROMORPHIC),
        (people.SELDANE, people.VELLINGEN),
        (0, 0, 0, 0, 0, 0, 0, 1, 1, 2, 1, 2, 2),
    ),
    Topic(
        "quantum-error-correction",
        "Quantum error correction",
        (vocabulary.DECODERS, vocabulary.CODES),
        (people.NORD, people.ALDERMOOR),
        (2, 1, 1, 2, 1, 1, 1, 0, 0, 0, 0, 0, 0),
    ),
    Topic(
        "quantum-decoders",
        "Quantum decoders",
        (vocabulary.DECODERS,),
        (people.NORD,),
        (0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 2, 1, 1),
    ),
    Topic(
        "quantum-codes",
        "Quantum codes",
        (vocabulary.CODES,),
        (people.ALDERMOOR,),
        (0, 0, 0, 0, 0, 0, 0, 1, 1, 2, 1, 1, 1),
    ),
    Topic(
        "solid-state-batteries",
        "Solid-state batteries",
        (vocabulary.BATTERIES,),
        (people.KESTREL,),
        (1, 0, 1, 1, 0, 1, 1, 1, 0, 1, 1, 0, 1),
    ),
    Topic(
        "protein-design",
        "Protein design",
        (vocabulary.PROTEINS,),
        (people.HELIX,),
        (0, 1, 1, 0, 1, 1, 0, 1, 1, 0, 1, 1, 1),
    ),
    Topic(
        "verified-compilers",
        "Verified compilers",
        (vocabulary.COMPILERS,),
        (people.CAIRNHOLT,),
        (1, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0),
    ),
)

TOPIC_CHANGES = (
    TopicChange("emerge", (), ("agent-memory",), week=9),
    TopicChange("merge", ("photonic-computing", "neuromorphic-chips"), ("photonic-neuromorphic",), week=8),
    TopicChange("split", ("quantum-error-correction",), ("quantum-decoders", "quantum-codes"), week=8),
)
