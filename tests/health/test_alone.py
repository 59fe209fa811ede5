"""The app can be lifted into any project: it needs no settings to be imported, and nothing of this product ever."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import health

FOLDER = Path(health.__file__).parent
PURE = (
    "health",
    "health.errors",
    "health.status",
    "health.base",
    "health.lifecycle",
    "health.gunicorn",
    "health.exec_probe",
)
MODULES = sorted(
    ".".join(path.relative_to(FOLDER.parent).with_suffix("").parts).removesuffix(".__init__")
    for path in FOLDER.rglob("*.py")
)


def run(code: str, **environment: str) -> str:
    """What a fresh interpreter prints, with nothing of this process's environment."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=FOLDER.parent,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


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
foreign = ("harvester", "observability", "ratelimit", "prometheus_client", "ninja", "django_redis", "celery")
print([name for name in sys.modules if name.split(".")[0] in foreign])
"""
    assert run(code, DJANGO_SETTINGS_MODULE="tests.health.settings") == "[]"


def test_it_works_in_the_smallest_project_and_without_redis_or_psycopg() -> None:
    code = """
import sys
for absent in ("redis", "django_redis", "psycopg", "celery"):
    sys.modules[absent] = None
import django
from django.conf import settings
databases = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
settings.configure(SECRET_KEY="x", INSTALLED_APPS=["health"], DATABASES=databases, HEALTH_DISK_PATH="/tmp")
django.setup()
from health import check_readiness, check_startup
print([one.name for one in check_readiness().components], check_startup().is_passing)
"""
    assert run(code) == "['database', 'disk', 'memory'] True"


def test_it_works_without_a_database() -> None:
    code = """
import django
from django.conf import settings
settings.configure(SECRET_KEY="x", INSTALLED_APPS=["health"], HEALTH_DISK_PATH="/tmp")
django.setup()
from health import check_readiness
print([one.name for one in check_readiness().components])
"""
    assert run(code) == "['disk', 'memory']"


def test_the_public_names_are_what_the_app_offers() -> None:
    names = ", ".join(health.__all__)
    code = f"import django; django.setup(); from health import {names}; import health; print(len(health.__all__))"
    assert run(code, DJANGO_SETTINGS_MODULE="tests.health.settings") == str(len(health.__all__))


def test_public_names_are_listed_and_others_refused() -> None:
    assert set(health.__all__) <= set(dir(health))
    with pytest.raises(AttributeError, match="nothing_at_all"):
        _ = health.nothing_at_all


def test_types_are_shipped() -> None:
    assert (FOLDER / "py.typed").is_file()
