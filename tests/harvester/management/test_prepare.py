"""`manage.py prepare` makes an empty installation usable, and may be killed and run again at any time."""

from __future__ import annotations

import stat
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth import authenticate
from django.core.management import call_command

from harvester.models import Run, User

pytestmark = pytest.mark.django_db


@pytest.fixture
def data_dir(tmp_path: Path, settings: Any) -> Path:
    settings.DATA_DIR = tmp_path / "var"
    Run.objects.create(trigger="command")  # an installation that had its sample world
    return tmp_path / "var"


def prepare() -> str:
    out = StringIO()
    call_command("prepare", stdout=out)
    return out.getvalue()


def test_the_admin_can_sign_in_with_what_is_printed_and_kept(data_dir: Path) -> None:
    told = prepare()
    kept = data_dir / "admin-password"
    password = kept.read_text().strip()
    assert authenticate(username="admin", password=password).is_superuser
    assert f"admin / {password} (kept in" in told
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600


def test_the_second_time_nothing_changes(data_dir: Path) -> None:
    prepare()
    password = (data_dir / "admin-password").read_text()
    told = prepare()
    assert "admin, password in" in told
    assert password.strip() not in told
    assert (data_dir / "admin-password").read_text() == password


def test_an_ordinary_user_of_that_name_is_left_alone(data_dir: Path) -> None:
    ordinary = User.objects.create_user("admin", password="chosen long ago")
    told = prepare()
    ordinary.refresh_from_db()
    assert not ordinary.is_superuser
    assert authenticate(username="admin", password="chosen long ago") == ordinary
    assert "createsuperuser" in told
    assert not (data_dir / "admin-password").exists()


def test_killed_before_the_account_was_made_it_goes_on(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(User.objects.__class__, "create_superuser", killed)
        with pytest.raises(KeyboardInterrupt):
            prepare()
    password = (data_dir / "admin-password").read_text().strip()
    prepare()
    assert authenticate(username="admin", password=password)


def test_killed_while_the_file_was_written_it_goes_on(data_dir: Path) -> None:
    data_dir.mkdir()
    (data_dir / "admin-password").touch()
    prepare()
    assert authenticate(username="admin", password=(data_dir / "admin-password").read_text().strip())


def test_an_administrator_of_another_name_is_enough(data_dir: Path) -> None:
    User.objects.create_superuser("ada", password="chosen long ago")
    prepare()
    assert not User.objects.filter(username="admin").exists()
    assert not (data_dir / "admin-password").exists()
