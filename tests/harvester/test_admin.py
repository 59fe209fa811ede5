"""The admin: what operators may change there, and that its lists cost the same for any number of rows."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import Group, Permission
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from harvester.actions import WORKER_COMMAND
from harvester.errors import FetchError, FetchFailure
from harvester.models import (
    MAX_ATTEMPTS,
    Artifact,
    ArtifactStage,
    Identifier,
    Relationship,
    Run,
    RunStatus,
    Source,
    SourceState,
    User,
)
from ratelimit.models import ApiKey, TierAssignment
from tests.factories import (
    make_artifact,
    make_artifacts,
    make_identifier,
    make_run,
    make_same_work,
    make_source,
    make_staff,
    make_user,
    make_worker,
)
from tests.fakes import FakeWeb, rss, rss_item
from tests.harvester.pages.reading import elements, text_of

pytestmark = pytest.mark.django_db

LISTED = {
    "harvester/source": Source,
    "harvester/artifact": Artifact,
    "harvester/relationship": Relationship,
    "harvester/run": Run,
    "harvester/user": User,
    "ratelimit/apikey": ApiKey,
    "ratelimit/tierassignment": TierAssignment,
}
HOSTILE = "<script>window.ran=1</script>"


@pytest.fixture
def operator(client: Client) -> Client:
    client.force_login(make_staff("anna", is_superuser=True))
    return client


def act(client: Client, model: str, action: str, *chosen: Any) -> str:
    """What the admin says after an action on these rows."""
    form = {"action": action, "_selected_action": [row.pk for row in chosen]}
    response = client.post(f"/admin/harvester/{model}/", form, follow=True)
    (said,) = elements(response.content, "ul", class_="messagelist")
    return " ".join(said.text.split())


# --- lists ---------------------------------------------------------------------------------------------------------


def fill(number: int) -> None:
    sources = Source.objects.bulk_create(Source(name=f"Source {index}", kind="feed") for index in range(number))
    artifacts = make_artifacts(sources[0], number)
    make_same_work(artifacts)
    owners = User.objects.bulk_create(User(username=f"owner{index}") for index in range(number))
    Run.objects.bulk_create(Run(owner=owner) for owner in owners)
    TierAssignment.objects.bulk_create(TierAssignment(user=owner, tier="premium", note="1") for owner in owners)
    ApiKey.objects.bulk_create(
        ApiKey(name="key 1", owner=owner, prefix=f"{index:08}", key_hash=f"{index:064}")
        for index, owner in enumerate(owners)
    )


@pytest.mark.parametrize("number", [10, 1000])
@pytest.mark.parametrize("name", LISTED)
def test_a_list_costs_at_most_eight_queries(
    operator: Client, django_assert_max_num_queries: Any, number: int, name: str
) -> None:
    fill(number)
    for query in ("", "?q=1"):
        with django_assert_max_num_queries(8):
            response = operator.get(f"/admin/{name}/{query}")
        assert response.status_code == 200
    rows = elements(operator.get(f"/admin/{name}/").content, "input", class_="action-select")
    assert len(rows) == (0 if "relationship" in name else min(number + ("user" in name), 50))


@pytest.mark.parametrize("model", [*LISTED.values(), Group])
def test_every_list_keeps_the_same_house_rules(model: Any) -> None:
    registered = admin.site.get_model_admin(model)
    assert registered.list_per_page == 50
    assert registered.show_full_result_count is False
    assert registered.filter_horizontal == ()


@pytest.mark.parametrize(
    "query",
    [
        "source/?kind__exact=feed&state__exact=active&failing=yes",
        "source/?failing=no",
        "source/?q=source",
        *(f"artifact/?band={word}" for word in ("notify", "strong", "fair", "low", "none")),
        "artifact/?kind__exact=post&failed_stage=score",
        "artifact/?failed_stage=any",
        "artifact/?failed_stage=given-up",
        "relationship/?type__exact=same_as&method__exact=doi&q=artifact",
        "run/?status__exact=queued&trigger=page",
    ],
)
def test_filters_and_search_answer(operator: Client, query: str) -> None:
    fill(3)
    assert operator.get(f"/admin/harvester/{query}").status_code == 200


def test_bands_are_told_apart_by_the_decayed_score(operator: Client) -> None:
    now = timezone.now()
    source = make_source()
    for title, score, age in (("top", 95, 0), ("faded", 95, 6), ("middle", 50, 0), ("bottom", 5, 0)):
        make_artifact(source, score=score, title=title, published_at=now - timedelta(days=age))
    make_artifact(source, score=None, title="unscored")

    def shown(word: str) -> list[str]:
        html = operator.get(f"/admin/harvester/artifact/?band={word}").content
        return [cell.text for cell in elements(html, "th", class_="field-title")]

    assert [shown(word) for word in ("notify", "strong", "fair", "low", "none")] == [
        ["top"],
        ["faded"],
        ["middle"],
        ["bottom"],
        ["unscored"],
    ]


# --- sources -------------------------------------------------------------------------------------------------------

ADDED = {
    "name": "Lab Nord",
    "kind": "feed",
    "url": "https://nord.example/feed.xml",
    "query": "",
    "interval_seconds": 3600,
}


def test_an_operator_adds_a_source(operator: Client) -> None:
    assert operator.post("/admin/harvester/source/add/", ADDED).status_code == 302
    source = Source.objects.get()
    assert (source.name, source.url, source.state) == ("Lab Nord", "https://nord.example/feed.xml", SourceState.ACTIVE)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"url": ""}, "url"),
        ({"url": "ftp://nord.example/feed"}, "url"),
        ({"url": "javascript:alert(1)"}, "url"),
        ({"url": "https://nord.example/\nx"}, "url"),
        ({"kind": "arxiv", "url": "", "query": ""}, "query"),
        ({"kind": "carrier pigeon"}, "kind"),
        ({"name": " "}, "name"),
        ({"name": "a\nb"}, "name"),
        ({"name": "x" * 201}, "name"),
        ({"name": "TAKEN"}, "name"),
    ],
)
def test_what_can_never_work_is_refused_beside_its_field(operator: Client, change: dict[str, str], field: str) -> None:
    make_source("Taken")
    response = operator.post("/admin/harvester/source/add/", ADDED | change)
    assert response.status_code == 200
    assert set(response.context["adminform"].form.errors) == {field}
    assert Source.objects.count() == 1


def test_a_changed_address_is_read_from_the_beginning(operator: Client) -> None:
    source = make_source("Lab Nord", url="https://old.example/", cursor={"page": 7}, etag='"x"', consecutive_failures=3)
    form = {"name": "Lab Nord", "url": "https://old.example/", "query": "", "state": "active", "interval_seconds": 60}
    operator.post(f"/admin/harvester/source/{source.pk}/change/", form)
    source.refresh_from_db()
    assert (source.cursor, source.interval_seconds) == ({"page": 7}, 60)
    operator.post(f"/admin/harvester/source/{source.pk}/change/", form | {"url": "https://new.example/"})
    source.refresh_from_db()
    assert (source.url, source.cursor, source.etag, source.consecutive_failures) == ("https://new.example/", {}, "", 0)


def test_saving_writes_only_what_was_changed(operator: Client) -> None:
    source = make_source("Lab Nord", url="https://old.example/", cursor={"page": 7})
    form = {"name": "Lab Nord", "url": source.url, "query": "", "state": "active", "interval_seconds": "600"}
    with CaptureQueriesContext(connection) as queries:
        operator.post(f"/admin/harvester/source/{source.pk}/change/", form)
    (update,) = [query["sql"] for query in queries if query["sql"].startswith('UPDATE "harvester_source"')]
    assert "interval_seconds" in update
    assert "cursor" not in update
    assert "claimed_by" not in update


def test_cursor_and_kind_cannot_be_edited(operator: Client) -> None:
    source = make_source("Lab Nord", cursor={"page": 7})
    form = {"name": "Lab Nord", "url": source.url, "state": "active", "interval_seconds": 60}
    operator.post(f"/admin/harvester/source/{source.pk}/change/", form | {"cursor": "{}", "kind": "arxiv"})
    source.refresh_from_db()
    assert (source.cursor, source.kind) == ({"page": 7}, "feed")


def test_sources_are_fetched_paused_and_resumed(operator: Client) -> None:
    one, two = make_source("One"), make_source("Two")
    said = act(operator, "source", "fetch_now", one, two)
    assert {run.parameters["source"] for run in Run.objects.all()} == {"One", "Two"}
    assert {(run.trigger, run.owner) for run in Run.objects.all()} == {("admin", User.objects.get())}
    assert WORKER_COMMAND in said
    make_worker()
    assert WORKER_COMMAND not in act(operator, "source", "fetch_now", one)
    act(operator, "source", "pause", one)
    assert Source.objects.get(name="One").state == SourceState.PAUSED
    act(operator, "source", "resume", one)
    assert Source.objects.get(name="One").state == SourceState.ACTIVE


def test_a_source_is_checked_without_storing_anything(operator: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    good = make_source("Good", url="https://good.example/")
    bad = make_source("Bad", url="https://bad.example/")
    web = FakeWeb(
        {
            "https://good.example/": rss(rss_item("1", title=f"First {HOSTILE.replace('<', '&lt;')}")),
            "https://bad.example/": FetchError(FetchFailure.HTTP_STATUS, "503 Service Unavailable"),
        }
    )
    monkeypatch.setattr("harvester.admin.sources.build_client", lambda: web)
    assert "Good works: First" in act(operator, "source", "check_one", good)
    assert "Bad does not work: 503 Service Unavailable" in act(operator, "source", "check_one", bad)
    assert "Choose one source" in act(operator, "source", "check_one", good, bad)
    assert not Artifact.objects.exists()


def test_a_source_is_removed_with_its_artifacts_after_their_number_was_said(
    operator: Client, django_assert_max_num_queries: Any
) -> None:
    source = make_source("Lab Nord")
    make_artifacts(source, 300)
    with django_assert_max_num_queries(8):
        html = operator.get(f"/admin/harvester/source/{source.pk}/delete/").content
    assert "Lab Nord, and the 300 artifacts found there" in html.decode()
    operator.post(f"/admin/harvester/source/{source.pk}/delete/", {"post": "yes"})
    assert not Source.objects.exists()
    assert not Artifact.objects.exists()


def test_many_sources_are_removed_at_once(operator: Client) -> None:
    one, two = make_source("One"), make_source("Two")
    form = {"action": "delete_selected", "_selected_action": [one.pk, two.pk]}
    assert b"Two, and the 0 artifacts found there" in operator.post("/admin/harvester/source/", form).content
    operator.post("/admin/harvester/source/", form | {"post": "yes"})
    assert not Source.objects.exists()


# --- artifacts, relationships, runs --------------------------------------------------------------------------------


def test_an_artifact_shows_everything_and_lets_nothing_be_edited(
    operator: Client, django_assert_max_num_queries: Any
) -> None:
    artifact = make_artifact(make_source("Here"), title="A title", raw={"as": "read"}, metadata={"version": "v2"})
    make_identifier(artifact, "10.5555/x")
    make_same_work([artifact, *(make_artifact(title=f"Other {index}") for index in range(5))])
    with django_assert_max_num_queries(15):
        response = operator.get(f"/admin/harvester/artifact/{artifact.pk}/change/")
    text = text_of(response.content)
    for said in (
        "A title",
        '"as": "read"',
        '"version": "v2"',
        "Ada Lovelace",
        "10.5555/x",
        "Other 4",
        "What it is about.",
    ):
        assert said in text
    editable = [field.attributes.get("name") for field in elements(response.content, "input", type="text")]
    assert editable == []
    assert operator.get("/admin/harvester/artifact/add/").status_code == 403
    assert operator.post(f"/admin/harvester/artifact/{artifact.pk}/change/", {"title": "x"}).status_code == 403
    assert operator.post(f"/admin/harvester/artifact/{artifact.pk}/delete/", {"post": "yes"}).status_code == 403


def test_a_failed_stage_is_tried_again_and_a_score_asked_for_anew(operator: Client) -> None:
    failed = make_artifact(score=None, failed_stage="score", error="odd", attempts=MAX_ATTEMPTS)
    scored = make_artifact()
    assert act(operator, "artifact", "retry", failed, scored).startswith("1 of them had failed")
    failed.refresh_from_db()
    assert (failed.attempts, failed.is_given_up, failed.error) == (0, False, "")
    act(operator, "artifact", "rescore", scored)
    scored.refresh_from_db()
    assert scored.stage == ArtifactStage.LINKED


def test_relationships_and_runs_are_looked_at_only(operator: Client) -> None:
    one, two = make_artifact(), make_artifact()
    (link,) = make_same_work([one, two])
    run = make_run(parameters={"source": "Lab Nord"}, stage_reports=[{"stage": "score", "processed": 12, "failed": 0}])
    for name, row in (("relationship", link), ("run", run)):
        assert operator.get(f"/admin/harvester/{name}/{row.pk}/change/").status_code == 200
        assert operator.get(f"/admin/harvester/{name}/add/").status_code == 403
        assert operator.post(f"/admin/harvester/{name}/{row.pk}/change/", {}).status_code == 403
        assert operator.post(f"/admin/harvester/{name}/{row.pk}/delete/", {"post": "yes"}).status_code == 403
    assert "Lab Nord" in text_of(operator.get(f"/admin/harvester/run/{run.pk}/change/").content)


def test_a_queued_run_is_cancelled_and_an_old_one_repeated(operator: Client) -> None:
    queued = make_run()
    done = make_run(status=RunStatus.SUCCEEDED, parameters={"stage": "score", "limit": 5})
    assert act(operator, "run", "cancel", queued, done).startswith("1 cancelled.")
    queued.refresh_from_db()
    done.refresh_from_db()
    assert (queued.status, done.status) == (RunStatus.CANCELLED, RunStatus.SUCCEEDED)
    act(operator, "run", "run_again", done)
    again = Run.objects.latest("pk")
    assert (again.status, again.parameters, again.trigger) == (
        RunStatus.QUEUED,
        {"stage": "score", "limit": 5},
        "admin",
    )


def test_a_run_whose_source_is_gone_cannot_be_repeated_and_that_is_said(operator: Client) -> None:
    run = make_run(status=RunStatus.FAILED, parameters={"source": "Gone"})
    assert "there is no source named “Gone”" in act(operator, "run", "run_again", run)


# --- people and permissions ----------------------------------------------------------------------------------------


def test_users_and_groups_are_kept_by_the_admin(operator: Client) -> None:
    user, group = make_user("ben"), Group.objects.create(name="readers")
    for address in (
        f"/admin/harvester/user/{user.pk}/change/",
        "/admin/harvester/user/add/",
        f"/admin/auth/group/{group.pk}/change/",
        "/admin/auth/group/",
        "/admin/autocomplete/?app_label=harvester&model_name=user&field_name=groups&term=read",
    ):
        assert operator.get(address).status_code == 200


def test_keys_and_tiers_find_their_users_as_they_are_typed(operator: Client) -> None:
    make_user("ben")
    for name, field in (("apikey", "owner"), ("tierassignment", "user")):
        assert "admin-autocomplete" in operator.get(f"/admin/ratelimit/{name}/add/").content.decode()
        found = operator.get(
            f"/admin/autocomplete/?app_label=ratelimit&model_name={name}&field_name={field}&term=be"
        ).json()
        assert [one["text"] for one in found["results"]] == ["ben"]


def test_acting_needs_the_permission_to_change(client: Client) -> None:
    viewer = make_staff()
    viewer.user_permissions.set(Permission.objects.filter(codename__startswith="view_"))
    client.force_login(viewer)
    artifact, run = make_artifact(), make_run()
    for name, row, action in (("artifact", artifact, "rescore"), ("run", run, "cancel")):
        html = client.get(f"/admin/harvester/{name}/").content
        assert not elements(html, "option", value=action)
        client.post(f"/admin/harvester/{name}/", {"action": action, "_selected_action": [row.pk]})
    artifact.refresh_from_db()
    run.refresh_from_db()
    assert (artifact.stage, run.status) == (ArtifactStage.SCORED, RunStatus.QUEUED)


def test_who_is_not_staff_is_asked_to_sign_in(client: Client) -> None:
    client.force_login(make_user())
    assert client.get("/admin/harvester/source/").status_code == 302


def test_hostile_texts_stay_texts_in_the_admin(operator: Client) -> None:
    source = make_source(HOSTILE, query=HOSTILE, failure_detail=HOSTILE, url="javascript:window.ran=1")
    artifact = make_artifact(
        source,
        title=HOSTILE,
        text=HOSTILE,
        canonical_url="javascript:window.ran=1",
        authors=[{"name": HOSTILE, "affiliation": HOSTILE}],
        engagement={HOSTILE: 1},
        metadata={HOSTILE: HOSTILE},
        raw={HOSTILE: HOSTILE},
        error=HOSTILE,
    )
    make_same_work([artifact, make_artifact(source, title=HOSTILE)], evidence=HOSTILE)
    Identifier.objects.create(artifact=artifact, scheme="doi", value=HOSTILE)
    run = make_run(parameters={"source": HOSTILE}, source_reports=[{"name": HOSTILE}], error=HOSTILE)
    for address in (
        "source/",
        f"source/{source.pk}/change/",
        f"source/{source.pk}/delete/",
        "artifact/",
        f"artifact/{artifact.pk}/change/",
        "relationship/",
        "run/",
        f"run/{run.pk}/change/",
    ):
        html = operator.get(f"/admin/harvester/{address}").content
        assert b"<script>window" not in html
        assert not [link for link in elements(html, "a") if link.attributes.get("href", "").startswith("javascript:")]
    act(operator, "source", "pause", source)
