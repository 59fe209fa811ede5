"""Twelve planted secrets, none of which any answer shows, however it is asked for and whatever goes wrong."""

from __future__ import annotations

import html
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from io import StringIO
from itertools import product
from threading import Event
from typing import Any, ClassVar, NoReturn

import pytest
from django.core.management import CommandError, call_command

from health.base import Check, Finding
from health.lifecycle import Lifecycle
from health.status import HealthStatus
from tests.health.conftest import Ask
from tests.health.fakes import only, path_of

PLANTED = {
    "database password": "planted-database-password",
    "DSN": "postgresql://planted-user:planted-database-password@planted-host.internal:5432/planted",
    "Redis URL": "redis://:planted-redis-password@planted-redis.internal:6379/0",
    "host": "planted-host.internal",
    "file path": "/srv/planted-folder",
    "SQL": "SELECT planted_column FROM planted_table",
    "exception text": "planted exception text",
    "SECRET_KEY": "planted-secret-key",
    "HEALTH_TOKEN": "planted-health-token",
    "version": "planted-version-4.2",
    "environment value": "planted-environment-value",
    "local variable": "planted-local-variable",
}
SHOWN_TO_ADMITTED = {"file path", "version"}
EVERYTHING = " ".join(PLANTED.values())


class PlantedError(Exception):
    """Says all of it, in its text, its arguments, its notes and its cause."""


def fail() -> NoReturn:
    planted_local_variable = PLANTED["local variable"]
    error = PlantedError(EVERYTHING, planted_local_variable)
    error.add_note(EVERYTHING)
    raise error from ValueError(EVERYTHING)


@dataclass(kw_only=True)
class Planted(Check):
    """Goes wrong in the ``way`` it is told to, with all secrets at hand."""

    way: str = "raises"
    deadline_seconds: float = 0.05
    password: str = field(default=PLANTED["database password"])
    folder: str = PLANTED["file path"]

    messages: ClassVar[Mapping[str, str]] = {"free": "There is room at {folder}."}

    def __post_init__(self) -> None:
        self._interrupted = Event()

    def run(self) -> Finding:
        if self.way == "hangs":
            self._interrupted.wait(30)
        if self.way == "late":
            self._interrupted.wait(0.07)
        if self.way in ("well", "late"):
            return self.found(HealthStatus.HEALTHY, "free", folder=self.folder)
        if self.way == "unlisted message":
            return self.found(HealthStatus.HEALTHY, EVERYTHING)
        if self.way == "missing fact":
            return self.found(HealthStatus.HEALTHY, "free")
        if self.way == "exits":
            raise SystemExit(EVERYTHING)
        if self.way.startswith("rubbish"):
            rubbish: Any = {
                "rubbish text": EVERYTHING,
                "rubbish mapping": PLANTED,
                "rubbish status": Finding(EVERYTHING, "x", "x"),  # type: ignore[arg-type]  # as any project may
                "rubbish message": Finding(HealthStatus.HEALTHY, "x", PLANTED),  # type: ignore[arg-type]  # as above
            }[self.way]
            return rubbish  # type: ignore[no-any-return]  # which is the point
        fail()

    def interrupt(self) -> None:
        self._interrupted.set()
        fail()

    def close(self) -> None:
        fail()


class Unmakable(Planted):
    @classmethod
    def expand(cls, *_: object) -> NoReturn:
        raise ValueError(EVERYTHING)


WAYS: dict[str, Any] = {
    way: {"check": path_of(Planted), "way": way}
    for way in (
        "well", "raises", "hangs", "late", "exits", "rubbish text", "rubbish mapping", "rubbish status",
        "rubbish message", "unlisted message",
        "missing fact",
    )
} | {
    "unusable path": {"check": f"nowhere.{EVERYTHING}"},
    "unusable options": {"check": path_of(Planted), EVERYTHING: EVERYTHING},
    "unmakable": {"check": path_of(Unmakable)},
}  # fmt: skip


@pytest.fixture(autouse=True)
def project(settings: Any, life: Lifecycle, monkeypatch: pytest.MonkeyPatch) -> Any:
    settings.SECRET_KEY = PLANTED["SECRET_KEY"]
    settings.HEALTH_TOKEN = PLANTED["HEALTH_TOKEN"]
    settings.HEALTH_VERSION = PLANTED["version"]
    settings.HEALTH_DISK_PATH = PLANTED["file path"]
    settings.CACHES = {
        **settings.CACHES,
        "planted": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": PLANTED["Redis URL"]},
    }
    settings.ALLOWED_HOSTS = ["example.com"]
    monkeypatch.setenv("PLANTED", PLANTED["environment value"])
    monkeypatch.setenv("DATABASE_URL", PLANTED["DSN"])
    return settings


def requests() -> Iterator[tuple[str, str, str]]:
    """Method, path and Accept of everything that can be asked."""
    paths = ["live", "ready", "startup", "", "ready/mine", "ready/nobody", "nowhere", f"ready/{PLANTED['SQL']}"]
    query = f"verbose&exclude={PLANTED['DSN']}&token={PLANTED['HEALTH_TOKEN']}"
    for path, accept in product(paths, ("*/*", "text/html")):
        yield "GET", f"/health/{path}", accept
        yield "GET", f"/health/{path}?{query}", accept
    for path, method in product(paths, ("HEAD", "POST")):
        yield method, f"/health/{path}?{query}", "text/html"


def leaks(text: str, shown: set[str]) -> set[str]:
    """Which secrets stand in it, as they are or escaped."""
    forms = [text, html.unescape(text)]
    if text.startswith("{"):
        forms.append(json.dumps(json.loads(text), ensure_ascii=False))
    return {name for name, secret in PLANTED.items() if any(secret in form for form in forms)} - shown


def head_of(response: Any) -> str:
    headers = "\n".join(f"{name}: {value}" for name, value in response.items())
    return f"{response.reason_phrase}\n{headers}"


def leaked(ask: Ask, **headers: str) -> dict[str, set[str]]:
    shown = SHOWN_TO_ADMITTED if headers else set()
    found: dict[str, set[str]] = {}
    for method, path, accept in requests():
        response = ask(path, method, Accept=accept, **headers)
        told = leaks(response.content.decode(), shown) | leaks(head_of(response), shown)
        assert response.status_code in {200, 404, 405, 503}
        if told:
            found[f"{method} {path} {accept}"] = told
    return found


def logged(caplog: pytest.LogCaptureFixture, way: str = "") -> set[str]:
    """Secrets in the health app's log; what its settings themselves say in code (a dotted path) is none."""
    ours = [record for record in caplog.records if record.name.startswith("health")]
    written = set(PLANTED) if way == "unusable path" else set()
    return leaks("\n".join(caplog.handler.format(record) for record in ours), written)


def test_there_are_twelve() -> None:
    assert len(PLANTED) == 12


@pytest.mark.parametrize("debug", [False, True])
@pytest.mark.parametrize("way", WAYS)
def test_nobody_is_told_a_secret(
    ask: Ask, settings: Any, caplog: pytest.LogCaptureFixture, way: str, debug: bool
) -> None:
    settings.DEBUG = debug
    settings.HEALTH_CHECKS = only(mine=WAYS[way], other="healthy")
    assert leaked(ask) == {}
    assert leaked(ask, Authorization=f"Bearer {PLANTED['HEALTH_TOKEN']}") == {}
    assert logged(caplog, way) == set()


@pytest.mark.parametrize("debug", [False, True])
@pytest.mark.parametrize("place", ["health.probes.get_engine", "health.views.as_json", "health.views.may_see_details"])
def test_nor_when_the_app_itself_fails(
    ask: Ask,
    settings: Any,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    place: str,
    debug: bool,
) -> None:
    settings.DEBUG = debug
    settings.HEALTH_CHECKS = only(mine=WAYS["well"])
    monkeypatch.setattr(place, lambda *_, **__: fail())
    assert leaked(ask) == {}
    assert leaked(ask, Authorization=f"Bearer {PLANTED['HEALTH_TOKEN']}") == {}
    assert logged(caplog) == set()


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("form", [[], ["--verbose"], ["--json"], ["--json", "--verbose", "--strict"]])
@pytest.mark.parametrize("probe", ["live", "ready", "startup"])
def test_the_command_tells_none_either(
    settings: Any, caplog: pytest.LogCaptureFixture, way: str, form: list[str], probe: str
) -> None:
    settings.HEALTH_CHECKS = only(mine=WAYS[way])
    out, err = StringIO(), StringIO()
    told = ""
    try:
        call_command("health", probe, *form, stdout=out, stderr=err)
    except CommandError as error:
        told = str(error)
    except SystemExit:
        pass
    for text in (out.getvalue(), err.getvalue(), told):
        assert leaks(text, SHOWN_TO_ADMITTED) == set()
    assert logged(caplog, way) == set()


def test_who_is_admitted_sees_the_two_that_are_for_him(ask: Ask, settings: Any) -> None:
    """Else the tests above would prove nothing."""
    settings.HEALTH_CHECKS = only(mine=WAYS["well"])
    admitted = {"Authorization": f"Bearer {PLANTED['HEALTH_TOKEN']}"}
    for path, accept in (("/health/?verbose", "*/*"), ("/health/", "text/html")):
        text = ask(path, Accept=accept, **admitted).content.decode()
        assert leaks(text, set()) == SHOWN_TO_ADMITTED
        assert leaks(ask(path, Accept=accept).content.decode(), set()) == set()
