"""A process without a web server serves the page too, whatever comes to its port."""

from __future__ import annotations

import contextlib
import gzip
import http.client
import logging
import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from observability import metrics, worker_port
from observability.worker_port import Server, serve_in_background
from tests.observability.processes import start
from tests.services import free_port

TOKEN = "a token of some length"
QUICK_SECONDS = 4.5
"""The goal is a tenth of it; it must not be what silent connections are waited for (5 s)."""


@pytest.fixture
def server() -> Iterator[Server]:
    port = free_port()
    running = serve_in_background("127.0.0.1", port)
    assert running.port == port
    yield running
    running.close()


def get(
    port: int,
    path: str = "/metrics",
    method: str = "GET",
    host: str = "127.0.0.1",
    body: bytes | None = None,
    **headers: str,
) -> tuple[int, http.client.HTTPMessage, bytes]:
    with contextlib.closing(http.client.HTTPConnection(host, port, timeout=20)) as connection:
        connection.request(method, path, body, {name.replace("_", "-"): text for name, text in headers.items()})
        response = connection.getresponse()
        return response.status, response.headers, response.read()


def sent(port: int, raw: bytes, *, is_all: bool = True) -> bytes:
    """What comes back to these bytes until the server closes."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        with contextlib.suppress(OSError):
            connection.sendall(raw)
            if is_all:
                connection.shutdown(socket.SHUT_WR)
        found = b""
        with contextlib.suppress(ConnectionResetError):
            while part := connection.recv(65536):
                found += part
        return found


def is_alive(port: int) -> bool:
    started = time.monotonic()
    is_served = get(port)[0] == 200
    return is_served and time.monotonic() - started < QUICK_SECONDS


# --- the page ---------------------------------------------------------------------------------------------------------


def test_the_page_is_served(server: Server) -> None:
    metrics.errors.at("worker port", "warning").inc()
    status, headers, body = get(server.port)
    assert status == 200
    assert headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert headers["Content-Length"] == str(len(body))
    assert headers["Cache-Control"] == "no-store"
    assert headers["Connection"] == "close"
    assert 'errors_total{severity="warning",type="worker port"}' in body.decode()


def test_formats_compression_names_and_head_are_as_at_any_other_place(server: Server) -> None:
    _, headers, body = get(server.port, accept="application/openmetrics-text", accept_encoding="gzip")
    assert gzip.decompress(body).endswith(b"# EOF\n")
    assert headers["Content-Encoding"] == "gzip"
    _, _, body = get(server.port, "/metrics?name[]=metrics_scrape_samples")
    assert body.count(b"# TYPE") == 1
    status, headers, body = get(server.port, method="HEAD")
    assert (status, body) == (200, b"")
    assert int(headers["Content-Length"]) > 1_000


@pytest.mark.parametrize(
    "path", ["/", "", "/metrics/", "/metricsx", "/x/metrics", "/%00", "/%FF%FE", "//metrics/..", "*"]
)
def test_there_is_nothing_else(server: Server, path: str) -> None:
    status, _, body = get(server.port, path)
    assert status == 404
    assert b"# TYPE" not in body


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "BREW"])
def test_other_methods_are_refused(server: Server, method: str) -> None:
    status, headers, _ = get(server.port, method=method, body=b"x=1")
    assert (status, headers["Allow"]) == (405, "GET, HEAD")


def test_the_path_is_that_of_the_settings(server: Server, settings: Any) -> None:
    settings.OBSERVABILITY_PATH = "/numbers"
    assert get(server.port, "/numbers")[0] == 200
    assert get(server.port, "/metrics")[0] == 404
    settings.OBSERVABILITY_PATH = ""  # the middleware serves none, and urls are for the web
    assert get(server.port, "/metrics")[0] == 200


@pytest.mark.parametrize("header", ["X-Forwarded-For", "x-forwarded-for", "Forwarded", "Via", "X-Real-IP"])
def test_what_a_proxy_has_passed_on_is_not_let_in_by_its_address(server: Server, header: str) -> None:
    for value in ("127.0.0.1", ""):
        status, headers, body = get(server.port, **{header: value})
        assert (status, headers["Cache-Control"]) == (403, "no-store")
        assert b"# TYPE" not in body


@pytest.mark.parametrize(
    "line",
    [
        b"Foo : x",
        "Fü: x".encode(),
        b"no header",
        b": x",
        b" folded",
        b"\x00: x",
        b"Foo\tBar: x",
        b"From me",
        b"A: b\r\rC",
    ],
)
@pytest.mark.parametrize("passed_on", [b"X-Forwarded-For: 203.0.113.9\r\n", b""])
def test_headers_that_are_malformed_get_no_page(server: Server, line: bytes, passed_on: bytes) -> None:
    """The parser would stop there, and not see what a proxy has put after it."""
    answer = sent(server.port, b"GET /metrics HTTP/1.1\r\n" + line + b"\r\n" + passed_on + b"\r\n")
    assert answer.startswith(b"HTTP/1.0 400 ")
    assert b"# TYPE" not in answer


def test_headers_that_are_odd_and_well_formed_get_the_page(server: Server) -> None:
    odd = b"A:b\r\nEmpty:\r\nLong: a\r\n folded\r\n!#$%: \xff\r\nContent-Type: text/plain; charset=none\r\n"
    assert b"# TYPE" in sent(server.port, b"GET /metrics HTTP/1.1\r\n" + odd + b"\r\n")


def test_the_token_opens_and_no_other(server: Server, settings: Any) -> None:
    settings.OBSERVABILITY_ALLOWED_NETWORKS = []
    settings.OBSERVABILITY_TOKEN = TOKEN
    assert get(server.port)[0] == 403
    assert get(server.port, authorization="Bearer wrong")[0] == 403
    assert get(server.port, f"/metrics?token={TOKEN.replace(' ', '+')}")[0] == 403
    assert get(server.port, authorization=f"bearer {TOKEN}")[0] == 200


def test_it_listens_on_ipv6_too() -> None:
    with contextlib.closing(serve_in_background("::1", free_port())) as server:
        assert get(server.port, host="::1")[0] == 200


def test_from_all_addresses_loopback_is_still_near() -> None:
    with contextlib.closing(serve_in_background("::", free_port())) as server:
        assert get(server.port, host="::1")[0] == 200
        assert get(server.port, host="127.0.0.1")[0] == 200, "as ::ffff:127.0.0.1"


# --- what comes to a port ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "raw",
    [
        b"", b"\r\n", b"\r\n\r\n", b"GET", b"GET /metrics", b"GET /metrics HTTP/1.1\r\n",
        b"GET /metrics HTTP/1.1\r\nHost: x",
        b"GET /metrics\r\n\r\n", b"GET /metrics HTTP/9.9\r\n\r\n", b"GET /metrics HTTP/x\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + os.urandom(500), os.urandom(5_000), b"\x00" * 5_000,
        b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n", b"GET /metrics HTTP/1.1\r\n" + b"A: b\r\n" * 5_000 + b"\r\n",
        b"GET /metrics HTTP/1.1\r\nA: " + b"b" * 1_000_000 + b"\r\n\r\n",
        b"GET /metrics HTTP/1.1\r\n" + b"A: b\r\n" * 200 + b"\r\n",
        b"GET /metrics HTTP/1.1\r\n: \r\n:::\r\n\x00\xff: \xff\r\n folded\r\n\r\n",
        b"G\xc3\x8bT /metrics HTTP/1.1\r\n\r\n", b"GET \xff\xfe HTTP/1.1\r\n\r\n", b"GET http://[ HTTP/1.1\r\n\r\n",
    ],
    ids=range(21),
)  # fmt: skip
def test_rubbish_gets_no_page_and_the_next_one_does(server: Server, raw: bytes) -> None:
    started = time.monotonic()
    answer = sent(server.port, raw)
    assert b"# TYPE" not in answer
    assert time.monotonic() - started < QUICK_SECONDS
    assert is_alive(server.port)


@pytest.mark.parametrize("raw", [b"", b"GET /metrics HTTP/1.1\r\n"])
def test_a_request_without_an_end_is_waited_for_a_while(
    server: Server, monkeypatch: pytest.MonkeyPatch, raw: bytes
) -> None:
    monkeypatch.setattr(worker_port, "PATIENCE_SECONDS", 0.3)
    started = time.monotonic()
    assert sent(server.port, raw, is_all=False) == b""
    assert 0.25 < time.monotonic() - started < QUICK_SECONDS


def test_a_request_that_drips_is_waited_for_no_longer(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_port, "PATIENCE_SECONDS", 0.5)
    started = time.monotonic()
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection, contextlib.suppress(OSError):
        while time.monotonic() - started < 20:
            connection.sendall(b"G")
            time.sleep(0.05)
    assert time.monotonic() - started < 5


def test_a_hundred_connections_that_say_nothing_keep_nobody_out(server: Server) -> None:
    silent = [socket.create_connection(("127.0.0.1", server.port), timeout=20) for _ in range(100)]
    try:
        assert is_alive(server.port)
        assert is_alive(server.port)
        assert sum(thread.name == "metrics-request" for thread in threading.enumerate()) <= 8
    finally:
        for connection in silent:
            connection.close()


def test_a_hundred_at_once_are_all_served(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_port, "_MOMENT_SECONDS", 5.0)  # a hundred threads of a busy machine are slow to speak
    statuses: list[int] = []

    def ask() -> None:
        statuses.append(get(server.port)[0])

    threads = [threading.Thread(target=ask) for _ in range(100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert statuses == [200] * 100


def test_whoever_does_not_take_the_answer_is_left(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_port, "PATIENCE_SECONDS", 2.0)
    monkeypatch.setattr(worker_port._Handler, "_answer", _long_answer)
    slow = []
    try:
        for _ in range(8):
            slow.append(socket.create_connection(("127.0.0.1", server.port), timeout=20))
            slow[-1].sendall(b"GET /metrics HTTP/1.1\r\n\r\n")
        for connection in slow:
            assert connection.recv(1, socket.MSG_PEEK), "it is being answered"
        monkeypatch.undo()
        assert is_alive(server.port), "as soon as one of them has been left"
        for connection in slow:
            assert len(_rest(connection)) < LONG_BYTES
    finally:
        for connection in slow:
            connection.close()


def _rest(connection: socket.socket) -> bytes:
    found = b""
    with contextlib.suppress(ConnectionResetError):
        while part := connection.recv(1 << 20):
            found += part
    return found


LONG_BYTES = 50_000_000


def _long_answer(handler: object) -> Any:
    from django.http import HttpResponse

    return HttpResponse(b"x" * LONG_BYTES)


def test_nothing_is_left_behind(server: Server) -> None:
    get(server.port)
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(50):
        get(server.port)
        sent(server.port, b"rubbish\r\n\r\n")
    assert len(list(Path("/proc/self/fd").iterdir())) <= before + 8


def test_nothing_is_written_to_the_output(server: Server, capfd: pytest.CaptureFixture[str]) -> None:
    get(server.port)
    get(server.port, "/")
    sent(server.port, b"rubbish\r\n\r\n")
    assert capfd.readouterr() == ("", "")


# --- the port itself --------------------------------------------------------------------------------------------------


def test_no_port_is_no_server_and_no_thread() -> None:
    before = threading.active_count()
    server = serve_in_background("127.0.0.1", 0)
    assert server.port == 0
    assert threading.active_count() == before
    server.close()


def test_a_port_that_is_taken_is_told_by_the_settings_name(caplog: pytest.LogCaptureFixture) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, caplog.at_level(logging.ERROR):
        port = taken.getsockname()[1]
        assert serve_in_background("127.0.0.1", port).port == 0
    (record,) = [record for record in caplog.records if record.name == "observability.worker_port"]
    assert f"OBSERVABILITY_WORKER_PORT {port} on 127.0.0.1" in record.getMessage()
    assert record.levelname == "ERROR"


@pytest.mark.parametrize(
    ("host", "port"),
    [
        ("192.0.2.1", 9000),
        ("256.1.1.1", 9000),
        ("127.0.0.1", 70_000),
        ("127.0.0.1", -1),
        ("x" * 300, 9000),
        ("a\x00b", 9000),
    ],
)
def test_an_address_that_cannot_be_had_is_told_too(caplog: pytest.LogCaptureFixture, host: str, port: int) -> None:
    with caplog.at_level(logging.ERROR):
        assert serve_in_background(host, port).port == 0
    assert "OBSERVABILITY_WORKER_PORT" in caplog.text


def test_once_closed_it_is_free_again() -> None:
    port = free_port()
    for _ in range(3):
        server = serve_in_background("127.0.0.1", port)
        assert get(server.port)[0] == 200
        server.close()
        server.close()
        assert server.port == 0


FORKING = """
from observability.worker_port import serve_in_background
server = serve_in_background("127.0.0.1", int(os.environ["PORT"]))
child = os.fork()
if child == 0:
    server.close()
    signal.alarm(60)
    os.write(1, b"child\\n")  # whole, so that no other process's line comes into it
    time.sleep(60)
os.write(1, f"{child}\\n".encode())
sys.stdin.readline()
"""


def test_a_forked_child_does_not_keep_the_port(tmp_path: Path) -> None:
    port = free_port()
    parent = start(FORKING, tmp_path, PORT=str(port))
    assert parent.stdin is not None
    assert parent.stdout is not None
    said = [parent.stdout.readline().strip() for _ in range(2)]
    child = int(next(word for word in said if word.isdigit()))
    try:
        assert "child" in said
        assert get(port)[0] == 200, "the child's closing is not the parent's"
        parent.kill()
        parent.wait(10)
        with contextlib.closing(serve_in_background("127.0.0.1", port)) as server:
            assert server.port == port
            assert get(port)[0] == 200
    finally:
        parent.kill()
        os.kill(child, 9)
        parent.stdin.close()
        parent.stdout.close()


ENDING = """
import os, django
django.setup()
from observability.worker_port import serve_in_background
print(serve_in_background("127.0.0.1", int(os.environ["PORT"])).port)
"""


def test_a_process_ends_although_it_serves() -> None:
    port = free_port()
    done = subprocess.run(
        [sys.executable, "-c", ENDING],
        env=os.environ | {"DJANGO_SETTINGS_MODULE": "tests.observability.settings", "PORT": str(port)},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, str(port), "")


def test_numbers_of_other_processes_are_on_the_page(tmp_path: Path) -> None:
    port = free_port()
    counting = """
metrics.errors.at("other", "error").inc(5)
print("ready", flush=True); sys.stdin.readline()
"""
    serving = f"""
from observability.worker_port import serve_in_background
server = serve_in_background("127.0.0.1", {port})
print("ready", flush=True); sys.stdin.readline()
"""
    with _running(counting, tmp_path), _running(serving, tmp_path):
        page = get(port)[2].decode()
    assert re.search(r'^errors_total\{severity="error",type="other"\} 5\.0$', page, re.MULTILINE)


@contextlib.contextmanager
def _running(code: str, folder: Path) -> Iterator[None]:
    process = start(code, folder)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        assert process.stdout.readline().strip() == "ready"
        yield
    finally:
        process.kill()
        process.wait(10)
        process.stdin.close()
        process.stdout.close()
