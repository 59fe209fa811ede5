"""The probe for the command line: an exit code and one short line, whatever the other side does, and in time."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

import health
from health.exec_probe import MOST_BYTES, MOST_CHARACTERS, main
from tests.services import free_port

HOUSE = Path(health.__file__).parent.parent
SOON_SECONDS = 10.0
"""Far more than any probe below waits, far less than for ever."""


def answer(status: int, body: object = None, *, head: str = "", length: bool = True) -> list[bytes]:
    """One whole answer of a server that closes the connection after it."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    told = f"Content-Length: {len(content)}\r\n" if length else ""
    return [f"HTTP/1.1 {status} Whatever\r\n{told}{head}\r\n".encode(), content]


HEALTHY = {"status": "healthy", "components": [{"name": "database", "status": "healthy"}]}
UNHEALTHY = {
    "status": "unhealthy",
    "components": [
        {"name": "database", "status": "unhealthy", "critical": True},
        {"name": "redis", "status": "degraded"},
        {"name": "disk", "status": "healthy"},
    ],
}


class Fake:
    """Reads a request, and sends what it was told to, piece by piece, until nobody reads any more."""

    def __init__(self, listener: socket.socket, pieces: Callable[[], Iterable[bytes]], keep: bool) -> None:
        self.port = listener.getsockname()[1] if listener.family == socket.AF_INET else 0
        self.requests: list[bytes] = []
        self._listener = listener
        self._pieces = pieces
        self._keep = keep
        self._kept: list[socket.socket] = []
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._kept.append(connection)
            with contextlib.suppress(OSError):
                connection.settimeout(SOON_SECONDS)
                received = b""
                while b"\r\n\r\n" not in received and (part := connection.recv(65_536)):
                    received += part
                self.requests.append(received)
                for piece in self._pieces():
                    connection.sendall(piece)
            if not self._keep:
                connection.close()

    def end(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # closing alone does not end accept
        self._listener.close()
        for connection in self._kept:
            connection.close()
        self._thread.join(SOON_SECONDS)


Serve = Callable[..., Fake]


@pytest.fixture
def serve() -> Iterator[Serve]:
    with contextlib.ExitStack() as ends:

        def start(
            pieces: Iterable[bytes] | Callable[[], Iterable[bytes]], *, keep: bool = False, unix: str = ""
        ) -> Fake:
            listener = socket.socket(socket.AF_UNIX if unix else socket.AF_INET, socket.SOCK_STREAM)
            listener.bind(unix or ("127.0.0.1", 0))
            listener.listen(8)
            fake = Fake(listener, pieces if callable(pieces) else lambda: pieces, keep)
            ends.callback(fake.end)
            return fake

        yield start


Line = tuple[int, str]
Probe = Callable[..., Line]


@pytest.fixture
def probe(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Probe:
    """Its exit code and the line it prints."""
    monkeypatch.delenv("PORT", raising=False)

    def run(*arguments: str) -> Line:
        began = time.monotonic()
        code = main(arguments)
        assert time.monotonic() - began < SOON_SECONDS
        printed = capsys.readouterr().out
        assert printed.count("\n") == 1
        assert printed.endswith("\n")
        assert len(printed) <= MOST_CHARACTERS + 1
        assert printed.strip().isascii()
        assert printed.strip().isprintable()
        return code, printed.strip()

    return run


def test_what_answers_200_is_well(serve: Serve, probe: Probe) -> None:
    assert probe("--port", str(serve(answer(200, HEALTHY)).port)) == (0, "healthy")


def test_what_answers_503_is_not_and_the_line_says_why(serve: Serve, probe: Probe) -> None:
    assert probe("ready", "--port", str(serve(answer(503, UNHEALTHY)).port)) == (1, "unhealthy: database, redis")


def test_degraded_is_well_and_the_line_says_why(serve: Serve, probe: Probe) -> None:
    body = {"status": "degraded", "components": [{"name": "redis", "status": "degraded"}]}
    assert probe("--port", str(serve(answer(200, body)).port)) == (0, "degraded: redis")


def test_a_reason_is_told(serve: Serve, probe: Probe) -> None:
    body = {"status": "unhealthy", "reason": "draining", "components": []}
    assert probe("--port", str(serve(answer(503, body)).port)) == (1, "unhealthy (draining)")


@pytest.mark.parametrize("status", [201, 204, 301, 302, 400, 401, 404, 405, 429, 500, 502, 599])
def test_only_200_is_well(serve: Serve, probe: Probe, status: int) -> None:
    fake = serve(answer(status, b"", head="Location: /elsewhere\r\n"))
    assert probe("--port", str(fake.port)) == (1, f"HTTP {status}")
    assert len(fake.requests) == 1, "no redirect is followed"


@pytest.mark.parametrize("name", ["live", "ready", "startup"])
def test_it_asks_for_the_probe_it_is_told_to(serve: Serve, probe: Probe, name: str) -> None:
    fake = serve(answer(200, HEALTHY))
    probe(name, "--port", str(fake.port))
    request = fake.requests[0].decode()
    assert request.startswith(f"GET /health/{name} HTTP/1.0\r\n")
    assert f"\r\nHost: 127.0.0.1:{fake.port}\r\n" in request
    assert "\r\nAccept: application/json\r\n" in request


def test_untold_it_asks_whether_the_process_lives(serve: Serve, probe: Probe) -> None:
    """The one probe that no dependency can fail: nobody shall restart everything because they forgot to choose."""
    fake = serve(answer(200, HEALTHY))
    probe("--port", str(fake.port))
    assert fake.requests[0].startswith(b"GET /health/live ")


def test_the_port_is_taken_from_the_environment(serve: Serve, probe: Probe, monkeypatch: pytest.MonkeyPatch) -> None:
    fake, other = serve(answer(200, HEALTHY)), serve(answer(503, UNHEALTHY))
    monkeypatch.setenv("PORT", str(fake.port))
    assert probe()[0] == 0
    assert probe("--port", str(other.port))[0] == 1, "what is said wins"


def test_a_url_says_all(serve: Serve, probe: Probe, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "rubbish that nobody asks for")
    fake = serve(answer(200, HEALTHY))
    assert probe("ready", "--url", f"http://127.0.0.1:{fake.port}/app/-/health/")[0] == 0
    assert fake.requests[0].startswith(b"GET /app/-/health/ready ")


def test_a_name_is_looked_up(serve: Serve, probe: Probe) -> None:
    """localhost may be ::1 first, where nothing listens."""
    fake = serve(answer(200, HEALTHY))
    assert probe("--url", f"http://localhost:{fake.port}/health")[0] == 0


def test_a_unix_socket_is_asked(serve: Serve, probe: Probe, tmp_path: Path) -> None:
    path = os.path.relpath(tmp_path / "s")  # a whole one may be longer than such an address can be
    fake = serve(answer(200, HEALTHY), unix=path)
    assert probe("ready", "--unix", path)[0] == 0
    assert fake.requests[0].startswith(b"GET /health/ready ")


@pytest.mark.parametrize("path", ["/nowhere/at/all", "x" * 300], ids=["absent", "too long"])
def test_no_unix_socket_is_no_answer(probe: Probe, path: str) -> None:
    code, line = probe("--unix", path)
    assert code == 1
    assert line.startswith("no answer from ")


def test_proxies_of_the_environment_are_not_asked(serve: Serve, probe: Probe, monkeypatch: pytest.MonkeyPatch) -> None:
    proxy, fake = serve(answer(200, HEALTHY)), serve(answer(503, UNHEALTHY))
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
    assert probe("--port", str(fake.port))[0] == 1
    assert not proxy.requests


def test_who_refuses_gives_no_answer(probe: Probe) -> None:
    port = free_port()
    assert probe("--port", str(port)) == (1, f"no answer from 127.0.0.1:{port}: Connection refused")


def nothing_for_ever() -> Iterator[bytes]:
    for _ in range(int(SOON_SECONDS / 0.05)):
        time.sleep(0.05)
        yield b""


def dripping(*first: bytes) -> Iterator[bytes]:
    """Never silent for as long as the timeout, and never ending."""
    yield from first
    for _ in range(int(SOON_SECONDS / 0.05)):
        time.sleep(0.05)
        yield b"x"


@pytest.mark.parametrize(
    "pieces",
    [
        nothing_for_ever,
        dripping,
        lambda: dripping(b"HTTP/1.1 200 OK\r\nX: "),
        lambda: dripping(b"HTTP/1.1 200 OK\r\n\r\n"),
        lambda: dripping(b"HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n{"),
    ],
    ids=["silent", "dripping", "dripping head", "dripping body", "dripping body of known length"],
)
def test_what_is_not_whole_in_time_is_not_well(
    serve: Serve, probe: Probe, pieces: Callable[[], Iterable[bytes]]
) -> None:
    port = serve(pieces, keep=True).port
    began = time.monotonic()
    assert probe("--port", str(port), "--timeout", "0.4") == (1, f"no answer from 127.0.0.1:{port} within 0.4 s")
    assert time.monotonic() - began >= 0.4


def test_who_does_not_accept_gives_no_answer_in_time(probe: Probe) -> None:
    with contextlib.ExitStack() as ends:
        full = ends.enter_context(socket.socket())
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for _ in range(4):  # its queue is full, so that further ones are left waiting
            waiting = ends.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(full.getsockname())
        assert probe("--port", str(full.getsockname()[1]), "--timeout", "0.3")[0] == 1


def test_who_says_how_long_it_is_need_not_close(serve: Serve, probe: Probe) -> None:
    assert probe("--port", str(serve(answer(200, HEALTHY), keep=True).port)) == (0, "healthy")


def test_who_does_not_say_how_long_it_is_closes(serve: Serve, probe: Probe) -> None:
    assert probe("--port", str(serve(answer(200, HEALTHY, length=False)).port)) == (0, "healthy")


def test_an_answer_may_come_in_pieces(serve: Serve, probe: Probe) -> None:
    whole = b"".join(answer(503, UNHEALTHY))

    def pieces() -> Iterator[bytes]:
        for at in range(0, len(whole), 7):
            time.sleep(0.002)
            yield whole[at : at + 7]

    assert probe("--port", str(serve(pieces, keep=True).port)) == (1, "unhealthy: database, redis")


@pytest.mark.parametrize("head", [b"", b"Content-Length: -1\r\n", b"Content-Length: 999999999\r\n"], ids=repr)
def test_an_endless_body_is_cut_off_and_not_well(serve: Serve, probe: Probe, head: bytes) -> None:
    endless = itertools.chain([b"HTTP/1.1 200 OK\r\n" + head + b"\r\n"], itertools.repeat(b"x" * 4096))
    assert probe("--port", str(serve(lambda: endless).port)) == (1, "HTTP 200, incomplete")


@pytest.mark.parametrize(
    "piece",
    [
        b'Content-Length: 500\r\n\r\n{"status": "healthy"}',
        b"content-length:1\r\n\r\n",
        b"Content-Length: -5\r\n\r\n{}",
        b"Content-Length: 2, 2\r\n\r\n{}",
        b"Content-Length: two\r\n\r\n{}",
        b"Content-Length: 99999999999999999999\r\n\r\n{}",
        b"Content-Length: \xd9\xa2\r\n\r\n{}",
        b"Content-Length:\r\n\r\n{}",
        b"Content-Type: application/json\r\n",
        b"",
    ],
    ids=repr,
)
def test_what_is_not_whole_is_not_well(serve: Serve, probe: Probe, piece: bytes) -> None:
    """Its server died while it answered, or does not know what it says."""
    code, line = probe("--port", str(serve([b"HTTP/1.1 200 OK\r\n" + piece]).port))
    assert code == 1
    assert line.endswith(", incomplete")


@pytest.mark.parametrize("head", ["", "Content-Length: 2\r\n", "Content-Length: 0002\r\n", "content-length:\t2 \r\n"])
def test_what_is_whole_is_well(serve: Serve, probe: Probe, head: str) -> None:
    assert probe("--port", str(serve([f"HTTP/1.1 200 OK\r\n{head}\r\n{{}}".encode()]).port)) == (0, "HTTP 200")


def test_a_huge_body_is_cut_off(serve: Serve, probe: Probe) -> None:
    huge = answer(503, {**UNHEALTHY, "padding": "x" * 4 * MOST_BYTES})
    assert probe("--port", str(serve(huge).port)) == (1, "HTTP 503")


@pytest.mark.parametrize(
    ("pieces", "said"),
    [
        ([], "it closed the connection"),
        ([b"\x00\xff\xfe" * 100], "it does not speak HTTP"),
        ([b"SSH-2.0-OpenSSH_9.6\r\n"], "it does not speak HTTP"),
        ([b"HTTP/1.1 20"], "it does not speak HTTP"),
        ([b"HTTP/1.1 2000 OK\r\n\r\n"], "it does not speak HTTP"),
        ([b"HTTP/1.1 \xd9\xa2\xd9\xa0\xd9\xa0 OK\r\n\r\n"], "it does not speak HTTP"),
        ([b"HTTP/2 200\r\n\r\n"], "it does not speak HTTP"),
        ([b"x" * 4 * MOST_BYTES], "it does not speak HTTP"),
    ],
    ids=["nothing", "bytes", "SSH", "cut off", "four digits", "other digits", "another version", "endless line"],
)
def test_what_is_no_http_is_not_well(serve: Serve, probe: Probe, pieces: list[bytes], said: str) -> None:
    port = serve(pieces).port
    assert probe("--port", str(port)) == (1, f"no answer from 127.0.0.1:{port}: {said}")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"ok",
        b"<html>",
        b"\xff\xfe\x00",
        b"[" * 50_000,
        b'{"status": ' + b"1" * 10_000 + b"}",
        b"null",
        b"NaN",
        b"[]",
        b"{}",
        b'{"status": null}',
        b'{"status": ["healthy"]}',
    ],
    ids=lambda body: repr(body[:20]),
)
def test_a_body_that_is_not_ours_is_left_alone(serve: Serve, probe: Probe, body: bytes) -> None:
    assert probe("--port", str(serve(answer(503, body)).port)) == (1, "HTTP 503")


@pytest.mark.parametrize(
    ("components", "line"),
    [
        (None, "unhealthy"),
        ("database", "unhealthy"),
        ({"database": "unhealthy"}, "unhealthy"),
        ([None, 1, "x", [], {"name": "disk", "status": "unhealthy"}], "unhealthy: disk"),
        ([{}], "unhealthy: ?"),
        ([{"name": ["a"], "status": {}}], "unhealthy: ['a']"),
        ([{"name": "a\r\nb\x1b[31m\u2028ü"}], "unhealthy: a??b?[31m??"),
        ([{"name": "x" * 1000}], "unhealthy: " + "x" * 40),
        ([{"name": f"database-{number:02}"} for number in range(500)], None),
    ],
    ids=range(9),
)
def test_components_of_any_kind_make_one_short_line(
    serve: Serve, probe: Probe, components: object, line: str | None
) -> None:
    code, printed = probe("--port", str(serve(answer(503, {"status": "unhealthy", "components": components})).port))
    assert code == 1
    if line is None:
        assert len(printed) == MOST_CHARACTERS
        assert printed.startswith("unhealthy: database-00, database-01, ")
    else:
        assert printed == line


def test_quiet_prints_nothing(serve: Serve, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--port", str(serve(answer(503, UNHEALTHY)).port), "--quiet"]) == 1
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    "arguments",
    [
        ["alive"], ["live", "ready"], ["--port", "x"], ["--port", "0"], ["--port", "65536"], ["--port", "-1"],
        ["--timeout", "0"], ["--timeout", "-1"], ["--timeout", "nan"], ["--timeout", "inf"], ["--timeout", "x"],
        ["--url", "ftp://127.0.0.1/"], ["--url", "127.0.0.1:8000"], ["--url", "http://"], ["--url", "http://h:99999/"],
        ["--url", "http://h/a b"], ["--url", "http://h/\r\nX: y"], ["--url", "http://h/health?x"],
        ["--url", "http://user:secret@h/"], ["--url", "http://h/ü"],
        ["--url", "http://127.0.0.1", "--port", "8000"], ["--unknown"],
    ],
    ids=" ".join,
)  # fmt: skip
def test_a_wrong_call_is_told_apart(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert "usage: python -m health.exec_probe" in capsys.readouterr().err


def test_a_port_of_the_environment_that_is_none_is_a_wrong_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "tcp://10.0.0.1:80")
    with pytest.raises(SystemExit) as ended:
        main([])
    assert ended.value.code == 2


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """As an exec probe runs it, without settings."""
    command = [sys.executable, "-m", "health.exec_probe", *arguments]
    return subprocess.run(
        command, check=False, cwd=HOUSE, env={"PATH": os.environ["PATH"], **environment},
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip


def test_a_process_ends_with_the_code(serve: Serve) -> None:
    well, unwell = serve(answer(200, HEALTHY)), serve(answer(503, UNHEALTHY))
    done = run("live", "--port", str(well.port))
    assert (done.returncode, done.stdout, done.stderr) == (0, "healthy\n", "")
    done = run("ready", PORT=str(unwell.port))
    assert (done.returncode, done.stdout, done.stderr) == (1, "unhealthy: database, redis\n", "")
    assert run("sideways").returncode == 2


def test_nobody_reading_changes_nothing(serve: Serve) -> None:
    port = serve(answer(200, HEALTHY)).port
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "-m", "health.exec_probe", "--port", str(port)],
        check=False, cwd=HOUSE, stdout=write, stderr=subprocess.PIPE, timeout=60,
    )  # fmt: skip
    os.close(write)
    assert (done.returncode, done.stderr) == (0, b"")


def test_it_starts_fast_because_it_imports_little(serve: Serve) -> None:
    """About 70 ms of one processor, of which Python itself takes 20; http.client alone would be as much again."""
    port = serve(answer(503, UNHEALTHY)).port
    code = f"""if True:
        import sys
        from health.exec_probe import main
        main(["--port", "{port}"])
        heavy = "asyncio dataclasses django email encodings.idna http inspect logging shutil ssl urllib.request"
        print(*[name for name in heavy.split() if name in sys.modules])
    """
    done = subprocess.run([sys.executable, "-c", code], check=True, cwd=HOUSE, capture_output=True, text=True)
    assert done.stdout == "unhealthy: database, redis\n\n"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Key and certificate in one file, signed by nobody, as a server in a container often has it."""
    path = tmp_path_factory.mktemp("certificate") / "server.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=elsewhere", "-days", "1"]
    try:
        subprocess.run([*command, "-keyout", path, "-out", f"{path}.crt"], check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("no openssl is on PATH")
    path.write_bytes(path.read_bytes() + Path(f"{path}.crt").read_bytes())
    return path


def test_https_is_asked_without_verifying_as_kubelet_does(probe: Probe, certificate: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(1)

        def serve_once() -> None:
            with context.wrap_socket(listener.accept()[0], server_side=True) as connection:
                connection.recv(4096)
                connection.sendall(b"".join(answer(503, UNHEALTHY)))

        thread = threading.Thread(target=serve_once)
        thread.start()
        url = f"https://127.0.0.1:{listener.getsockname()[1]}/health"
        assert probe("ready", "--url", url) == (1, "unhealthy: database, redis")
        thread.join(SOON_SECONDS)


def test_https_to_what_speaks_none_is_no_answer(serve: Serve, probe: Probe) -> None:
    code, line = probe("--url", f"https://127.0.0.1:{serve(answer(200, HEALTHY)).port}", "--timeout", "2")
    assert code == 1
    assert line.startswith("no answer from ")


def test_a_handshake_that_never_ends_is_given_up(serve: Serve, probe: Probe) -> None:
    port = serve(nothing_for_ever, keep=True).port
    assert probe("--url", f"https://127.0.0.1:{port}", "--timeout", "0.3") == (
        1, f"no answer from 127.0.0.1:{port} within 0.3 s",
    )  # fmt: skip
