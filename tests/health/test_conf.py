"""Settings as projects write them, and what stands in for those that are missing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from health.conf import conf


class Folder:
    """As py.path and other libraries have them."""

    def __init__(self, path: str) -> None:
        self._path = path

    def __fspath__(self) -> str:
        return self._path


@pytest.fixture(autouse=True)
def project(settings: Any) -> Any:
    settings.MEDIA_ROOT = settings.BASE_DIR = ""
    if hasattr(settings, "HEALTH_DISK_PATH"):
        del settings.HEALTH_DISK_PATH
    return settings


@pytest.mark.parametrize("name", ["MEDIA_ROOT", "BASE_DIR", "HEALTH_DISK_PATH"])
@pytest.mark.parametrize("path", ["/srv/data", Path("/srv/data"), Folder("/srv/data")])
def test_the_disk_path_is_any_path(settings: Any, name: str, path: object) -> None:
    setattr(settings, name, path)
    assert conf.disk_path == "/srv/data"


def test_a_default_that_is_no_path_is_passed_over(settings: Any, tmp_path: Path) -> None:
    settings.MEDIA_ROOT, settings.BASE_DIR = 5, tmp_path
    assert conf.disk_path == str(tmp_path)


def test_the_working_folder_is_the_last_resort(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert conf.disk_path == str(tmp_path)


def test_a_working_folder_that_is_gone_is_still_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert conf.disk_path == "."
