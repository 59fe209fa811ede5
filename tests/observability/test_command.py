"""`manage.py metrics` shows what there is, and says by its exit code whether the reference page is fresh."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

import observability
from observability.catalogue import catalogue
from observability.live import full_name
from observability.metrics import errors, http_request_duration
from observability.reference import lines, load_catalogue, page

HOUSE = Path(observability.__file__).parent.parent
load_catalogue()


def shown(*arguments: str) -> str:
    out = StringIO()
    call_command("metrics", *arguments, stdout=out, stderr=StringIO())
    return out.getvalue()


def from_outside(*arguments: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """In a process of its own, with the app alone."""
    return subprocess.run(
        [sys.executable, "-m", "django", "metrics", *arguments],
        cwd=folder,
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(HOUSE),
            "DJANGO_SETTINGS_MODULE": "tests.observability.settings",
            **environment,
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_it_lists_the_catalogue() -> None:
    assert shown().splitlines() == list(lines(catalogue()))
    assert re.search(r"^  http_requests_total +counter ", shown(), flags=re.MULTILINE)


def test_it_prints_the_reference_page() -> None:
    assert shown("--markdown") == page(catalogue())


def test_it_prints_json() -> None:
    told: dict[str, Any] = json.loads(shown("--json"))
    assert [one["name"] for one in told["metrics"]] == [full_name(metric.name) for metric in catalogue()]


def test_a_fresh_page_passes_and_a_stale_one_says_where(tmp_path: Path) -> None:
    there = tmp_path / "metrics.md"
    there.write_text(shown("--markdown"), encoding="utf-8")
    assert "is what" in shown("--check", str(there))
    stale = there.read_text(encoding="utf-8").replace("| counter |", "| gauge |", 1)
    there.write_text(stale, encoding="utf-8")
    with pytest.raises(CommandError, match=r"metrics\.md is stale: line \d+ should be\n") as refused:
        shown("--check", str(there))
    assert "manage.py metrics --markdown >" in str(refused.value)


@pytest.mark.parametrize("change", [lambda text: text[:-50], lambda text: text + "\n", lambda text: text[:0]])
def test_a_page_that_is_cut_off_or_longer_is_stale(tmp_path: Path, change: Any) -> None:
    there = tmp_path / "metrics.md"
    there.write_text(change(shown("--markdown")), encoding="utf-8")
    with pytest.raises(CommandError, match="is stale"):
        shown("--check", str(there))


def test_a_page_is_checked_with_its_appendix(tmp_path: Path) -> None:
    there, more = tmp_path / "metrics.md", tmp_path / "more.md"
    more.write_text("## More\n", encoding="utf-8")
    there.write_text(shown("--markdown", "--appendix", str(more)), encoding="utf-8")
    assert "\n## More\n" in there.read_text(encoding="utf-8")
    assert "is what" in shown("--check", str(there), "--appendix", str(more))
    with pytest.raises(CommandError, match="is stale"):
        shown("--check", str(there))


def test_what_cannot_be_read_is_said(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    for name, reason in (("nowhere.md", "No such file"), (".", "directory"), ("binary", "not UTF-8")):
        for arguments in (["--check", str(tmp_path / name)], ["--markdown", "--appendix", str(tmp_path / name)]):
            with pytest.raises(CommandError, match=reason):
                shown(*arguments)


def test_what_does_not_go_together_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="--appendix goes with"):
        shown("--json", "--appendix", str(tmp_path))
    with pytest.raises(CommandError, match="not allowed with"):
        shown("--json", "--markdown")


def test_it_shows_the_numbers() -> None:
    errors.at("a kind of the command's test", "warning").inc()
    text = shown("--values")
    assert 'errors_total{severity="warning",type="a kind of the command\'s test"} 1.0' in text
    assert "# TYPE http_requests_total counter" in text or "http_requests_in_progress" in text


def test_it_shows_the_numbers_of_some() -> None:
    errors.at("another kind of the command's test", "warning").inc()
    name = full_name("errors_total")
    text = shown("--values", name)
    assert set(re.findall(r"^# TYPE (\w+)", text, flags=re.MULTILINE)) == {name}
    assert "another kind" in text


def test_a_name_may_be_one_of_a_histograms_samples() -> None:
    http_request_duration.at("GET", "of the command's test").observe(0.1)
    text = shown("--values", full_name("http_request_duration_seconds_count"))
    assert "_count{" in text
    assert "_bucket{" not in text


def test_a_metric_that_there_is_not_is_refused_with_one_that_there_is() -> None:
    with pytest.raises(CommandError, match=r"no metric 'errors_totl'\. Did you mean \w*errors_total\?"):
        shown("--values", "errors_totl")
    with pytest.raises(CommandError, match="shows all there are"):
        shown("--values", "xyzzy")


def test_a_metric_without_a_number_yet_is_no_mistake() -> None:
    assert "nothing" not in shown("--values", full_name("db_connections_max"))


def test_it_shows_what_other_processes_have_counted(tmp_path: Path) -> None:
    """In the folder that they share; alone it says that it is alone."""
    counts = "from observability import metrics; metrics.errors.at('there', 'error').inc(7)"
    shared = {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path / "metrics")}
    subprocess.run(
        [sys.executable, "-c", f"import django; django.setup(); {counts}"],
        cwd=HOUSE,
        env={"DJANGO_SETTINGS_MODULE": "tests.observability.settings", **shared},
        check=True,
        timeout=60,
    )
    done = from_outside("--values", "errors_total", folder=tmp_path, **shared)
    assert done.returncode == 0, done.stderr
    assert 'errors_total{severity="error",type="there"} 7.0' in done.stdout
    assert done.stderr == ""
    alone = from_outside("--values", "errors_total", folder=tmp_path)
    assert "there" not in alone.stdout
    assert "PROMETHEUS_MULTIPROC_DIR is not set" in alone.stderr


def test_it_waits_for_what_must_be_asked(tmp_path: Path) -> None:
    """Longer than a scrape does, as there is no next one; no longer than a collector is waited for at all."""
    (tmp_path / "shop.py").write_text(
        "import time\nfrom observability import Pulled\n"
        "stock = Pulled('stock_parts', 'Parts that are there.', group='Shop')\n"
        "class Stock:\n    def collect(self):\n        time.sleep(0.5)\n        yield stock.family(12)\n"
        "class Hung:\n    def collect(self):\n        time.sleep(60)\n        yield stock.family(12)\n"
    )
    for name, seconds, told in (("Stock", 50, "stock_parts 12.0"), ("Hung", 1, 'success{collector="hung"} 0.0')):
        (tmp_path / "its_settings.py").write_text(
            "from tests.observability.settings import *\n"
            f"OBSERVABILITY_COLLECTORS = ['shop.{name}']\nOBSERVABILITY_COLLECT_TIMEOUT_SECONDS = {seconds}\n"
        )
        done = from_outside("--values", folder=tmp_path, DJANGO_SETTINGS_MODULE="its_settings")
        assert done.returncode == 0, done.stderr
        assert told in done.stdout


def test_exit_codes_are_for_ci(tmp_path: Path) -> None:
    (tmp_path / "metrics.md").write_text(from_outside("--markdown", folder=tmp_path).stdout, encoding="utf-8")
    assert from_outside("--check", "metrics.md", folder=tmp_path).returncode == 0
    (tmp_path / "metrics.md").write_text("# Metrics\n", encoding="utf-8")
    done = from_outside("--check", "metrics.md", folder=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert "is stale" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_page_does_not_depend_on_the_process_that_makes_it(tmp_path: Path) -> None:
    """Nor on hash seeds, nor on whether numbers are shared."""
    pages = {
        from_outside("--markdown", folder=tmp_path, PYTHONHASHSEED=seed, **shared).stdout
        for seed, shared in (("1", {}), ("2", {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path / "metrics")}))
    }
    assert len(pages) == 1
    assert "http_requests_total" in pages.pop()


@pytest.mark.parametrize("name", ["shop"])
def test_names_on_the_page_have_the_namespace(tmp_path: Path, name: str) -> None:
    (tmp_path / "its_settings.py").write_text(
        f"from tests.observability.settings import *\nOBSERVABILITY_NAMESPACE = {name!r}\n"
    )
    done = from_outside("--markdown", folder=tmp_path, DJANGO_SETTINGS_MODULE="its_settings")
    assert f"| `{name}_http_requests_total` |" in done.stdout


def in_a_shell(line: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """With ``metrics`` for the command."""
    return subprocess.run(
        ["bash", "-o", "pipefail", "-c", f'metrics() {{ {sys.executable} -m django metrics "$@"; }}; {line}'],
        cwd=HOUSE,
        env={"PATH": os.environ["PATH"], "DJANGO_SETTINGS_MODULE": "tests.observability.settings", **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_nobody_has_to_read_it_to_its_end() -> None:
    done = in_a_shell("metrics --markdown | head -1")
    assert (done.returncode, done.stdout, done.stderr) == (0, "# Metrics\n", "")


@pytest.mark.parametrize(
    ("line", "environment", "told"),
    [
        ("metrics --markdown > /dev/full", {}, "No space left on device"),
        ("metrics --markdown >&-", {}, "it is closed"),
        ("metrics --markdown", {"PYTHONIOENCODING": "ascii"}, "set PYTHONIOENCODING=utf-8"),
    ],
)
def test_a_page_that_cannot_be_written_is_no_success(line: str, environment: dict[str, str], told: str) -> None:
    done = in_a_shell(line, **environment)
    assert done.returncode == 1, done.stdout
    assert told in done.stderr
    assert "Traceback" not in done.stderr


def test_a_project_that_is_not_well_sees_its_metrics_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "its_settings.py").write_text(
        "from tests.observability.settings import *\n"
        "OBSERVABILITY_COLLECTORS = ['nowhere.Collector']\nOBSERVABILITY_WORKER_PORT = 'http'\n"
        "DATABASES = {'default': {'ENGINE': 'nowhere'}}\n"
    )
    done = from_outside(folder=tmp_path, DJANGO_SETTINGS_MODULE="its_settings")
    assert done.returncode == 0, done.stderr
    assert "http_requests_total" in done.stdout
