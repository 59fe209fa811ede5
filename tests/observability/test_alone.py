"""The app can be lifted into any project: it needs no settings to be imported, and nothing of this product ever."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import observability

FOLDER = Path(observability.__file__).parent
PURE = (
    "observability",
    "observability.catalogue",
    "observability.cells",
    "observability.errors",
    "observability.multiprocess",
    "observability.multiprocess.files",
    "observability.multiprocess.reading",
    "observability.multiprocess.slots",
    "observability.storage",
    "observability.tally",
)
MODULES = sorted(
    ".".join(path.relative_to(FOLDER.parent).with_suffix("").parts).removesuffix(".__init__")
    for path in FOLDER.rglob("*.py")
)
FOREIGN = (
    "harvester",
    "ratelimit",
    "health",
    "celery",
    "kombu",
    "django_prometheus",
    "redis",
    "django_redis",
    "psycopg",
)
ABSENT = (
    "celery",
    "kombu",
    "redis",
    "django_redis",
    "psycopg",
    "psycopg2",
    "psutil",
    "django_prometheus",
    "pymemcache",
)
ASK = """
from django.test import Client
from django.http import HttpResponse
from django.urls import path
urlpatterns = [path("hello/", lambda request: HttpResponse("hello"))]
client = Client()
client.get("/hello/")
text = client.get("/metrics").content.decode()
print('http_requests_total{endpoint="hello/",method="GET",status="200"} 1.0' in text, text.count("# TYPE ") > 10)
"""


def run(code: str, **environment: str) -> str:
    """What a fresh interpreter prints, with nothing of this process's environment."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=FOLDER.parent,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout.strip()


def configured(**settings: str) -> str:
    """Code that sets up the smallest project, with these settings written as code."""
    least = {
        "SECRET_KEY": "'x'",
        "INSTALLED_APPS": "['observability']",
        "MIDDLEWARE": "['observability.middleware.MetricsMiddleware']",
        "ROOT_URLCONF": "__name__",
        "ALLOWED_HOSTS": "['testserver']",
    }
    written = ", ".join(f"{name}={value}" for name, value in (least | settings).items())
    return f"import django\nfrom django.conf import settings\nsettings.configure({written})\ndjango.setup()\n"


@pytest.mark.parametrize("name", PURE)
def test_it_is_imported_without_settings_and_without_django(name: str) -> None:
    loaded = "any(one == 'django' or one.startswith('django.') for one in sys.modules)"
    assert run(f"import sys, {name}; print({loaded})") == "False"


def test_every_module_is_imported_without_touching_what_it_does_not_know() -> None:
    code = f"""
import sys, django
django.setup()
for name in {MODULES!r}:
    __import__(name)
print([name for name in sys.modules if name.split(".")[0] in {FOREIGN!r}])
"""
    assert run(code, DJANGO_SETTINGS_MODULE="tests.observability.settings") == "[]"


def test_it_works_in_the_smallest_project_and_without_whatever_may_be_absent() -> None:
    absent = f"import sys\nfor absent in {ABSENT!r}:\n    sys.modules[absent] = None\n"
    database = "{'default': {'ENGINE': 'django.db.backends.sqlite3', 'NAME': ':memory:'}}"
    assert run(absent + configured(DATABASES=database) + ASK) == "True True"


def test_it_works_without_a_database() -> None:
    assert run(configured() + ASK) == "True True"


def test_it_works_without_a_cache() -> None:
    assert run(configured(CACHES="{'default': {'BACKEND': 'django.core.cache.backends.dummy.DummyCache'}}") + ASK) == (
        "True True"
    )


def test_every_module_is_imported_without_whatever_may_be_absent() -> None:
    code = f"""
import sys
for absent in {ABSENT!r}:
    sys.modules[absent] = None
{configured()}
for name in {MODULES!r}:
    __import__(name)
print("done")
"""
    assert run(code) == "done"


def test_it_works_with_a_folder_that_nobody_can_write(tmp_path: Path) -> None:
    """The numbers are its own then, and the log says so once."""
    (tmp_path / "file").touch()
    done = subprocess.run(
        [sys.executable, "-c", configured() + ASK],
        cwd=FOLDER.parent,
        env={"PROMETHEUS_MULTIPROC_DIR": str(tmp_path / "file")},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("PROMETHEUS_MULTIPROC_DIR cannot be written") == 1


def test_setting_up_a_project_takes_one_slot_and_leaves_no_thread(tmp_path: Path) -> None:
    code = configured() + "import threading; print(threading.active_count())"
    assert run(code, PROMETHEUS_MULTIPROC_DIR=str(tmp_path / "metrics")) == "1"
    assert [path.name for path in (tmp_path / "metrics").glob("*.lock")] == ["slot-0.lock"]


def test_metrics_of_others_are_in_slots_wherever_their_app_stands(tmp_path: Path) -> None:
    """An app's models are imported before any app is ready, and may make metrics of their own."""
    app = tmp_path / "shop"
    app.mkdir()
    (app / "__init__.py").touch()
    (app / "models.py").write_text(
        "from prometheus_client import Counter\nsold = Counter('sold_total', 'Sold.')\nsold.inc(3)\n"
    )
    code = configured(INSTALLED_APPS="['shop', 'observability']") + ASK + "print('sold_total 3.0' in text)"
    folder = tmp_path / "metrics"
    told = run(code, PYTHONPATH=str(tmp_path), PROMETHEUS_MULTIPROC_DIR=str(folder))
    assert told.split() == ["True", "True", "True"]
    assert {path.stem.rpartition("_")[2] for path in folder.glob("*.db")} == {"0"}, "not a process id"


def test_the_public_names_are_what_the_app_offers() -> None:
    names = ", ".join(observability.__all__)
    code = f"import django; django.setup(); from observability import {names}; print('all')"
    assert run(code, DJANGO_SETTINGS_MODULE="tests.observability.settings") == "all"


def test_public_names_are_listed_and_others_refused() -> None:
    assert set(observability.__all__) <= set(dir(observability))
    assert sorted(observability.__all__) == observability.__all__
    with pytest.raises(AttributeError, match="nothing_at_all"):
        _ = observability.nothing_at_all


def test_types_are_shipped() -> None:
    assert (FOLDER / "py.typed").is_file()
