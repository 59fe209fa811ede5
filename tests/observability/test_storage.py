"""Counts of several processes add up exactly: over forks, deaths, and folders that cannot be used."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from observability.multiprocess.reading import Parser, read_folder
from tests.observability.processes import HOUSE, run

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


def test_a_child_of_a_process_that_closes_every_file_closes_none_of_its_own(tmp_path: Path) -> None:
    code = f"""{FORK}
{SERIES}.inc()
os.closerange(3, 4096)
own = [os.open({str(tmp_path / "own")!r}, os.O_RDWR | os.O_CREAT) for _ in range(30)]
def work():
    for descriptor in own:
        os.fstat(descriptor)
    {SERIES}.inc()
    import gc
    gc.collect()
    for descriptor in own:
        os.fstat(descriptor)
    os._exit(7)
_, status = os.waitpid(in_child(work), 0)
assert os.waitstatus_to_exitcode(status) == 7, status
os._exit(0)
"""
    run(code, tmp_path / "metrics")
    assert total(tmp_path / "metrics") == 2


NEED = """
import observability.storage
observability.storage.RETRY_SECONDS = 0.0
from observability.registry import read_counted
def page(name='http_requests_total'):
    families = read_counted().families.values()
    return sum(s.value for f in families for s in f.samples if s.name == name)
"""


def test_what_was_counted_while_no_file_could_be_opened_is_shared_afterwards(tmp_path: Path) -> None:
    code = f"""{NEED}
import resource
_, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
storage.cells('counter')
{SERIES}.inc()
resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
for number in range(400):  # more than the file has room for
    metrics.http_requests.at('GET', f'need{{number % 250}}/', 200).inc()
metrics.http_request_duration.at('GET', 'need/').observe(1)
metrics.scrape_size.set(77)
resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))
assert page() == 401, page()
assert page('metrics_scrape_size_bytes') == 77
metrics.http_requests.at('GET', 'need1/', 200).inc()
assert page() == 402, page()
"""
    run(code, tmp_path)
    assert total(tmp_path) == 402
    assert total(tmp_path, "http_request_duration_seconds_count") == 1


def test_a_folder_that_comes_later_has_what_was_counted_before(tmp_path: Path) -> None:
    code = f"""{NEED}
{SERIES}.inc(3)
os.rename({str(tmp_path / "file")!r}, {str(tmp_path / "away")!r})
{SERIES}.inc()
page()
{SERIES}.inc()
assert page() == 5, page()
"""
    (tmp_path / "file").write_text("")
    run(code, tmp_path / "file" / "metrics")
    assert total(tmp_path / "file" / "metrics") == 5


def test_threads_that_count_while_files_are_had_again_lose_nothing(tmp_path: Path) -> None:
    code = f"""{NEED}
sys.setswitchinterval(1e-6)
series = [metrics.http_requests.at('GET', f's{{number}}/', 200) for number in range(20)]
def work():
    for _ in range(1000):
        for one in series:
            one.inc()
threads = [threading.Thread(target=work) for _ in range(4)]
for thread in threads: thread.start()
os.rename({str(tmp_path / "file")!r}, {str(tmp_path / "away")!r})
while any(thread.is_alive() for thread in threads):
    storage.recover()
    time.sleep(0.001)
page()
assert page() == 4 * 1000 * 20, page()
"""
    (tmp_path / "file").write_text("")
    run(code, tmp_path / "file" / "metrics")


def test_a_fork_in_need_does_not_count_its_parents_need_twice(tmp_path: Path) -> None:
    code = f"""{NEED}{FORK}
{SERIES}.inc(3)
os.rename({str(tmp_path / "file")!r}, {str(tmp_path / "away")!r})
def work():
    {SERIES}.inc()
    page()
os.waitpid(in_child(work), 0)
assert page() == 4, page()
"""
    (tmp_path / "file").write_text("")
    run(code, tmp_path / "file" / "metrics")


def test_a_folder_named_from_here_is_the_same_from_elsewhere(tmp_path: Path) -> None:
    code = f"""
{SERIES}.inc()
os.chdir('/')
metrics.http_request_duration.at('GET', 'a/').observe(1)
from observability import get_metrics
assert b'http_requests_total{{' in get_metrics()
"""
    name = f"var/metrics-{tmp_path.name}"
    try:
        run(code, Path(name))
        assert total(HOUSE / name) == 1
    finally:
        shutil.rmtree(HOUSE / name, ignore_errors=True)


@pytest.mark.parametrize("is_shared", [True, False])
def test_a_signals_handler_may_make_series_in_the_midst_of_making_one(tmp_path: Path, is_shared: bool) -> None:
    code = f"""{NEED}
import itertools
from observability.cells import key_of
numbers = itertools.count()
handled = 0
def handle(*_):
    global handled
    metrics.http_requests.at('GET', f'h{{next(numbers) % 200}}/', 200).inc()
    metrics.db_queries.at('select', f't{{next(numbers) % 150}}', 'ok').inc()
    storage.place('counter', [key_of('n', 'n_total', {{'number': 'x' * 900 + str(handled)}})])  # so that files grow
    handled += 1
signal.signal(signal.SIGALRM, handle)
signal.setitimer(signal.ITIMER_REAL, 0.0001, 0.0001)
for number in range(20_000):
    metrics.http_requests.at('POST', f'm{{number % 90}}/', 200 + number % 50).inc()
    for family in (metrics.http_requests, metrics.db_queries):
        family._by_raw.clear()
signal.setitimer(signal.ITIMER_REAL, 0)
assert page() == 20_000 + handled, (page(), handled)
assert page('db_queries_total') == handled, (page('db_queries_total'), handled)
print(handled)
"""
    folder = tmp_path if is_shared else Path()
    more = {} if is_shared else {"PROMETHEUS_MULTIPROC_DIR": ""}
    assert int(run(code, folder, DJANGO_SETTINGS_MODULE="tests.observability.lenient_settings", **more)) > 10
