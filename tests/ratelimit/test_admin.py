"""Keys and tiers in Django's admin: what it shows of the buckets, what it does to keys, and what it costs."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
import redis
from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.contrib.sessions.models import Session
from django.db import connection
from django.http import HttpResponse
from django.test import Client, RequestFactory
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django.fixtures import Settings

from ratelimit.admin.keys import OVERLAPS
from ratelimit.errors import StoreError
from ratelimit.identity import Identity, resolve
from ratelimit.identity.identities import user_identity
from ratelimit.keys import fault_of, hash_of
from ratelimit.limiter import get_rate_limiter
from ratelimit.models import ApiKey, TierAssignment
from tests.services import RedisProcess, redis_process

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.ratelimit.admin_urls")]

KEYS, TIERS = "/admin/ratelimit/apikey/", "/admin/ratelimit/tierassignment/"
HOSTILE = "<script>window.ran=1</script>"
KEY = re.compile(r"shk_[0-9A-Za-z]{36}")
NEW = {"name": "a reader", "scope": "read", "owner": "", "tier": "", "note": ""}


@pytest.fixture(autouse=True)
def read_at_once(settings: Settings) -> None:
    settings.RATELIMIT_REFRESH_SECONDS = 0  # no other connection sees what a test has written


@pytest.fixture
def operator(client: Client) -> Client:
    client.force_login(make_user("root", is_staff=True, is_superuser=True))
    return client


@pytest.fixture
def server() -> Iterator[RedisProcess]:
    with redis_process() as running:
        yield running


@pytest.fixture
def shared(settings: Settings, server: RedisProcess) -> redis.Redis:
    """The project has a Redis, which this looks into."""
    ours = {"BACKEND": "django_redis.cache.RedisCache", "LOCATION": server.url}
    settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}, "ratelimit": ours}
    settings.RATELIMIT_READ_TIMEOUT_SECONDS = settings.RATELIMIT_CONNECT_TIMEOUT_SECONDS = 2
    return redis.Redis.from_url(server.url)


def make_user(name: str, *permissions: str, **fields: Any) -> Any:
    user = get_user_model().objects.create(username=name, **fields)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    return user


def make_assignments(number: int, tier: str = "premium") -> list[TierAssignment]:
    users = get_user_model().objects.bulk_create(get_user_model()(username=f"user{index}") for index in range(number))
    return TierAssignment.objects.bulk_create(TierAssignment(user=user, tier=tier) for user in users)


def make_keys(number: int) -> list[ApiKey]:
    owners = get_user_model().objects.bulk_create(get_user_model()(username=f"owner{index}") for index in range(number))
    return [ApiKey.objects.issue(name=f"key {index}", owner=owner)[0] for index, owner in enumerate(owners)]


def bucket_of(assignment: TierAssignment) -> Identity:
    return user_identity(str(assignment.user_id), assignment.tier)


def take(identity: Identity, times: int) -> None:
    for _ in range(times):
        get_rate_limiter().check(identity)


def act(client: Client, address: str, action: str, *chosen: Any, **more: str) -> HttpResponse:
    form = {"action": action, "_selected_action": [row.pk for row in chosen]} | more
    return client.post(address, form, follow=True)  # type: ignore[return-value]  # the test client's own kind


def said(response: Any) -> str:
    """The messages of the page, as read."""
    return " ".join(str(message) for message in response.context["messages"])


def cells(response: Any, column: str) -> list[str]:
    found = re.findall(rf'<t[dh] class="field-{column}[^"]*">(.*?)</t[dh]>', response.content.decode(), re.DOTALL)
    return [unescape(re.sub(r"<[^>]+>", "", cell)).strip() for cell in found]


def identity_with(key: str) -> Identity:
    return resolve(RequestFactory().get("/", headers={"X-API-Key": key}))


def new_key_in(response: Any) -> str:
    (key,) = set(KEY.findall(response.content.decode()))
    return key


# --- the lists -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", [ApiKey, TierAssignment])
def test_a_list_is_kept_short(model: Any) -> None:
    registered = admin.site.get_model_admin(model)
    assert (registered.list_per_page, registered.show_full_result_count) == (50, False)
    assert registered.list_select_related


def test_an_assignment_tells_how_its_bucket_stands(operator: Client, shared: redis.Redis) -> None:
    used, _ = make_assignments(2)
    take(bucket_of(used), 4_000)
    page = operator.get(TIERS)
    assert cells(page, "limit") == ["5,000/min"] * 2
    columns = (cells(page, column) for column in ("username", "remaining", "full_again"))
    by_user = {user: bucket for user, *bucket in zip(*columns, strict=True)}
    assert by_user["user1"] == ["5,000", "full"]
    remaining, again = by_user["user0"]
    assert 1_000 <= int(remaining.replace(",", "")) < 4_000  # 83 come back every second
    assert re.fullmatch(r"\d\d:\d\d:\d\d", again)
    assert "away" not in page.content.decode()


def test_a_key_tells_how_its_bucket_stands(operator: Client, shared: redis.Redis) -> None:
    _, text = ApiKey.objects.issue(name="busy", tier="premium")
    take(identity_with(text), 4_000)
    page = operator.get(KEYS)
    assert cells(page, "limit") == ["5,000/min"]
    (remaining,) = cells(page, "remaining")
    assert 1_000 <= int(remaining.replace(",", "")) < 4_000


def test_a_key_that_is_not_good_has_no_bucket(operator: Client) -> None:
    ApiKey.objects.issue(name="gone")[0].revoke()
    page = operator.get(KEYS)
    assert [cells(page, column) for column in ("state", "limit", "remaining")] == [["revoked"], ["–"], ["–"]]


def test_no_limit_is_told_as_such(operator: Client) -> None:
    make_assignments(1, "admin")
    page = operator.get(TIERS)
    assert (cells(page, "limit"), cells(page, "remaining"), cells(page, "full_again")) == (["no limit"], ["–"], ["–"])


def test_a_superuser_has_no_limit_whatever_is_assigned(operator: Client) -> None:
    TierAssignment.objects.create(user=make_user("boss", is_superuser=True), tier="premium")
    page = operator.get(TIERS)
    assert cells(page, "tier_shown") == ["premium (superuser, counts as admin)"]
    assert cells(page, "limit") == ["no limit"]


def test_an_unknown_tier_is_told_as_what_it_counts_as(operator: Client) -> None:
    make_assignments(1, "gold")
    page = operator.get(TIERS)
    assert cells(page, "tier_shown") == ["gold (unknown, counts as api_key)"]
    assert cells(page, "limit") == ["1,000/min"]


@pytest.mark.parametrize(
    ("tier", "words"),
    [
        ({"limit": 20, "window_seconds": 1, "burst": 5}, "20/s, 5 at once"),
        ({"limit": 20, "window_seconds": 90, "burst": 5}, "20 in 90 s, 5 at once"),
        ({"limit": None}, "no limit"),
        ({"limit": "many"}, "set wrongly"),
    ],
)
def test_a_limit_is_put_into_words(operator: Client, settings: Settings, tier: dict[str, Any], words: str) -> None:
    settings.RATELIMIT_TIERS = {"premium": tier}
    make_assignments(1)
    assert cells(operator.get(TIERS), "limit") == [words]


def test_a_limit_in_shadow_is_told_as_such(operator: Client, settings: Settings) -> None:
    settings.RATELIMIT_ENFORCE = {"premium": False}
    make_assignments(1)
    assert cells(operator.get(TIERS), "limit") == ["5,000/min, not enforced"]


@pytest.mark.parametrize(("address", "make"), [(TIERS, make_assignments), (KEYS, make_keys)])
def test_a_list_costs_the_same_for_any_number_of_rows(
    operator: Client, shared: redis.Redis, address: str, make: Callable[[int], Any]
) -> None:
    make(10)
    costs = set()
    for more in (0, 990):
        get_user_model().objects.exclude(username="root").delete() if more else None
        make(more + 10) if more else None
        operator.get(address)
        shared.config_resetstat()
        with CaptureQueriesContext(connection) as queries:
            page = operator.get(address)
        assert len(cells(page, "remaining")) == (50 if more else 10)
        costs.add((len(queries), round_trips(shared)))
    ((number, trips),) = costs
    assert number <= 8
    assert trips == 1


def round_trips(server: redis.Redis) -> int:
    statistics: Any = server.info("commandstats")
    return sum(one["calls"] for name, one in statistics.items() if name.startswith("cmdstat_eval"))


def test_a_thousand_rows_cost_ten_round_trips(
    operator: Client, shared: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admin.site.get_model_admin(TierAssignment), "list_max_show_all", 1_000)
    make_assignments(1_000)
    operator.get(TIERS)
    shared.config_resetstat()
    with CaptureQueriesContext(connection) as queries:
        page = operator.get(f"{TIERS}?all=")
    assert cells(page, "remaining") == ["5,000"] * 1_000
    assert round_trips(shared) == 10
    assert len(queries) <= 8


def test_an_action_reads_no_buckets(operator: Client, shared: redis.Redis) -> None:
    (assignment,) = make_assignments(1)
    operator.get(TIERS)
    shared.config_resetstat()
    operator.post(TIERS, {"action": "change_tier", "_selected_action": [assignment.pk]})
    assert round_trips(shared) == 0


@pytest.mark.parametrize("address", [TIERS, KEYS])
def test_a_redis_that_is_away_is_told_once_and_the_list_shown(
    operator: Client, shared: redis.Redis, server: RedisProcess, settings: Settings, address: str
) -> None:
    settings.RATELIMIT_EXPECTED_PROCESSES = 10
    make_assignments(2)
    make_keys(2)
    operator.get(address)
    server.kill()
    page = operator.get(address)
    html = page.content.decode()
    assert page.status_code == 200
    assert len(re.findall(r"Redis is away \(\w+\): what follows is this process’s own count", html)) == 1
    assert cells(page, "limit") == (["500/min"] if address == TIERS else ["100/min"]) * 2  # its share
    assert cells(page, "full_again") == ["full"] * 2


@pytest.mark.parametrize(("on_outage", "shown"), [("open", "let through"), ("closed", "refused")])
def test_what_an_outage_does_to_a_tier_is_told(
    operator: Client, shared: redis.Redis, server: RedisProcess, settings: Settings, on_outage: str, shown: str
) -> None:
    settings.RATELIMIT_ON_OUTAGE = {"premium": on_outage}
    make_assignments(1)
    server.kill()
    page = operator.get(TIERS)
    assert "Redis is away" in page.content.decode()
    assert (cells(page, "limit"), cells(page, "remaining")) == (["5,000/min"], [shown])


def test_a_redis_that_hangs_does_not_keep_the_list_waiting(
    operator: Client, shared: redis.Redis, server: RedisProcess, settings: Settings
) -> None:
    settings.RATELIMIT_READ_TIMEOUT_SECONDS = 0.05
    make_assignments(50)
    operator.get(TIERS)
    server.hang()
    began = timezone.now()
    page = operator.get(TIERS)
    assert (timezone.now() - began) < timedelta(seconds=5)
    assert "Redis is away (timeout)" in page.content.decode()


def test_buckets_that_cannot_be_read_are_left_out(operator: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: Any) -> None:
        raise StoreError("gone")

    monkeypatch.setattr(get_rate_limiter(), "peek_many", fail)
    make_assignments(1)
    page = operator.get(TIERS)
    assert "is away (gone): they cannot be read" in page.content.decode()
    assert (cells(page, "limit"), cells(page, "remaining")) == (["5,000/min"], ["–"])


def test_without_a_redis_each_process_speaks_for_itself(operator: Client) -> None:
    make_assignments(1)
    assert "every process counts for itself" in operator.get(TIERS).content.decode()


def test_no_two_requests_share_what_was_read(operator: Client) -> None:
    (assignment,) = make_assignments(1)
    assert cells(operator.get(TIERS), "full_again") == ["full"]
    take(bucket_of(assignment), 2_000)
    assert cells(operator.get(TIERS), "full_again") != ["full"]
    assert not any("live" in name for name in vars(admin.site.get_model_admin(TierAssignment)))


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("?state=active", {"good", "spare"}),
        ("?state=expired", {"old"}),
        ("?state=revoked", {"gone"}),
        ("?state=owner+inactive", {"orphan"}),
        ("?state=nonsense", {"good", "spare", "old", "gone", "orphan"}),
        ("?tier=premium", {"good"}),
        ("?tier=api_key", {"spare", "old", "gone", "orphan"}),
        ("?scope__exact=write", {"spare"}),
        ("?q=ann", {"spare"}),
        ("?q=remark", {"old"}),
    ],
)
def test_keys_are_found_by_state_tier_scope_and_words(operator: Client, query: str, names: set[str]) -> None:
    ApiKey.objects.issue(name="good", tier="premium")
    ApiKey.objects.issue(name="spare", scope="write", owner=make_user("anna"))
    old, _ = ApiKey.objects.issue(name="old", note="a remark")
    ApiKey.objects.filter(pk=old.pk).update(created_at=timezone.now() - timedelta(days=2), tier="gold")
    ApiKey.objects.filter(pk=old.pk).update(expires_at=timezone.now() - timedelta(days=1))
    ApiKey.objects.issue(name="gone", owner=make_user("ben", is_active=False))[0].revoke()
    ApiKey.objects.issue(name="orphan", owner=get_user_model().objects.get(username="ben"))
    page = operator.get(KEYS + query)
    assert set(cells(page, "name")) == names
    if query.startswith("?state=") and len(names) < 5:
        assert {f"?state={state.replace(' ', '+')}" for state in cells(page, "state")} == {query}


def test_a_key_is_found_by_its_prefix(operator: Client) -> None:
    issued, _ = ApiKey.objects.issue(name="a")
    ApiKey.objects.issue(name="b")
    assert cells(operator.get(f"{KEYS}?q={issued.prefix}"), "name") == ["a"]


def test_assignments_are_found_by_tier_user_and_note(operator: Client) -> None:
    TierAssignment.objects.create(user=make_user("anna"), tier="premium", note="trial")
    TierAssignment.objects.create(user=make_user("ben"), tier="gold")
    for query, names in (
        ("?tier=premium", ["anna"]),
        ("?tier=api_key", ["ben"]),
        ("?q=ann", ["anna"]),
        ("?q=trial", ["anna"]),
    ):
        assert cells(operator.get(TIERS + query), "username") == names


# --- making a key --------------------------------------------------------------------------------------------------


def test_a_new_key_is_shown_by_the_answer_itself_and_never_again(
    operator: Client, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    answer = operator.post(f"{KEYS}add/", NEW)
    key = new_key_in(answer)
    assert (answer.status_code, fault_of(key)) == (200, "")
    assert "will not be shown again" in answer.content.decode()
    issued = ApiKey.objects.get()
    assert (issued.name, issued.key_hash) == ("a reader", hash_of(key))
    assert identity_with(key).kind == "api_key"
    for address in (KEYS, f"{KEYS}{issued.pk}/change/", f"{KEYS}{issued.pk}/history/", "/admin/"):
        html = operator.get(address).content.decode()
        assert key not in html
        assert issued.key_hash not in html
    assert "no-store" in answer["Cache-Control"]
    assert answer["Referrer-Policy"] == "no-referrer"
    secret = key[12:]  # beyond the prefix, which may be shown
    kept = [session.get_decoded() for session in Session.objects.all()], list(LogEntry.objects.values())
    for place in (str(kept), str(answer.cookies), str(answer.headers), caplog.text):
        assert secret not in place


def test_a_new_key_is_what_was_asked_for(operator: Client) -> None:
    owner = make_user("anna")
    form = NEW | {"scope": "write", "owner": owner.pk, "tier": "premium", "note": "n", "name": "  a writer "}
    key = new_key_in(operator.post(f"{KEYS}add/", form | {"expires_at_0": "2999-01-02", "expires_at_1": "03:04:05"}))
    issued = ApiKey.objects.get()
    assert (issued.name, issued.scope, issued.owner, issued.tier, issued.note) == (
        "a writer",
        "write",
        owner,
        "premium",
        "n",
    )
    assert issued.expires_at is not None
    assert issued.expires_at.year == 2999
    assert identity_with(key).tier == "premium"


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"name": " "}, "name"),
        ({"name": "x" * 101}, "name"),
        ({"name": "a\x00b"}, "name"),
        ({"scope": "all"}, "scope"),
        ({"tier": "gold"}, "tier"),
        ({"owner": "999999"}, "owner"),
        ({"expires_at_0": "2001-01-01", "expires_at_1": "00:00:00"}, "expires_at"),
        ({"expires_at_0": "soon", "expires_at_1": ""}, "expires_at"),
    ],
)
def test_a_wrong_key_is_refused_beside_its_field(operator: Client, wrong: dict[str, str], field: str) -> None:
    answer = operator.post(f"{KEYS}add/", NEW | wrong)
    assert answer.status_code == 200
    assert set(answer.context["adminform"].form.errors) == {field}
    assert not ApiKey.objects.exists()


def test_nobody_makes_a_key_of_somebody_who_may_more(client: Client) -> None:
    boss = make_user("boss", is_superuser=True)
    editor = make_user("editor", "change_tierassignment")
    reader = make_user("reader")
    client.force_login(make_user("anna", "add_apikey", "change_apikey", "view_apikey", is_staff=True))
    for owner in (boss, editor):
        answer = client.post(f"{KEYS}add/", NEW | {"owner": owner.pk})
        assert set(answer.context["adminform"].form.errors) == {"owner"}
    assert KEY.search(client.post(f"{KEYS}add/", NEW | {"owner": reader.pk}).content.decode())
    theirs, _ = ApiKey.objects.issue(name="boss's", owner=boss)
    assert client.post(f"{KEYS}{theirs.pk}/rotate/", {"overlap": 0}).status_code == 403


# --- changing a key ------------------------------------------------------------------------------------------------


def test_a_key_keeps_its_owner_and_what_it_is_known_by(operator: Client) -> None:
    owner = make_user("anna")
    issued, key = ApiKey.objects.issue(name="before", owner=owner)
    form = {"name": "after", "scope": "write", "tier": "premium", "note": "changed", "expires_at_0": ""}
    forged = {"owner": make_user("ben").pk, "prefix": "AAAAAAAA", "key_hash": "0" * 64, "revoked_at": "x"}
    assert operator.post(f"{KEYS}{issued.pk}/change/", form | forged).status_code == 302
    issued.refresh_from_db()
    assert (issued.name, issued.scope, issued.tier, issued.note) == ("after", "write", "premium", "changed")
    assert (issued.owner, issued.key_hash, issued.revoked_at) == (owner, hash_of(key), None)


def test_saving_writes_only_what_was_changed(operator: Client) -> None:
    issued, _ = ApiKey.objects.issue(name="before")
    form = {"name": "after", "scope": "read", "tier": "", "note": ""}
    with CaptureQueriesContext(connection) as queries:
        operator.post(f"{KEYS}{issued.pk}/change/", form)
    (update,) = [query["sql"] for query in queries if query["sql"].startswith('UPDATE "ratelimit_apikey"')]
    assert "last_used_at" not in update
    assert "revoked_at" not in update


def test_an_unknown_tier_is_kept_until_another_is_chosen(operator: Client) -> None:
    issued, _ = ApiKey.objects.issue(name="before")
    ApiKey.objects.filter(pk=issued.pk).update(tier="gold")
    form = {"name": "after", "scope": "read", "note": "", "tier": "gold"}
    assert "gold (unknown, counts as api_key)" in operator.get(f"{KEYS}{issued.pk}/change/").content.decode()
    operator.post(f"{KEYS}{issued.pk}/change/", form)
    issued.refresh_from_db()
    assert (issued.name, issued.tier) == ("after", "gold")
    operator.post(f"{KEYS}{issued.pk}/change/", form | {"tier": "premium"})
    issued.refresh_from_db()
    assert issued.tier == "premium"


def test_a_key_is_revoked_on_its_page_after_a_question(operator: Client) -> None:
    issued, key = ApiKey.objects.issue(name="a key")
    address = f"{KEYS}{issued.pk}/revoke/"
    assert address in operator.get(f"{KEYS}{issued.pk}/change/").content.decode()
    assert "for good" in operator.get(address).content.decode()
    assert identity_with(key).kind == "api_key"
    assert "is revoked" in said(operator.post(address, follow=True))
    assert identity_with(key).kind == "address"
    page = operator.get(f"{KEYS}{issued.pk}/change/").content.decode()
    assert "/revoke/" not in page
    assert "/rotate/" not in page
    first = ApiKey.objects.get().revoked_at
    assert "revoked before" in said(operator.post(address, follow=True))
    assert (ApiKey.objects.get().revoked_at, LogEntry.objects.count()) == (first, 1)


def test_keys_are_revoked_together_after_a_question(operator: Client, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "ratelimit.admin.lists")
    made = [ApiKey.objects.issue(name=f"key {index}") for index in range(3)]
    made[0][0].revoke()
    chosen = [issued for issued, _ in made]
    question = act(operator, KEYS, "revoke", *chosen)
    assert all(str(issued) in unescape(question.content.decode()) for issued in chosen)
    assert [identity_with(key).kind for _, key in made] == ["address", "api_key", "api_key"]
    answer = act(operator, KEYS, "revoke", *chosen, confirmed="yes")
    assert said(answer) == "2 API keys are revoked. 1 had been revoked before."
    assert [identity_with(key).kind for _, key in made] == ["address"] * 3
    assert {entry.object_id for entry in LogEntry.objects.all()} == {str(issued.pk) for issued in chosen[1:]}
    assert {entry.change_message for entry in LogEntry.objects.all()} == {"Revoked."}
    (record,) = [record for record in caplog.records if "Revoked" in record.getMessage()]
    assert not any(issued.name in record.getMessage() for issued in chosen)


def test_all_pages_are_revoked_at_once(operator: Client) -> None:
    made = make_keys(60)
    question = act(operator, KEYS, "revoke", made[0], select_across="1")
    assert question.content.decode().count("<li>key ") == 60
    act(operator, KEYS, "revoke", made[0], select_across="1", confirmed="yes")
    assert not ApiKey.objects.filter(revoked_at__isnull=True).exists()
    assert LogEntry.objects.count() == 60


@pytest.mark.parametrize("seconds", [seconds for seconds, _ in OVERLAPS])
def test_a_rotated_key_is_shown_once_and_the_old_one_ends_after_the_overlap(operator: Client, seconds: int) -> None:
    issued, key = ApiKey.objects.issue(name="a key", tier="premium")
    address = f"{KEYS}{issued.pk}/rotate/"
    assert address in operator.get(f"{KEYS}{issued.pk}/change/").content.decode()
    assert '<option value="86400" selected>' in operator.get(address).content.decode()
    answer = operator.post(address, {"overlap": seconds})
    successor = new_key_in(answer)
    assert "no-store" in answer["Cache-Control"]
    assert successor != key
    assert identity_with(successor).tier == "premium"
    assert identity_with(key).kind == ("api_key" if seconds else "address")
    new = ApiKey.objects.get(key_hash=hash_of(successor))
    assert {entry.object_id for entry in LogEntry.objects.all()} == {str(issued.pk), str(new.pk)}
    for page in (KEYS, f"{KEYS}{new.pk}/change/"):
        assert successor not in operator.get(page).content.decode()


@pytest.mark.parametrize("overlap", ["", "1", "-5", "a week"])
def test_an_overlap_is_one_of_those_offered(operator: Client, overlap: str) -> None:
    issued, _ = ApiKey.objects.issue(name="a key")
    answer = operator.post(f"{KEYS}{issued.pk}/rotate/", {"overlap": overlap})
    assert not KEY.search(answer.content.decode())
    assert ApiKey.objects.count() == 1


def test_a_key_that_has_ended_is_not_rotated_and_that_is_said(operator: Client) -> None:
    issued, _ = ApiKey.objects.issue(name="a key")
    issued.revoke()
    answer = operator.post(f"{KEYS}{issued.pk}/rotate/", {"overlap": 0})
    assert "revoked" in answer.content.decode()
    assert ApiKey.objects.count() == 1


def test_a_key_that_does_not_exist_is_not_found(operator: Client) -> None:
    for name in ("revoke", "rotate"):
        assert operator.get(f"{KEYS}12345/{name}/").status_code == 404
        assert operator.get(f"{KEYS}x/{name}/").status_code == 404


# --- tiers and buckets ---------------------------------------------------------------------------------------------


def test_a_user_is_given_a_tier(operator: Client) -> None:
    user = make_user("anna")
    form = {"user": user.pk, "tier": "premium", "note": "trial"}
    assert operator.post(f"{TIERS}add/", form).status_code == 302
    assignment = TierAssignment.objects.get()
    assert (assignment.user, assignment.tier, assignment.note) == (user, "premium", "trial")
    assert operator.post(f"{TIERS}add/", form).context["adminform"].form.errors.keys() == {"user"}
    operator.post(f"{TIERS}{assignment.pk}/change/", {"user": make_user("ben").pk, "tier": "api_key", "note": ""})
    assignment.refresh_from_db()
    assert (assignment.user, assignment.tier) == (user, "api_key")


def test_tiers_are_changed_together_after_a_question(operator: Client) -> None:
    one, two, three = make_assignments(3)
    TierAssignment.objects.filter(pk=two.pk).update(tier="api_key")
    question = act(operator, TIERS, "change_tier", one, two)
    assert "user0: premium" in question.content.decode()
    assert "user2" not in question.content.decode()
    unknown = act(operator, TIERS, "change_tier", one, two, confirmed="yes", tier="gold")
    assert "gold is not one of the available choices" in unknown.content.decode()
    answer = act(operator, TIERS, "change_tier", one, two, confirmed="yes", tier="admin")
    assert said(answer) == "2 assignments were changed to admin."
    assert dict(TierAssignment.objects.values_list("pk", "tier")) == {
        one.pk: "admin",
        two.pk: "admin",
        three.pk: "premium",
    }
    assert {(entry.object_id, entry.change_message) for entry in LogEntry.objects.all()} == {
        (str(one.pk), "Changed the tier from premium to admin."),
        (str(two.pk), "Changed the tier from api_key to admin."),
    }


def test_buckets_are_filled_again(operator: Client, shared: redis.Redis) -> None:
    used, full, other = make_assignments(3)
    TierAssignment.objects.filter(pk=other.pk).update(tier="admin")
    take(bucket_of(used), 4_000)
    answer = act(operator, TIERS, "reset_bucket", used, full, other)
    assert said(answer) == "Reset: 1. Full already: 1. Without a bucket: 1."
    assert get_rate_limiter().peek(bucket_of(used)).remaining == 5_000
    (entry,) = LogEntry.objects.all()
    assert (entry.object_id, entry.change_message) == (str(used.pk), "Reset the bucket.")


def test_a_keys_bucket_is_filled_again(operator: Client, shared: redis.Redis) -> None:
    issued, key = ApiKey.objects.issue(name="a key")
    take(identity_with(key), 900)
    assert said(act(operator, KEYS, "reset_bucket", issued)).startswith("Reset: 1.")
    assert get_rate_limiter().peek(identity_with(key)).remaining == 1_000


def test_while_redis_is_away_nothing_is_reset_and_that_is_said(
    operator: Client, shared: redis.Redis, server: RedisProcess
) -> None:
    (assignment,) = make_assignments(1)
    take(bucket_of(assignment), 10)
    server.kill()
    answer = act(operator, TIERS, "reset_bucket", assignment)
    (message,) = answer.context["messages"]
    assert message.level_tag == "error"
    assert re.fullmatch(r"Redis is away \(\w+\): nothing was reset\.", str(message))
    assert not LogEntry.objects.exists()


def test_a_redis_that_goes_away_midway_is_told_with_what_was_done(
    operator: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = make_assignments(3)
    done: list[Identity] = []

    def reset(identity: Identity) -> int:
        if len(done) == 2:
            raise StoreError("timeout")
        done.append(identity)
        return 1

    monkeypatch.setattr(get_rate_limiter(), "reset", reset)
    answer = act(operator, TIERS, "reset_bucket", *rows)
    assert said(answer) == "Redis went away (timeout) after 2: these are full, the others were not reset."
    assert LogEntry.objects.count() == 2


# --- who may what --------------------------------------------------------------------------------------------------


def test_who_may_only_look_sees_the_lists_and_no_actions(client: Client) -> None:
    client.force_login(make_user("viewer", "view_apikey", "view_tierassignment", is_staff=True))
    issued, key = ApiKey.objects.issue(name="a key")
    (assignment,) = make_assignments(1)
    for address in (KEYS, TIERS):
        page = client.get(address)
        assert page.status_code == 200
        assert cells(page, "full_again") == ["full"]
        assert 'name="action"' not in page.content.decode()
    act(client, KEYS, "revoke", issued, confirmed="yes")
    act(client, TIERS, "change_tier", assignment, confirmed="yes", tier="admin")
    for name in ("revoke", "rotate"):
        assert f"/{name}/" not in client.get(f"{KEYS}{issued.pk}/change/").content.decode()
        assert client.get(f"{KEYS}{issued.pk}/{name}/").status_code == 403
        assert client.post(f"{KEYS}{issued.pk}/{name}/", {"overlap": 0}).status_code == 403
    assert client.post(f"{KEYS}add/", NEW).status_code == 403
    assignment.refresh_from_db()
    assert (identity_with(key).kind, assignment.tier, ApiKey.objects.count()) == ("api_key", "premium", 1)


def test_who_is_not_staff_is_asked_to_sign_in(client: Client) -> None:
    issued, _ = ApiKey.objects.issue(name="a key")
    client.force_login(make_user("anna", "change_apikey", "view_apikey"))
    for address in (KEYS, TIERS, f"{KEYS}{issued.pk}/revoke/", f"{KEYS}{issued.pk}/rotate/"):
        assert client.post(address).status_code == 302
    assert not ApiKey.objects.filter(revoked_at__isnull=False).exists()


def test_only_a_superuser_deletes_a_key(client: Client) -> None:
    issued, _ = ApiKey.objects.issue(name="a key")
    client.force_login(make_user("anna", "view_apikey", "change_apikey", "delete_apikey", is_staff=True))
    assert "delete_selected" not in client.get(KEYS).content.decode()
    assert client.post(f"{KEYS}{issued.pk}/delete/", {"post": "yes"}).status_code == 403
    client.force_login(make_user("root", is_staff=True, is_superuser=True))
    assert client.post(f"{KEYS}{issued.pk}/delete/", {"post": "yes"}).status_code == 302
    assert not ApiKey.objects.exists()


def test_a_post_from_elsewhere_is_refused(operator: Client, settings: Settings) -> None:
    settings.CSRF_FAILURE_VIEW = "django.views.csrf.csrf_failure"  # a project's own may need its other pages
    issued, key = ApiKey.objects.issue(name="a key")
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(get_user_model().objects.get(username="root"))
    for address in (f"{KEYS}{issued.pk}/revoke/", f"{KEYS}{issued.pk}/rotate/", f"{KEYS}add/", KEYS):
        assert strict.post(address, NEW | {"overlap": 0}).status_code == 403
    assert (identity_with(key).kind, ApiKey.objects.count()) == ("api_key", 1)


def test_hostile_texts_stay_texts(operator: Client) -> None:
    owner = make_user(HOSTILE)
    issued, _ = ApiKey.objects.issue(name=HOSTILE, note=HOSTILE, owner=owner)
    assignment = TierAssignment.objects.create(user=owner, tier=HOSTILE, note=HOSTILE)
    pages = [
        operator.get(address)
        for address in (
            KEYS,
            f"{KEYS}{issued.pk}/change/",
            f"{KEYS}{issued.pk}/revoke/",
            f"{KEYS}{issued.pk}/rotate/",
            TIERS,
            f"{TIERS}{assignment.pk}/change/",
        )
    ]
    pages += [act(operator, KEYS, "revoke", issued), act(operator, TIERS, "change_tier", assignment)]
    pages += [operator.post(f"{KEYS}{issued.pk}/rotate/", {"overlap": 0}), operator.get(KEYS)]
    pages += [operator.post(f"{KEYS}{issued.pk}/revoke/", follow=True)]
    for page in pages:
        assert page.status_code == 200
        html = page.content.decode()
        assert "<script>window" not in html
        assert "&lt;script&gt;window" in html


def test_our_pages_have_no_script_or_style_of_their_own(operator: Client) -> None:
    issued, _ = ApiKey.objects.issue(name="a key")
    pages = [operator.get(f"{KEYS}{issued.pk}/{name}/") for name in ("change", "revoke", "rotate")]
    for page in [*pages, operator.post(f"{KEYS}add/", NEW), act(operator, KEYS, "revoke", issued)]:
        html = page.content.decode()
        assert not re.search(r"<script(?![^>]*\ssrc=)[^>]*>|<style|\sstyle=|\son\w+=", html)
