"""The reference page says of every declared metric all that its declaration says."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from observability.catalogue import Budget, Closed, Kind, Label, Metric, Mode, catalogue
from observability.reference import EXTERNAL, MODES, as_data, lines, load_catalogue, page, processes_in_words

load_catalogue()
APPLES = Metric(
    name="apples_total",
    kind=Kind.COUNTER,
    help="Apples that fell | were picked.",
    group="Fruit",
    labels=(Label("colour", Closed(("red", "green"))), Label("garden", Budget(1200))),
    slo="supply",
)
SIZES = Metric(
    name="apple_size_bytes", kind=Kind.HISTOGRAM, help="Sizes.", group="Fruit", buckets=(0.00001, 0.5, 1, 16_777_216)
)
BASKETS = Metric(name="baskets", kind=Kind.GAUGE, help="Baskets.", group="Things", mode=Mode.LIVE_SUM)
CELLARS = Metric(name="cellars", kind=Kind.GAUGE, help="Cellars.", group="Things", pulled=True)
ALL = (APPLES, SIZES, BASKETS, CELLARS)


def rows(text: str) -> dict[str, dict[str, str]]:
    """Name → title of the column → cell, over all tables."""
    found: dict[str, dict[str, str]] = {}
    for table in re.findall(r"(?:^\|.*\|$\n?)+", text, flags=re.MULTILINE):
        titles, _, *cells = [
            [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in table.splitlines()
        ]
        assert {len(row) for row in cells} == {len(titles)}
        found |= {row[0].strip("`"): dict(zip(titles, row, strict=True)) for row in cells}
    return found


def test_a_metric_has_a_row_with_all_that_is_declared() -> None:
    assert rows(page(ALL))["apples_total"] == {
        "metric": "`apples_total`",
        "type": "counter",
        "unit": "",
        "meaning": r"Apples that fell \| were picked.",
        "labels": "`colour`: `red`, `green`<br>`garden`: up to 1,200, then `other`",
        "buckets": "",
        "several processes": "added up; those that ended still count",
        "objective": "supply",
    }
    assert rows(page(ALL))["apple_size_bytes"]["buckets"] == "0.00001 0.5 1 16777216"


def test_groups_are_chapters_in_their_order_and_external_metrics_the_last() -> None:
    assert re.findall(r"^## (.+)$", page(ALL), flags=re.MULTILINE) == ["Fruit", "Things", "Of others"]


def test_a_column_in_which_nothing_stands_is_left_out() -> None:
    assert set(rows(page(ALL))["baskets"]) == {"metric", "type", "meaning", "several processes"}


def test_a_pulled_metric_is_told_apart() -> None:
    assert processes_in_words(CELLARS) != processes_in_words(BASKETS)
    assert "when the page is made" in rows(page(ALL))["cellars"]["several processes"]


def test_every_mode_has_words_of_its_own() -> None:
    assert set(MODES) == set(Mode)
    assert len(set(MODES.values())) == len(Mode)


def test_an_appendix_ends_the_page_as_it_is() -> None:
    assert page(ALL, "\n## More\n\n| a | b |\n\n\n").endswith("\n\n## More\n\n| a | b |\n")
    assert page(ALL, " \n") == page(ALL)


def test_it_says_how_it_is_made() -> None:
    assert "manage.py metrics --markdown" in page(ALL).partition("## ")[0]


def test_it_is_the_same_each_time_and_ends_with_one_line_end() -> None:
    assert page(catalogue()) == page(catalogue())
    assert page(ALL).endswith("|\n")
    assert "\n\n\n" not in page(ALL)
    assert all(line == line.rstrip() for line in page(ALL).splitlines())


def test_a_page_of_no_metrics_is_one_of_others_only() -> None:
    assert set(rows(page(()))) == {one.name for one in EXTERNAL}
    assert list(lines(())) == []


def test_every_metric_of_the_catalogue_is_on_the_page_and_no_other() -> None:
    expected = {metric.name for metric in catalogue()} | {one.name for one in EXTERNAL}
    assert set(rows(page(catalogue()))) == expected
    for metric in catalogue():
        row = rows(page(catalogue()))[metric.name]
        assert row["meaning"].replace("\\|", "|") == metric.help
        for label in metric.labels:
            assert f"`{label.name}`" in row["labels"]


def test_names_have_the_namespace(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is read when a metric is made, and holds as long as the process."""
    monkeypatch.setattr("observability.reference.full_name", "shop_{}".format)
    assert "shop_apples_total" in rows(page(ALL))
    assert as_data(ALL)["metrics"][0]["name"] == "shop_apples_total"
    assert next(line for line in lines(ALL) if "apples" in line).split()[0] == "shop_apples_total"


def test_a_terminal_shows_columns() -> None:
    assert list(lines(ALL)) == [
        "Fruit",
        "  apples_total      counter           Apples that fell | were picked.",
        "      colour  red, green",
        "      garden  up to 1,200, then other",
        "  apple_size_bytes  histogram  bytes  Sizes.",
        "",
        "Things",
        "  baskets           gauge             Baskets.",
        "  cellars           gauge             Cellars.",
    ]


def test_other_programs_get_everything() -> None:
    told: dict[str, Any] = json.loads(json.dumps(as_data(ALL)))
    apples, sizes, baskets, cellars = told["metrics"]
    assert apples == {
        "name": "apples_total",
        "type": "counter",
        "unit": "",
        "help": "Apples that fell | were picked.",
        "group": "Fruit",
        "labels": [
            {"name": "colour", "values": ["red", "green"], "most": None, "other": ""},
            {"name": "garden", "values": None, "most": 1200, "other": "other"},
        ],
        "buckets": [],
        "mode": None,
        "pulled": False,
        "slo": "supply",
    }
    assert sizes["buckets"] == [0.00001, 0.5, 1, 16_777_216]
    assert (baskets["mode"], baskets["pulled"]) == ("livesum", False)
    assert (cellars["mode"], cellars["pulled"]) == (None, True)
    assert {one["name"] for one in told["external"]} == {one.name for one in EXTERNAL}


def test_no_external_metric_is_declared_here_too() -> None:
    assert not {metric.name for metric in catalogue()} & {one.name for one in EXTERNAL}


def test_external_metrics_are_what_the_library_registers() -> None:
    from django_prometheus import models

    made = (models.model_inserts, models.model_updates, models.model_deletes)
    assert {(f"{one._name}_total", one._type, one._labelnames) for one in made} == {
        (one.name, str(one.kind), one.labels) for one in EXTERNAL if one.source == "django-prometheus"
    }
