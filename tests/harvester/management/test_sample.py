"""`manage.py sample` tells people and machines what happened and leaves what is not the sample's alone."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from harvester.actions import add_source
from harvester.clients.http import GuardedHttpClient
from harvester.management.commands import harvest
from harvester.models import Artifact, Run, Source
from harvester.sample.outlets import SOURCES

pytestmark = pytest.mark.django_db


def printed(*arguments: str) -> str:
    out = StringIO()
    call_command("sample", *arguments, stdout=out)
    return out.getvalue()


def test_loading_harvests_the_world_and_says_how_to_remove_it() -> None:
    text = printed("load")

    assert text.startswith("Loaded the sample world: 9 sources, invented, of the weeks before ")
    assert "Sample: Lab Nord" in text
    assert f"The sample world has {Artifact.objects.count()} artifacts." in text
    assert "`manage.py sample remove`" in text


def test_the_world_leads_up_to_today() -> None:
    result = json.loads(printed("load", "--json"))
    newest = Artifact.objects.latest("published_at").published_at
    age_hours = (datetime.now(UTC) - newest).total_seconds() / 3600

    assert result["anchor"] == f"{datetime.now(UTC):%Y-%m-%d}"
    assert 0 < age_hours < 48


def test_json_has_what_machines_need() -> None:
    result = json.loads(printed("load", "--json"))

    assert result["sources"] == sorted(source.name for source in SOURCES)
    assert (result["created"], result["artifacts"]) == (len(SOURCES), Artifact.objects.count())
    assert (result["run"]["run_id"], result["run"]["status"]) == (Run.objects.get().pk, "succeeded")


def test_loading_again_says_that_it_is_there_and_adds_nothing() -> None:
    printed("load")
    count = Artifact.objects.count()

    assert "is loaded already and stays as it is" in printed("load")
    assert Artifact.objects.count() == count


def test_loading_again_completes_what_is_missing() -> None:
    printed("load", "--no-harvest")
    Source.objects.get(name="Sample: Qubit Notes").delete()

    assert "1 sources were missing" in printed("load", "--no-harvest")


def test_without_harvest_nothing_is_fetched() -> None:
    assert "Nothing was fetched" in printed("load", "--no-harvest")
    assert json.loads(printed("load", "--no-harvest", "--json"))["run"] is None
    assert not Artifact.objects.exists()
    assert not Run.objects.exists()


def test_only_the_samples_own_sources_are_fetched() -> None:
    add_source(kind="feed", name="Own", url="https://own.example/feed")
    printed("load")

    assert "Own" not in {report["name"] for report in Run.objects.get().source_reports}


def test_a_name_that_is_taken_is_code_2() -> None:
    add_source(kind="feed", name="Sample: Lab Nord", url="https://own.example/feed")

    with pytest.raises(CommandError, match="Choose another name") as refused:
        printed("load")
    assert refused.value.returncode == 2


def test_a_world_that_cannot_be_harvested_is_code_1(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(harvest, "build_client", GuardedHttpClient)  # knows no in-process hosts

    with pytest.raises(SystemExit) as failed:
        printed("load")
    assert failed.value.code == 1


def test_removing_counts_what_went() -> None:
    printed("load")
    count = Artifact.objects.count()

    assert printed("remove") == f"Removed the sample world: 9 sources and {count} artifacts.\n"
    assert not Source.objects.exists()


def test_removing_nothing_says_so_and_is_no_failure() -> None:
    assert printed("remove") == "There is no sample world to remove.\n"
    assert json.loads(printed("remove", "--json")) == {"sources_removed": 0, "artifacts_removed": 0}
