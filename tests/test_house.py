"""What the import contracts cannot see: no drawer files, one door per outside thing, exceptions with their reason."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

HOUSE = Path(__file__).resolve().parent.parent
DRAWERS = {"utils", "util", "helpers", "helper", "common", "misc", "shared", "base_utils", "functions"}
GENERATED = {"migrations"}


def tracked() -> list[Path]:
    """Every file of the house, tracked or new, that git does not ignore."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=HOUSE, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return [HOUSE / name for name in listed.stdout.splitlines() if (HOUSE / name).is_file()]


FILES = tracked()
PYTHON = [path for path in FILES if path.suffix == ".py" and not GENERATED & set(path.parts)]
PRODUCT = [path for path in PYTHON if path.relative_to(HOUSE).parts[0] == "harvester"]


def offenders(paths: list[Path], pattern: str, *, allowed: tuple[str, ...] = ()) -> list[str]:
    found = re.compile(pattern)
    return [
        f"{path.relative_to(HOUSE)}:{number}: {line.strip()}"
        for path in paths
        if not str(path.relative_to(HOUSE)).startswith(allowed)
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if found.search(line)
    ]


def test_there_are_files_to_judge() -> None:
    assert len(PRODUCT) > 30


def test_no_file_is_a_drawer() -> None:
    assert [path for path in PYTHON if path.stem in DRAWERS] == []


def test_every_room_says_what_it_is_for() -> None:
    silent = [
        path.relative_to(HOUSE)
        for path in PYTHON
        if (text := path.read_text(encoding="utf-8").removeprefix("#!/usr/bin/env python\n").strip())
        and not text.startswith(('"""', 'r"""'))
    ]
    assert silent == []


def test_raw_sql_lives_in_queries_only() -> None:
    raw = r"\.cursor\(|\.raw\(|RawSQL\(|\.extra\((?!\))(?=.*(?:where|select|tables)=)"
    assert offenders(PRODUCT, raw, allowed=("harvester/queries/",)) == []


def test_signals_are_connected_in_one_file_only() -> None:
    # As a call or as a decorator. config/celery.py answers Celery's own hook, which belongs to no domain.
    allowed = ("harvester/wiring.py", "harvester/config/celery.py")
    assert offenders(PRODUCT, r"\.connect\b", allowed=allowed) == []


@pytest.mark.parametrize("app", ["ratelimit", "observability", "health"])
def test_the_tests_of_a_reusable_app_do_not_know_the_product(app: str) -> None:
    tests = [path for path in PYTHON if path.relative_to(HOUSE).parts[:2] == ("tests", app)]
    assert len(tests) > 10
    assert offenders(tests, r"^\s*(?:from|import) (?:harvester|tests\.(?:factories|fakes|harvester))\b") == []


def test_nothing_from_outside_is_marked_safe() -> None:
    templates = [path for path in FILES if path.suffix == ".html"]
    assert offenders(templates, r"\|\s*safe\b|autoescape off") == []
    assert offenders(PRODUCT, r"mark_safe\(|\|safeseq") == []


def test_every_exception_from_a_rule_carries_its_reason() -> None:
    bare = r"#\s*no[q]a(?!: [A-Z]+[0-9]+(?:, [A-Z]+[0-9]+)*(?: - |  )\w)|#\s*type: i[g]nore(?!\[[a-z, -]+\]\s+# \S)"
    assert offenders(PYTHON, bare) == []


def test_nothing_unfinished_is_left() -> None:
    assert offenders(PYTHON, r"T[O]DO|F[I]XME|X[X]X\b") == []


@pytest.mark.parametrize("name", ["requirements/run.txt", "requirements/dev.txt"])
def test_lock_files_carry_hashes_and_no_addresses(name: str) -> None:
    lock = (HOUSE / name).read_text(encoding="utf-8")
    pinned = re.findall(r"^[a-z0-9._-]+==", lock, flags=re.MULTILINE)
    assert len(pinned) > 20
    assert lock.count("--hash=sha256:") >= len(pinned)
    assert "://" not in lock
    assert "--index-url" not in lock


def test_everything_the_project_asks_for_is_locked() -> None:
    import tomllib

    project = tomllib.loads((HOUSE / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lock = (HOUSE / "requirements" / "run.txt").read_text(encoding="utf-8")
    asked = [re.split(r"[\[<>=~! ]", requirement)[0] for requirement in project["dependencies"]]
    assert [name for name in asked if not re.search(rf"^{name}(\[.*\])?==", lock, flags=re.MULTILINE)] == []


def test_no_path_of_a_machine_is_written_down() -> None:
    texts = [
        path for path in FILES if path.suffix in {".py", ".md", ".toml", ".yaml", ".cfg", ".sh"} or not path.suffix
    ]
    assert offenders(texts, r"/(?:home|Users)/\w+/|/w[o]rk/|/r[o]ot/") == []
