"""The product's metrics and the app's, as the product has them together, break no rule of Prometheus'."""

from __future__ import annotations

from pathlib import Path

import pytest

from observability.catalogue import Metric, catalogue
from tests.harvester.moving import declared
from tests.installation import installation
from tests.observability import test_catalogue as rules
from tests.observability.test_prometheus import MOVE_EVERYTHING, findings

WHOLE = [metric for metric in catalogue() if not metric.name.startswith("made_by_a_test")]
SHOW = """
from django.core.management import call_command
call_command("metrics", "--values")
"""


def test_the_whole_catalogue_is_judged() -> None:
    names = {metric.name for metric in WHOLE}
    assert names > set(declared())
    assert {"http_requests_total", "errors_total"} <= names - set(declared())


@pytest.mark.parametrize("metric", WHOLE, ids=lambda metric: metric.name)
def test_each_is_named_and_told_as_prometheus_wants_it(metric: Metric) -> None:
    rules.test_a_declared_metric_is_named_and_told_as_prometheus_wants_it(metric)
    rules.test_a_label_of_a_declared_metric_has_values_that_can_be_told_apart(metric)


def test_together_they_follow_the_rules_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules, "OWN", WHOLE)
    rules.test_a_duration_is_in_seconds_and_has_buckets_unless_it_is_the_last_one()
    rules.test_one_label_has_one_set_of_values_wherever_it_is()
    rules.test_every_series_of_closed_labels_exists_from_the_start()
    rules.test_every_live_metric_is_in_the_catalogue()


@pytest.mark.parametrize("before", ["", MOVE_EVERYTHING], ids=["fresh", "moved"])
def test_promtool_finds_nothing_to_say_of_the_page(tmp_path: Path, before: str) -> None:
    with installation(tmp_path) as ready:
        page = ready.manage("shell", "-v", "0", "-c", before + SHOW).stdout
    shown = {line.split()[2] for line in page.splitlines() if line.startswith("# TYPE ")}
    assert {
        "rate_limit_requests_total",
        "discovery_backlog",
        "db_connections_active",
        "django_model_inserts_total",
    } <= shown
    assert findings(page) == ""
