"""Each check speaks up about what is wrong, and about nothing else."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as project
from django.core.management import call_command
from django.core.management.base import SystemCheckError

import observability
from observability.middleware import MetricsMiddleware
from observability.system_checks import check_settings

OURS = "observability.middleware.MetricsMiddleware"
SECURITY = "django.middleware.security.SecurityMiddleware"
HERE = "tests.observability.test_system_checks"
SQLITE = {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}
LOCMEM = {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}
other_databases = pytest.mark.filterwarnings("ignore:Overriding setting DATABASES")  # nobody connects
SECRET = "planted"  # in whatever may be secret; no message may repeat it


class Derived(MetricsMiddleware):
    """A project's own."""


class Marks:
    """Looks at a request and lets it pass."""


def marks_too(get_response: Any) -> Any:
    return get_response


@pytest.fixture(autouse=True)
def all_is_well(settings: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """A project in which no check has anything to say; each test breaks one thing."""
    for name in [name for name in dir(project) if name.startswith("OBSERVABILITY_")]:
        delattr(settings, name)
    settings.MIDDLEWARE = [OURS, SECURITY]
    settings.CACHES = {"default": LOCMEM}
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    monkeypatch.delenv("PORT", raising=False)
    return settings


def found() -> list[str]:
    messages = check_settings()
    assert all(message.hint for message in messages)
    assert all(SECRET not in f"{message.msg} {message.hint}" for message in messages)
    return sorted(str(message.id).removeprefix("observability.") for message in messages)


def told() -> str:
    return " ".join(f"{message.msg} {message.hint}" for message in check_settings())


def test_a_sensible_project_hears_nothing(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert found() == []
    settings.OBSERVABILITY_TOKEN = "0123456789abcdef"
    settings.OBSERVABILITY_ALLOWED_NETWORKS = ["10.0.0.0/8", "::1"]
    settings.OBSERVABILITY_NAMESPACE = "shop"
    settings.OBSERVABILITY_WORKER_PORT = 9808
    settings.OBSERVABILITY_DATABASES = settings.OBSERVABILITY_CACHES = ["default"]
    settings.OBSERVABILITY_PATH = ""
    monkeypatch.delenv("PROMETHEUS_MULTIPROC_DIR")
    assert found() == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("NAMESPACE", "9lives"), ("NAMESPACE", "a-b"), ("NAMESPACE", "Shop"), ("NAMESPACE", "shop_"),
        ("NAMESPACE", "_shop"), ("NAMESPACE", "läden"), ("NAMESPACE", "shop\n"), ("NAMESPACE", None),
        ("PATH", "metrics"), ("PATH", "/"), ("PATH", None), ("TOKEN", 5), ("TOKEN", None), ("TOKEN", b"planted"),
        ("TOKEN", "planted\udcff"), ("ALLOWED_NETWORKS", "10.0.0.0/8"), ("ALLOWED_NETWORKS", ["unix"]),
        ("ALLOWED_NETWORKS", [5]), ("COLLECTORS", "shop.Collector"), ("COLLECTORS", [5]), ("DATABASES", "default"),
        ("CACHES", "default"), ("SNAPSHOT_SECONDS", 0), ("SNAPSHOT_SECONDS", float("nan")),
        ("COLLECT_TIMEOUT_SECONDS", "soon"), ("COLLECT_TIMEOUT_SECONDS", float("inf")), ("WORKER_PORT", 65_536),
        ("WORKER_PORT", -1), ("WORKER_PORT", "http"), ("WORKER_HOST", None), ("VERSION", 4.2),
    ],
)  # fmt: skip
def test_e001_a_setting_that_cannot_be_read(settings: Any, name: str, value: object) -> None:
    setattr(settings, f"OBSERVABILITY_{name}", value)
    assert found() == ["E001"]
    assert f"OBSERVABILITY_{name} " in check_settings()[0].msg


class Hostile:
    """Whatever is asked of it raises what nobody expects."""

    def __iter__(self) -> Any:
        raise RuntimeError("not so")

    __float__ = __int__ = __bool__ = __iter__


@pytest.mark.parametrize("name", ["ALLOWED_NETWORKS", "SNAPSHOT_SECONDS", "WORKER_PORT", "STRICT", "DATABASES"])
def test_e001_whatever_a_setting_raises(settings: Any, name: str) -> None:
    setattr(settings, f"OBSERVABILITY_{name}", Hostile())
    assert found() == ["E001"]


class Stock:
    def collect(self) -> list[Any]:
        return []


class Choosy(Stock):
    def __init__(self, shelf: str) -> None:
        self.shelf = shelf


@pytest.mark.parametrize(
    ("name", "problem"),
    [("Nothing", "importing it fails"), ("Marks", "has no collect"), ("Choosy", "without arguments")],
)
def test_e002_what_makes_no_collector(settings: Any, name: str, problem: str) -> None:
    settings.OBSERVABILITY_COLLECTORS = [f"{HERE}.Stock"]
    assert found() == []
    settings.OBSERVABILITY_COLLECTORS = [f"{HERE}.Stock", f"{HERE}.{name}"]
    assert found() == ["E002"]
    assert problem in told()
    assert f"{HERE}.{name}" in told()


@pytest.mark.parametrize(
    ("setting", "value"), [("OBSERVABILITY_DATABASES", ["replica"]), ("OBSERVABILITY_CACHES", ["default", "sessions"])]
)
def test_e003_an_alias_that_there_is_not(settings: Any, setting: str, value: list[str]) -> None:
    setattr(settings, setting, value)
    assert found() == ["E003"]
    assert value[-1] in told()
    assert "default" in told()


@other_databases
def test_e003_without_any_database(settings: Any) -> None:
    settings.DATABASES = {}
    assert found() == []
    settings.OBSERVABILITY_DATABASES = ["default"]
    assert found() == ["E003"]


def test_e004_a_folder_below_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "file" / "metrics" / "more"):
        monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(path))
        assert found() == ["E004"], path


@pytest.mark.parametrize("path", ["/proc/metrics", "/proc/1/nothing", "/dev/null", "x" * 300])
def test_e004_a_folder_that_nobody_can_make(monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", path)
    assert "E004" in found()


def test_e004_a_folder_that_is_another_users(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Asked as root would be asked in a container, too, where every folder is root's to write."""
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o500)
    for path in (locked, locked / "metrics"):
        monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(path))
        as_nobody = _in_a_process_without_rights(path)
        assert as_nobody, path


def _in_a_process_without_rights(path: Path) -> bool:
    """Whether the check complains there."""
    from observability.system_checks.folder import why_it_cannot_be_written

    if os.geteuid() != 0:
        return bool(why_it_cannot_be_written(path))
    for parent in path.parents[:-2]:
        if str(parent).startswith("/tmp/") and parent.name != "locked":  # noqa: S108 - pytest's own folders
            parent.chmod(0o755)
    child = os.fork()
    if child == 0:
        os.setegid(65_534)
        os.seteuid(65_534)
        os._exit(0 if why_it_cannot_be_written(path) else 1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_folder_that_is_yet_to_be_made_is_fine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path / "to" / "be" / "made"))
    assert found() == []
    assert list(tmp_path.iterdir()) == [], "a check makes nothing"


def test_the_folder_is_left_as_it_was(tmp_path: Path) -> None:
    assert found() == []
    assert list(tmp_path.iterdir()) == []


def test_w001_a_name_that_there_is_not(settings: Any) -> None:
    settings.OBSERVABILITY_COLLECTER = ()
    assert found() == ["W001"]
    assert "Did you mean OBSERVABILITY_COLLECTORS?" in told()
    del settings.OBSERVABILITY_COLLECTER
    settings.OBSERVABILITY_XYZZY_PLUGH_42 = 1
    assert "There are OBSERVABILITY_NAMESPACE, " in told()


def test_w002_without_the_middleware(settings: Any) -> None:
    settings.MIDDLEWARE = [SECURITY]
    assert found() == ["W002"]


def test_w003_the_middleware_twice(settings: Any) -> None:
    settings.MIDDLEWARE = [OURS, SECURITY, f"{HERE}.Derived"]
    assert found() == ["W003"]


@pytest.mark.parametrize(
    "path",
    [SECURITY, "django.middleware.common.CommonMiddleware", "whitenoise.middleware.WhiteNoiseMiddleware",
     "django.middleware.cache.FetchFromCacheMiddleware", "django.middleware.locale.LocaleMiddleware"],
)  # fmt: skip
def test_w004_behind_what_answers_by_itself(settings: Any, path: str) -> None:
    settings.MIDDLEWARE = [f"{HERE}.Marks", path, OURS]
    assert found() == ["W004"]
    assert path in told()


def test_w004_far_from_the_front(settings: Any) -> None:
    settings.MIDDLEWARE = [f"{HERE}.Marks", f"{HERE}.marks_too", OURS, SECURITY]
    assert found() == []
    settings.MIDDLEWARE = [f"{HERE}.Marks", f"{HERE}.marks_too", f"{HERE}.Marks", OURS]
    assert found() == ["W004"]


def test_a_derived_middleware_is_ours_and_one_that_is_not_there_is_for_django(settings: Any) -> None:
    settings.MIDDLEWARE = ["nowhere.Middleware", f"{HERE}.Derived"]
    assert found() == []


def test_w005_a_relative_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", "metrics")
    assert found() == ["W005"]
    assert str(tmp_path / "metrics") in told()


@pytest.mark.parametrize("token", ["planted", "planted12345678"])
def test_w006_a_short_token(settings: Any, token: str) -> None:
    settings.OBSERVABILITY_TOKEN = token
    assert found() == ["W006"]


@pytest.mark.parametrize(
    "token", ["planted 0123456789", "planted0123456789\n", " planted0123456789", "planted\x000123456789"]
)
def test_w007_a_token_that_no_header_can_say(settings: Any, token: str) -> None:
    settings.OBSERVABILITY_TOKEN = token
    assert found() == ["W007"]


@pytest.mark.parametrize("networks", [["0.0.0.0/0"], ["::/0"], ["0.0.0.0/1", "128.0.0.0/1"], ["2000::/3"]])
def test_w008_networks_that_are_everybody(settings: Any, networks: list[str]) -> None:
    settings.OBSERVABILITY_ALLOWED_NETWORKS = networks
    assert found() == ["W008"]


def test_w009_a_port_for_root(settings: Any) -> None:
    settings.OBSERVABILITY_WORKER_PORT = 80
    assert found() == ["W009"]


def test_w010_the_port_of_the_web_server(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.OBSERVABILITY_WORKER_PORT = 8000
    assert found() == ["W010"]
    monkeypatch.setenv("PORT", "9000")
    assert found() == []
    settings.OBSERVABILITY_WORKER_PORT = "9000"
    assert found() == ["W010"]


def test_w011_the_middleware_of_django_prometheus(settings: Any) -> None:
    foreign = [f"django_prometheus.middleware.Prometheus{place}Middleware" for place in ("Before", "After")]
    settings.MIDDLEWARE = [OURS, *foreign]
    assert found() == ["W011", "W011"]


@other_databases
def test_w012_the_engines_of_django_prometheus(settings: Any) -> None:
    foreign = SQLITE | {"ENGINE": "django_prometheus.db.backends.sqlite3"}
    settings.DATABASES = {"default": SQLITE, "other": foreign}
    assert found() == ["W012"]
    assert "django.db.backends.sqlite3" in told()
    settings.OBSERVABILITY_DATABASES = ["default"]
    assert found() == []


def test_w013_the_caches_of_django_prometheus(settings: Any) -> None:
    settings.CACHES = {"default": LOCMEM, "other": {"BACKEND": "django_prometheus.cache.backends.locmem.LocMemCache"}}
    assert found() == ["W013"]
    settings.OBSERVABILITY_CACHES = ["default"]
    assert found() == []


def test_w014_the_migrations_of_django_prometheus(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.PROMETHEUS_EXPORT_MIGRATIONS = True
    assert found() == []
    monkeypatch.setattr("observability.system_checks.neighbours.apps.is_installed", {"django_prometheus"}.__contains__)
    assert found() == ["W014"]


def test_w015_a_page_for_nobody(settings: Any) -> None:
    settings.OBSERVABILITY_ALLOWED_NETWORKS = []
    assert found() == ["W015"]
    settings.OBSERVABILITY_TOKEN = "0123456789abcdef"
    assert found() == []


def test_w016_a_folder_that_prometheus_client_has_used(tmp_path: Path) -> None:
    (tmp_path / "slot-0.lock").touch()
    (tmp_path / "counter_0.db").touch()
    (tmp_path / "gauge_livesum_0.db").touch()
    assert found() == []
    (tmp_path / "gauge_livesum_4711.db").touch()
    assert found() == ["W016"]
    assert "gauge_livesum_4711.db" in told()


def test_they_are_asked_by_manage_py_check(settings: Any) -> None:
    call_command("check", "--tag", "observability", "--fail-level", "WARNING")
    settings.OBSERVABILITY_NAMESPACE = "a-b"
    with pytest.raises(SystemCheckError, match=r"observability\.E001"):
        call_command("check", "--tag", "observability")


def test_every_id_has_a_test_here() -> None:
    folder = Path(observability.__file__).parent / "system_checks"
    code = "".join(path.read_text(encoding="utf-8") for path in folder.glob("*.py"))
    ids = re.findall(r'id="observability\.([EIW][0-9]{3})"', code)
    assert len(ids) > 15
    tests = Path(__file__).read_text(encoding="utf-8")
    assert [name for name in sorted(set(ids)) if f"test_{name.lower()}_" not in tests] == []
