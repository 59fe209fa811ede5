"""Room on a disk, over figures handed in and over real file systems."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from django.test import override_settings
from hypothesis import given, settings
from hypothesis import strategies as st

import health
from health.checks.disk import DiskCheck
from health.status import HealthStatus

HEALTHY, DEGRADED, UNHEALTHY = HealthStatus.HEALTHY, HealthStatus.DEGRADED, HealthStatus.UNHEALTHY
NOBODY = 65534


def volume(
    available: int = 500,
    *,
    blocks: int = 1000,
    reserved: int = 0,
    inodes: int = 1000,
    inodes_free: int = 500,
    flag: int = 0,
) -> os.statvfs_result:
    """``reserved`` blocks are free for root alone. Block size, fragment size and the longest name do not matter."""
    return os.statvfs_result(
        (4096, 4096, blocks, available + reserved, available, inodes, inodes_free, inodes_free, flag, 255)
    )


def found(figures: os.statvfs_result, *, may_write: bool = True, **options: Any) -> tuple[HealthStatus, str]:
    check = DiskCheck(name="disk", path="/", statvfs=lambda _: figures, may_write=lambda _: may_write, **options)
    finding = check.run()
    return finding.status, finding.code


# --- room ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("available", "status"),
    [(1000, HEALTHY), (100, HEALTHY), (99, DEGRADED), (50, DEGRADED), (49, UNHEALTHY), (0, UNHEALTHY)],
)
def test_it_changes_below_the_bounds_and_not_at_them(available: int, status: HealthStatus) -> None:
    assert found(volume(available)) == (status, "free")


def test_blocks_reserved_for_root_are_neither_used_nor_free() -> None:
    # as df: 90 available of 900 + 90, where 90 of all 1080 would be less than 10 %
    assert found(volume(100, blocks=1100, reserved=100)) == (HEALTHY, "free")
    assert found(volume(99, blocks=1099, reserved=100)) == (DEGRADED, "free")


def test_a_disk_of_which_only_the_reserve_is_left_is_full() -> None:
    assert found(volume(0, blocks=1000, reserved=50)) == (UNHEALTHY, "free")
    assert found(volume(0, blocks=1000, reserved=1000)) == (UNHEALTHY, "free")


@settings(deadline=None)
@given(
    used=st.integers(0, 2**50),
    available=st.integers(0, 2**50),
    reserved=st.integers(0, 2**40),
    bounds=st.lists(st.integers(0, 100) | st.floats(0, 100), min_size=2, max_size=2).map(sorted),
)
def test_the_bounds_are_exact(used: int, available: int, reserved: int, bounds: list[float]) -> None:
    blocks = used + available + reserved
    unhealthy, degraded = (Fraction(bound) * (used + available) / 100 for bound in bounds)
    status = UNHEALTHY if available < unhealthy else DEGRADED if available < degraded else HEALTHY
    options: dict[str, Any] = {"unhealthy_below_percent": bounds[0], "degraded_below_percent": bounds[1]}
    if used + available:
        assert found(volume(available, blocks=blocks, reserved=reserved), **options)[0] is status


def test_a_file_system_without_a_size_has_no_limit() -> None:
    assert found(volume(0, blocks=0)) == (HEALTHY, "unlimited")


# --- inodes ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("inodes_free", "status"), [(50, (HEALTHY, "free")), (49, (UNHEALTHY, "inodes"))])
def test_a_disk_without_inodes_takes_no_more_files(inodes_free: int, status: tuple[HealthStatus, str]) -> None:
    assert found(volume(inodes_free=inodes_free)) == status


def test_a_file_system_that_makes_inodes_as_needed_has_no_such_limit() -> None:
    assert found(volume(inodes=0, inodes_free=0)) == (HEALTHY, "free")


# --- what is told first ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("figures", "may_write", "told"),
    [
        (volume(0, inodes_free=0, flag=os.ST_RDONLY), False, (UNHEALTHY, "read_only")),
        (volume(0, inodes_free=0, flag=os.ST_NOSUID), False, (UNHEALTHY, "free")),
        (volume(99, inodes_free=0), False, (UNHEALTHY, "inodes")),
        (volume(99), False, (DEGRADED, "free")),
        (volume(100), False, (DEGRADED, "not_writable")),
        (volume(0, blocks=0), False, (DEGRADED, "not_writable")),
        (volume(100), True, (HEALTHY, "free")),
    ],
)
def test_the_worst_is_told_and_a_full_disk_before_a_missing_right(
    figures: os.statvfs_result, may_write: bool, told: tuple[HealthStatus, str]
) -> None:
    assert found(figures, may_write=may_write) == told


# --- paths -----------------------------------------------------------------------------------------------------------


@contextmanager
def without_privileges() -> Iterator[None]:
    """Root may do everything, so that it goes on as somebody else meanwhile."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_real_directory(tmp_path: Path) -> None:
    finding = DiskCheck(
        name="disk", path=str(tmp_path), degraded_below_percent=0, unhealthy_below_percent=0, inodes_below_percent=0
    ).run()
    figures = os.statvfs(tmp_path)
    percent = 100 * figures.f_bavail / (figures.f_blocks - figures.f_bfree + figures.f_bavail)
    assert finding.status is HEALTHY
    assert float(finding.message.split()[0]) == pytest.approx(percent, abs=1)  # others write to it too
    assert finding.message.endswith(f" % of the disk is free at {tmp_path}.")


def test_a_path_that_is_not_there(tmp_path: Path) -> None:
    finding = DiskCheck(name="disk", path=str(tmp_path / "gone")).run()
    assert (finding.status, finding.message) == (UNHEALTHY, f"There is no {tmp_path}/gone.")


@pytest.mark.parametrize("below", ["", "/inside"])
def test_a_path_that_is_a_file(tmp_path: Path, below: str) -> None:
    (tmp_path / "file").write_text("x")
    finding = DiskCheck(name="disk", path=f"{tmp_path}/file{below}").run()
    assert (finding.status, finding.message) == (UNHEALTHY, f"{tmp_path}/file{below} is not a directory.")


def test_a_path_that_may_not_be_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "locked" / "inside").mkdir(parents=True)
    (tmp_path / "locked").chmod(0)
    monkeypatch.chdir(tmp_path)  # the folders above are closed to others as well
    with without_privileges():
        finding = DiskCheck(name="disk", path="locked/inside").run()
    (tmp_path / "locked").chmod(0o700)
    assert (finding.status, finding.message) == (UNHEALTHY, "This process has no right to look at locked/inside.")


@pytest.mark.parametrize(("rights", "code"), [(0o555, "not_writable"), (0o666, "not_writable"), (0o777, "free")])
def test_a_directory_that_may_not_be_written_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rights: int, code: str
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data").chmod(rights)
    monkeypatch.chdir(tmp_path)
    tmp_path.chmod(0o755)
    with without_privileges():
        finding = DiskCheck(name="disk", path="data", statvfs=lambda _: volume()).run()
    assert (finding.status, finding.code) == (HEALTHY if code == "free" else DEGRADED, code)


@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE, errno.ENOTCONN, errno.ELOOP, errno.ENAMETOOLONG])
def test_a_file_system_that_fails_is_told_without_its_own_words(tmp_path: Path, number: int) -> None:
    def fail(path: str) -> os.statvfs_result:
        raise OSError(number, "raw text of the server", path)

    finding = DiskCheck(name="disk", path=str(tmp_path), statvfs=fail).run()
    assert finding.status is UNHEALTHY
    assert finding.message == f"The file system of {tmp_path} does not answer as it should."


@override_settings(HEALTH_DISK_PATH="/srv/{files}")
def test_the_path_is_the_setting_s_and_may_hold_braces() -> None:
    check = DiskCheck(name="disk")
    assert check.path == "/srv/{files}"
    assert check.run().message == "There is no /srv/{files}."


def test_a_path_may_be_written_as_a_path(tmp_path: Path) -> None:
    assert DiskCheck(name="disk", path=tmp_path).path == str(tmp_path)  # type: ignore[arg-type]  # as settings may


# --- real file systems -----------------------------------------------------------------------------------------------

_LOOK = """\
import sys
from pathlib import Path
from health.checks.disk import DiskCheck

path, fill = sys.argv[1:]
try:
    for number in range(10_000):
        if fill == "files":
            Path(path, str(number)).touch()
        elif fill == "bytes":
            Path(path, str(number)).write_bytes(bytes(64 * 1024))
except OSError:
    pass
finding = DiskCheck(name="disk", path=path).run()
print(finding.status, finding.code)
"""


def run_where_mounted(options: str, path: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """With a tmpfs at ``path``, in a namespace that ends with the process: it takes no privileges, and no tidying."""
    script = 'mount -t tmpfs -o "$1" tmpfs "$2" && shift 2 && exec "$@"'
    namespace = ("unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script, "sh", options, str(path))
    return subprocess.run(
        [*namespace, *command],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=Path(health.__file__).parents[1],
    )


def may_mount(path: Path) -> bool:
    """Some systems allow it to nobody."""
    return shutil.which("unshare") is not None and run_where_mounted("size=1m", path, "true").returncode == 0


@pytest.mark.parametrize(
    ("options", "fill", "stand_in", "expected"),
    [
        ("size=4m,nr_inodes=100", "", volume(), (HEALTHY, "free")),
        ("size=4m,nr_inodes=100,ro", "", volume(flag=os.ST_RDONLY), (UNHEALTHY, "read_only")),
        ("size=4m,nr_inodes=100", "files", volume(inodes_free=0), (UNHEALTHY, "inodes")),
        ("size=1m,nr_inodes=1000", "bytes", volume(0), (UNHEALTHY, "free")),
        ("size=0,nr_inodes=0", "", volume(0, blocks=0, inodes=0), (HEALTHY, "unlimited")),
    ],
)
def test_a_file_system_of_the_test_s_own(
    tmp_path: Path, options: str, fill: str, stand_in: os.statvfs_result, expected: tuple[HealthStatus, str]
) -> None:
    """Where none may be mounted, what such a file system says of itself is handed in."""
    if may_mount(tmp_path):
        process = run_where_mounted(options, tmp_path, sys.executable, "-c", _LOOK, str(tmp_path), fill)
        assert (tuple(process.stdout.split()), process.stderr) == (expected, "")
    assert found(stand_in) == expected


# --- options ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        {"degraded_below_percent": -0.1},
        {"unhealthy_below_percent": 101},
        {"inodes_below_percent": float("nan")},
        {"degraded_below_percent": "10"},
        {"unhealthy_below_percent": None},
        {"inodes_below_percent": True},
    ],
)
def test_a_bound_that_is_no_percentage_is_refused_by_name(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"^write {next(iter(options))} as a number from 0 to 100"):
        DiskCheck(name="disk", path="/", **options)


def test_bounds_in_the_wrong_order_are_refused() -> None:
    with pytest.raises(ValueError, match=r"^write an unhealthy_below_percent that is not above degraded_below_percent"):
        DiskCheck(name="disk", path="/", degraded_below_percent=4)


@pytest.mark.parametrize("path", ["", "a\0b", "\udcff", b"/", 3, None])
def test_a_path_that_cannot_be_one_is_refused(path: Any) -> None:
    with pytest.raises(ValueError, match=r"^write path as the name of a directory"):
        DiskCheck(name="disk", path=path)


def test_it_is_critical_and_answers_within_half_a_second() -> None:
    check = DiskCheck(name="disk", path="/")
    assert (check.critical, check.deadline_seconds) == (True, 0.5)


def test_another_thread_s_instance_looks_at_the_same() -> None:
    check = DiskCheck(name="disk", path="/", statvfs=lambda _: volume(99), may_write=lambda _: True)
    assert check.fresh().run() == check.run()
