"""The stylesheet keeps its promises: small, layered, and every colour readable on every ground."""

from __future__ import annotations

import re
from itertools import product
from pathlib import Path

import pytest

import harvester.pages

SHEET = (Path(harvester.pages.__file__).parent / "static" / "harvester" / "style.css").read_text(encoding="utf-8")
LIGHT, DARK = (
    dict(re.findall(r"--([a-z]+): (#[0-9a-f]{6});", block))
    for block in re.findall(r":root \{(.*?)\}", SHEET, flags=re.DOTALL)[:2]
)
TEXT = ("ink", "muted", "link", "good", "warn", "bad")
READABLE, VISIBLE = 4.5, 3.0  # WCAG 2.2, 1.4.3 and 1.4.11


def luminance(colour: str) -> float:
    """Relative luminance as WCAG 2.2 defines it."""
    channels = [int(colour[index : index + 2], 16) / 255 for index in (1, 3, 5)]
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def test_black_on_white_is_21() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)


@pytest.mark.parametrize("scheme", [LIGHT, DARK], ids=["light", "dark"])
@pytest.mark.parametrize(("colour", "ground"), list(product(TEXT, ("ground", "surface"))))
def test_text_is_readable(scheme: dict[str, str], colour: str, ground: str) -> None:
    assert contrast(scheme[colour], scheme[ground]) >= READABLE


@pytest.mark.parametrize("scheme", [LIGHT, DARK], ids=["light", "dark"])
def test_what_is_filled_can_be_read_too(scheme: dict[str, str]) -> None:
    assert contrast(scheme["ground"], scheme["ink"]) >= READABLE  # the solid score
    assert contrast(scheme["ground"], scheme["link"]) >= READABLE  # the main button


@pytest.mark.parametrize("scheme", [LIGHT, DARK], ids=["light", "dark"])
@pytest.mark.parametrize("ground", ["ground", "surface"])
def test_edges_of_controls_and_the_focus_can_be_seen(scheme: dict[str, str], ground: str) -> None:
    assert contrast(scheme["edge"], scheme[ground]) >= VISIBLE
    assert contrast(scheme["link"], scheme[ground]) >= VISIBLE
    assert contrast(scheme["link"], scheme["line"]) >= VISIBLE  # a bar against its track


def test_it_is_at_most_12_kb() -> None:
    assert len(SHEET.encode()) <= 12_000


def test_colours_are_named_once_and_used_by_name() -> None:
    named = set(LIGHT.values()) | set(DARK.values())
    written = re.findall(r"#[0-9a-fA-F]{3,8}\b", SHEET)
    assert len(written) == len(LIGHT) + len(DARK)
    assert set(written) <= named
    assert set(LIGHT) == set(DARK)


def test_every_rule_stands_in_a_layer() -> None:
    without_comments = re.sub(r"/\*.*?\*/", "", SHEET, flags=re.DOTALL)
    depth, outside = 0, ""
    for character in without_comments:
        depth += (character == "{") - (character == "}")
        outside += character if depth == 0 else ""
    starts = [line.strip(" }\n") for line in outside.split("{") if line.strip(" }\n")]
    flat = " ".join(" ".join(starts).replace("}", " ").split())
    assert flat == "@layer base, parts, pages; @layer base @layer parts @layer pages @media (forced-colors: active)"


def test_nothing_moves_and_nothing_sticks() -> None:
    assert not re.search(r"animation|transition|position: (sticky|fixed)|@import|url\(", SHEET)
