"""The app can be lifted into any project: it needs no settings to be imported, and nothing of this product ever."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import ratelimit

FOLDER = Path(ratelimit.__file__).parent
PURE = ("ratelimit", "ratelimit.bucket", "ratelimit.errors")
MODULES = sorted(
    ".".join(path.relative_to(FOLDER.parent).with_suffix("").parts).removesuffix(".__init__")
    for path in FOLDER.rglob("*.py")
    if "migrations" not in path.parts
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
foreign = ("harvester", "observability", "health", "prometheus_client", "ninja")
print([name for name in sys.modules if name.split(".")[0] in foreign])
"""
    assert run(code, DJANGO_SETTINGS_MODULE="tests.ratelimit.settings") == "[]"


def test_it_works_where_there_is_no_admin() -> None:
    code = """
import sys
import django
from django.conf import settings
apps = ["django.contrib.contenttypes", "django.contrib.auth", "ratelimit"]
databases = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
settings.configure(SECRET_KEY="x", INSTALLED_APPS=apps, DATABASES=databases, USE_TZ=True)
django.setup()
from django.core.management import call_command
from ratelimit import Identity, get_rate_limiter
call_command("check", verbosity=0)
call_command("migrate", verbosity=0)
print(get_rate_limiter().check(Identity.of("somebody")).remaining, "django.contrib.admin.sites" in sys.modules)
"""
    assert run(code).splitlines()[-1] == "999 False"


def test_its_admin_works_with_any_user_model() -> None:
    run("import runpy; runpy.run_module('tests.ratelimit.elsewhere', run_name='__main__')")


def test_the_public_names_are_what_the_app_offers() -> None:
    names = ", ".join(ratelimit.__all__)
    code = (
        f"import django; django.setup(); from ratelimit import {names}; import ratelimit; print(len(ratelimit.__all__))"
    )
    assert run(code, DJANGO_SETTINGS_MODULE="tests.ratelimit.settings") == str(len(ratelimit.__all__))


def test_public_names_are_listed_and_others_refused() -> None:
    assert set(ratelimit.__all__) <= set(dir(ratelimit))
    with pytest.raises(AttributeError, match="nothing_at_all"):
        _ = ratelimit.nothing_at_all


def test_limits_can_be_reckoned_with_before_there_are_settings() -> None:
    assert run("from ratelimit import Limit; print(Limit.parse('20/m').requests)") == "20"


def test_types_are_shipped() -> None:
    assert (FOLDER / "py.typed").is_file()
