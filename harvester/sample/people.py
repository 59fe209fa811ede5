"""The invented people of the sample world and the laboratories they work in."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Lab:
    """A laboratory; ``spellings`` are the ways its members write it, ``account`` its name where code is hosted."""

    name: str
    spellings: tuple[str, ...]
    account: str


@dataclass(frozen=True, slots=True)
class Person:
    """``signature`` is how somebody signs papers if not with the full name."""

    given: str
    family: str
    lab: Lab
    signature: str = ""

    @property
    def name(self) -> str:
        return f"{self.given} {self.family}"

    @property
    def signs(self) -> str:
        return self.signature or self.name


@dataclass(frozen=True, slots=True)
class Homonym:
    """One name as written that means several people."""

    written: str
    people: tuple[Person, ...]


NORD = Lab("Lab Nord", ("Lab Nord, Skarholm", "Lab Nord", "Skarholm, Lab Nord"), "sample-invalid-nord")
QUILLMARK = Lab(
    "Quillmark Institute for Adaptive Systems",
    ("Quillmark Institute for Adaptive Systems", "Quillmark Institute", "Inst. for Adaptive Systems, Quillmark"),
    "sample-invalid-quillmark",
)
HELIX = Lab("Helix Institute", ("Helix Institute, Marlowe Bay", "Helix Institute"), "sample-invalid-helix")
KESTREL = Lab(
    "Kestrel Materials Group",
    ("Kestrel Materials Group, University of Aldermoor", "University of Aldermoor", "Univ. of Aldermoor"),
    "sample-invalid-kestrel",
)
SELDANE = Lab(
    "Optical Processing Laboratory",
    ("Optical Processing Laboratory, Port Seldane", "Optical Processing Lab, Port Seldane"),
    "sample-invalid-seldane",
)
VELLINGEN = Lab(
    "Centre for Brain-like Circuits",
    ("Centre for Brain-like Circuits, Vellingen", "Center for Brain-Like Circuits, Vellingen"),
    "sample-invalid-vellingen",
)
ALDERMOOR = Lab(
    "Quantum Codes Group",
    ("Quantum Codes Group, University of Aldermoor", "Univ. of Aldermoor, Quantum Codes Group"),
    "sample-invalid-aldermoor",
)
CAIRNHOLT = Lab(
    "Cairnholt Foundry for Trusted Software",
    ("Cairnholt Foundry for Trusted Software", "Foundry for Trusted Software, Cairnholt"),
    "sample-invalid-cairnholt",
)

JANA = Person("Jana", "Müller", NORD, signature="J. Müller")
JONAS = Person("Jonas", "Müller", KESTREL, signature="J. Müller")
SINDRE = Person("Sindre", "Aakvold", NORD)
ODILE = Person("Odile", "Farrangue", QUILLMARK)
ILSE = Person("Ilse", "Varnholt", HELIX)
NAOKO = Person("Naoko", "Hirasedo", SELDANE)
TAMSIN = Person("Tamsin", "Wrexley", QUILLMARK)
AMADOU = Person("Amadou", "Keitassé", HELIX)
ZOFIA = Person("Zofia", "Brzezanek", KESTREL)
MIREILLE = Person("Mireille", "Oudenkamp", VELLINGEN)

PEOPLE = (
    JANA,
    SINDRE,
    Person("Maren", "Tjeldstadt", NORD),
    Person("Ravi", "Chandrapalan", NORD),
    ODILE,
    Person("Kenji", "Itomura", QUILLMARK),
    TAMSIN,
    Person("Bo", "Lindqvarn", QUILLMARK),
    ILSE,
    AMADOU,
    Person("Priya", "Nambirajan", HELIX),
    Person("Leif", "Osterhagen", HELIX),
    JONAS,
    ZOFIA,
    Person("Thandeka", "Molefakeng", KESTREL),
    Person("Dario", "Benvegnati", KESTREL),
    NAOKO,
    Person("Émile", "Duchastelle", SELDANE),
    Person("Carys", "Penhalloway", SELDANE),
    Person("Viktor", "Sandrovsky", SELDANE),
    MIREILLE,
    Person("Santiago", "Quevedral", VELLINGEN),
    Person("Aylin", "Demirsoylu", VELLINGEN),
    Person("Jürgen", "Halbritter-Voss", VELLINGEN),
    Person("Anneliese", "Grotewaldt", ALDERMOOR),
    Person("Farid", "Mansourabad", ALDERMOOR),
    Person("Chiara", "Lombardegna", ALDERMOOR),
    Person("Pavel", "Dobrenkov", ALDERMOOR),
    Person("Siobhán", "Mac Cathrae", CAIRNHOLT),
    Person("Tadeusz", "Wolnikar", CAIRNHOLT),
    Person("Hana", "Kurosaki-Blum", CAIRNHOLT),
    Person("Oluwaseun", "Adebanwo", CAIRNHOLT),
)

HOMONYMS = (Homonym("J. Müller", (JANA, JONAS)),)


def members(lab: Lab) -> tuple[Person, ...]:
    return tuple(person for person in PEOPLE if person.lab is lab)
