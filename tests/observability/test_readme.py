"""The README tells the truth: its example runs as it stands there, and what it names exists."""

from __future__ import annotations

import ast
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import observability
from observability.catalogue import catalogue
from observability.conf import ObservabilitySettings
from observability.reference import load_catalogue
from tests.services import free_port

FOLDER = Path(observability.__file__).parent
README = (FOLDER / "README.md").read_text(encoding="utf-8")
PYTHON = re.findall(r"^```python\n(.*?)^```$", README, flags=re.MULTILINE | re.DOTALL)
EXAMPLE = next(block for block in PYTHON if "settings.configure" in block)
OWN_METRICS = next(block for block in PYTHON if "payments_total" in block)
OWN_COLLECTOR = next(block for block in PYTHON if "class StockCollector" in block)
SETTINGS = {
    f"OBSERVABILITY_{name.upper()}"
    for name, value in vars(ObservabilitySettings).items()
    if isinstance(value, property)
}
TOKEN = "a-token-of-an-example"
PATIENCE_SECONDS = 60
LINE = re.compile(r"^(\w+)(?:\{(.*)\})? (\S+)$", re.MULTILINE)


@dataclass(frozen=True)
class Example:
    """The README's project in a folder of its own, with this app and Django beside it."""

    folder: Path
    environment: dict[str, str]
    port: int

    def run(self, *arguments: str) -> str:
        """``python example.py …`` to its end; what it prints."""
        return self._python("example.py", *arguments)

    def run_code(self, *blocks: str) -> str:
        """What they print, with the example set up before."""
        return self._python("-c", "\n".join(("import example", *blocks)))

    def _python(self, *arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def get(self, path: str, **headers: str) -> tuple[int, str]:
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE_SECONDS) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def numbers(self, **headers: str) -> dict[str, float]:
        """What the page says, by the sample as it is written."""
        status, text = self.get("/metrics", **headers)
        assert status == 200, text
        return {f"{name}{{{labels}}}" if labels else name: float(number) for name, labels, number in LINE.findall(text)}

    def wait(self) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                self.get("/metrics")
            except (urllib.error.URLError, ConnectionError):
                assert time.monotonic() < deadline, "it does not start"
                time.sleep(0.05)
            else:
                return


@pytest.fixture
def project(tmp_path: Path) -> Example:
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(FOLDER.parent), "PYTHONDONTWRITEBYTECODE": "1"}
    (tmp_path / "example.py").write_text(EXAMPLE, encoding="utf-8")
    return Example(tmp_path, environment, free_port())


@pytest.fixture(params=["runserver", "gunicorn"])
def served(request: pytest.FixtureRequest, project: Example) -> Iterator[Example]:
    address = f"127.0.0.1:{project.port}"
    command = {
        "runserver": ["example.py", "runserver", "--noreload", address],
        "gunicorn": ["-m", "gunicorn", "--bind", address, "--workers", "2", "example:application"],
    }[request.param]
    if request.param == "gunicorn":
        project.environment["PROMETHEUS_MULTIPROC_DIR"] = str(project.folder / "metrics")
    with (project.folder / "log").open("w") as log:
        server = subprocess.Popen(
            [sys.executable, *command], cwd=project.folder, env=project.environment, stdout=log, stderr=log
        )
        try:
            project.wait()
            yield project
        finally:
            server.terminate()
            server.wait(PATIENCE_SECONDS)
    assert "Traceback" not in (project.folder / "log").read_text()


def test_the_example_is_short() -> None:
    assert len([line for line in EXAMPLE.splitlines() if line]) <= 30


def test_the_example_has_nothing_that_checks_complain_of(project: Example) -> None:
    assert "no issues" in project.run("check", "--fail-level", "WARNING")


def test_the_example_knows_this_app_and_nothing_of_its_house(project: Example) -> None:
    told = project.run_code("import sys", "print(sorted({name.split('.')[0] for name in sys.modules}))")
    loaded = ast.literal_eval(told)
    assert "observability" in loaded
    assert not {"harvester", "ratelimit", "health", "tests", "ninja", "django_prometheus", "celery"} & set(loaded)


def test_the_example_lists_its_metrics(project: Example) -> None:
    told = project.run("metrics")
    assert re.search(r"^Shop\n  orders_total +counter .*\n      way +web, phone, other$", told, flags=re.MULTILINE)
    assert "| `orders_total` |" in project.run("metrics", "--markdown")


def test_the_example_counts_every_request_once_whoever_answers(served: Example) -> None:
    for _ in range(20):
        assert served.get("/order/web/", Host="example.com") == (200, "Thank you.")
    for way in ("pigeon", "raven"):
        served.get(f"/order/{way}/", Host="example.com")
    assert served.get("/elsewhere/", Host="example.com")[0] == 404
    assert served.get("/order/web/", Host="another.example")[0] == 400
    for _ in range(6):  # any worker
        numbers = served.numbers()
        assert numbers['orders_total{way="web"}'] == 20
        assert numbers['orders_total{way="other"}'] == 2
        assert numbers['orders_total{way="phone"}'] == 0
        assert numbers['http_requests_total{endpoint="order/<way>/",method="GET",status="200"}'] == 22
        assert numbers['http_requests_total{endpoint="unrouted",method="GET",status="400"}'] == 1
        assert numbers['http_requests_total{endpoint="unmatched",method="GET",status="404"}'] == 1
        assert not [name for name in numbers if "pigeon" in name or "elsewhere" in name]


def test_the_example_shows_its_metrics_to_those_who_may_see_them(served: Example) -> None:
    assert served.get("/metrics")[0] == 200

    assert served.get("/metrics", **{"X-Forwarded-For": "127.0.0.1"})[0] == 403
    both = {"X-Forwarded-For": "127.0.0.1", "Authorization": f"Bearer {TOKEN}"}
    assert served.numbers(**both)['http_requests_in_progress{method="GET"}'] >= 0


@pytest.mark.parametrize("served", ["gunicorn"], indirect=True)
def test_counts_outlive_the_worker_that_has_counted_them(served: Example) -> None:
    for _ in range(10):
        served.get("/order/phone/", Host="example.com")
    workers = [
        int(line.rpartition("pid: ")[2])
        for line in (served.folder / "log").read_text().splitlines()
        if "Booting worker" in line
    ]
    assert len(workers) == 2
    for worker in workers:
        os.kill(worker, signal.SIGKILL)
    time.sleep(1)
    served.wait()
    assert served.numbers()['orders_total{way="phone"}'] == 10


def test_the_metrics_of_its_own_can_be_declared_as_they_stand_there(project: Example) -> None:
    told = project.run_code(OWN_METRICS, 'print(payments.at("card", "paid").value(), packing.at().sum())')
    assert told == "1.0 420.0\n"


def test_the_collector_of_its_own_works_as_it_stands_there(project: Example) -> None:
    told = project.run_code(
        OWN_COLLECTOR,
        "(family,) = StockCollector().collect()",
        'print({sample.labels["shelf"]: sample.value for sample in family.samples})',
    )
    assert told == "{'A': 12.0, 'B': 3.0}\n"


def test_its_table_has_every_setting() -> None:
    assert set(re.findall(r"^\| `(OBSERVABILITY_\w+)` \|", README, flags=re.MULTILINE)) == SETTINGS


def test_its_table_has_every_group_of_this_app() -> None:
    load_catalogue()
    own = {metric.group for metric in catalogue()}
    listed = README.partition("| group | what |")[2].partition("\n\n")[0]
    assert set(re.findall(r"^\| ([A-Z]\w[\w ]*) \|", listed, flags=re.MULTILINE)) <= own


def test_what_it_names_exists() -> None:
    for name in set(re.findall(r"OBSERVABILITY_[A-Z_]+", README)):
        assert name in SETTINGS, name
    for path in re.findall(r"`(docs/[\w/.-]+)`", README):
        assert (FOLDER.parent / path).is_file(), path
    names = {metric.name for metric in catalogue()}
    for name in set(re.findall(r"`((?:http|metrics|db|cache|build)_\w+)`", README)):
        assert name in names, name
