"""Counts of several processes add up exactly: over forks, deaths, and folders that cannot be used."""

from __future__ import annotations

from pathlib import Path

import pytest

from observability.multiprocess.reading import Parser, read_folder
from tests.observability.processes import run

SERIES = "metrics.http_requests.at('GET', 'a/', 200)"
FORK = """
def in_child(work):
    child = os.fork()
    if child:
        return child
    try:
        work()
    finally:
        os._exit(0)
"""


def total(folder: Path, name: str = "http_requests_total") -> float:
    families = read_folder(folder, Parser()).families
    return sum(sample.value for family in families.values() for sample in family.samples if sample.name == name)


def test_processes_one_after_another_add_up_in_one_file(tmp_path: Path) -> None:
    for _ in range(3):
        run(f"{SERIES}.inc(2)", tmp_path)
    assert total(tmp_path) == 6
    assert [path.name for path in tmp_path.glob("counter_*.db")] == ["counter_0.db"]


def test_forks_that_count_at_one_time_lose_nothing(tmp_path: Path) -> None:
    code = f"""{FORK}
series = {SERIES}
series.inc()
def work():
    for _ in range(5000):
        series.inc()
        metrics.http_request_duration.at('GET', 'a/').observe(0.02)
        metrics.http_requests_in_progress.at('GET').inc()
children = [in_child(work) for _ in range(6)]
for _ in range(5000):
    series.inc()
for child in children:
    os.waitpid(child, 0)
"""
    run(code, tmp_path)
    assert total(tmp_path) == 1 + 7 * 5000
    assert total(tmp_path, "http_request_duration_seconds_count") == 6 * 5000
    assert total(tmp_path, "http_requests_in_progress") == 0  # all of them are dead


def test_a_fork_of_a_fork_counts_too(tmp_path: Path) -> None:
    code = f"""{FORK}
def inner():
    {SERIES}.inc()
def outer():
    {SERIES}.inc()
    os.waitpid(in_child(inner), 0)
os.waitpid(in_child(outer), 0)
{SERIES}.inc()
"""
    run(code, tmp_path)
    assert total(tmp_path) == 3


def test_a_thousand_forks_one_after_another_leave_no_more_files_than_a_few(tmp_path: Path) -> None:
    """Scrapes meanwhile look who lives; that may cost a slot now and then, never one for each fork."""
    code = f"""{FORK}
import threading
from observability.multiprocess.slots import living_slots
over = threading.Event()
def scrape():
    while not over.wait(0.002):
        living_slots(storage.folder)
threading.Thread(target=scrape, daemon=True).start()
series = {SERIES}
for number in range(250):
    children = [in_child(series.inc) for _ in range(4)]
    for child in children:
        os.waitpid(child, 0)
over.set()
"""
    run(code, tmp_path, timeout=110)
    assert total(tmp_path) == 1000
    assert len(list(tmp_path.glob("counter_*.db"))) <= 12


def test_a_process_killed_in_the_midst_of_counting_loses_nothing_it_has_counted(tmp_path: Path) -> None:
    code = f"""{FORK}
series = {SERIES}
reading, writing = os.pipe()
def work():
    while True:
        series.inc()
        os.write(writing, b'.')
for _ in range(20):
    child = in_child(work)
    time.sleep(0.01)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
os.close(writing)
told = 0
while part := os.read(reading, 65536):
    told += len(part)
print(told)
"""
    told = int(run(code, tmp_path))
    assert told > 20
    assert told <= total(tmp_path) <= told + 20  # each may have died between counting and telling


def test_threads_of_one_process_lose_nothing(tmp_path: Path) -> None:
    code = f"""
sys.setswitchinterval(1e-6)
def work():
    for _ in range(3000):
        {SERIES}.inc()
        metrics.http_request_duration.at('GET', 'a/').observe(0.02)
threads = [threading.Thread(target=work) for _ in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
"""
    run(code, tmp_path)
    assert total(tmp_path) == 8 * 3000
    assert total(tmp_path, "http_request_duration_seconds_count") == 8 * 3000


def test_a_fork_while_another_thread_counts_is_not_stuck(tmp_path: Path) -> None:
    code = f"""{FORK}
series = {SERIES}
over = False
def busy():
    while not over:
        series.inc()
threads = [threading.Thread(target=busy, daemon=True) for _ in range(4)]
for thread in threads: thread.start()
def work():
    signal.alarm(20)
    series.inc()
for _ in range(50):
    _, status = os.waitpid(in_child(work), 0)
    assert status == 0, status
over = True
"""
    run(code, tmp_path)


def test_a_signals_handler_may_count_in_the_midst_of_counting(tmp_path: Path) -> None:
    code = f"""
series = {SERIES}
handled = 0
def handle(*_):
    global handled
    handled += 1
    series.inc()
signal.signal(signal.SIGALRM, handle)
signal.setitimer(signal.ITIMER_REAL, 0.0002, 0.0002)
for _ in range(100_000):
    series.inc()
signal.setitimer(signal.ITIMER_REAL, 0)
print(handled)
"""
    assert total(tmp_path) == 0
    handled = int(run(code, tmp_path))
    assert handled > 0
    assert total(tmp_path) == 100_000 + handled


def test_what_prometheus_client_makes_keeps_its_numbers_there_too(tmp_path: Path) -> None:
    code = f"""{FORK}
import prometheus_client
others = prometheus_client.Counter('others_total', 'Of a library.', ['kind'])
sizes = prometheus_client.Histogram('sizes', 'Of a library.', buckets=[1, 2])
gauge = prometheus_client.Gauge('depth', 'Of a library.', multiprocess_mode='max')
def work():
    others.labels('a').inc(3)
    sizes.observe(1.5)
    gauge.set(7)
os.waitpid(in_child(work), 0)
work()
"""
    run(code, tmp_path)
    assert total(tmp_path, "others_total") == 6
    assert total(tmp_path, "sizes_count") == 2
    assert total(tmp_path, "depth") == 7
    assert {path.name.rpartition("_")[2] for path in tmp_path.glob("*.db")} == {"0.db", "1.db"}


def test_a_folder_that_cannot_be_written_fails_nothing_and_is_told_once(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    code = f"""
import logging
{SERIES}.inc()
metrics.http_request_duration.at('GET', 'a/').observe(1)
print({SERIES}.value())
"""
    assert run(code, tmp_path / "file" / "below") == "1.0"


def test_a_budget_that_earlier_processes_have_spent_is_spent(tmp_path: Path) -> None:
    """So that a file is bounded whatever its owners have met."""
    code = """
from observability.live import Counter
from observability.catalogue import Label, Budget
spent = Counter('spent_total', 'Of a test.', group='Test', labels=[Label('kind', Budget(5))])
for number in range(5):
    spent.at(f'{name}{number}').inc()
"""
    for name in "abc":
        run(code.replace("{name}", name), tmp_path, DJANGO_SETTINGS_MODULE="tests.observability.lenient_settings")
    families = read_folder(tmp_path, Parser()).families
    kinds = {sample.labels["kind"]: sample.value for sample in families["spent"].samples}
    assert kinds == {"a0": 1, "a1": 1, "a2": 1, "a3": 1, "a4": 1, "other": 10}


@pytest.mark.parametrize("kind", ["counter", "histogram"])
def test_a_corrupt_file_of_a_slot_is_begun_anew_by_its_next_owner(tmp_path: Path, kind: str) -> None:
    run(f"{SERIES}.inc()", tmp_path)
    (tmp_path / f"{kind}_0.db").write_bytes(b"\xff" * 500)
    run(f"{SERIES}.inc()\nmetrics.http_request_duration.at('GET', 'a/').observe(1)", tmp_path)
    assert read_folder(tmp_path, Parser()).skipped_files == 0
    assert total(tmp_path) == (1 if kind == "counter" else 2)


def test_a_process_that_closes_every_file_keeps_its_slot_and_harms_no_file(tmp_path: Path) -> None:
    """As daemons and Celery's beat do, which close what they have inherited."""
    folder, precious = tmp_path / "metrics", tmp_path / "precious"
    code = f"""
import fcntl
from observability.multiprocess.slots import living_slots, take_slot
{SERIES}.inc()
os.closerange(3, 4096)
others = [os.open({str(precious)!r}, os.O_RDWR | os.O_CREAT) for _ in range(20)]
assert living_slots(storage.folder) == {{0: os.getpid()}}, living_slots(storage.folder)
assert take_slot(storage.folder).number == 1
for number in range(250):  # so that the files grow
    metrics.http_request_duration.at('GET', f'e{{number}}/').observe(1)
print(os.path.getsize({str(precious)!r}), flush=True)
os._exit(0)
"""
    assert run(code, folder) == "0"
    assert total(folder) == 1
    assert total(folder, "http_request_duration_seconds_count") == 250
