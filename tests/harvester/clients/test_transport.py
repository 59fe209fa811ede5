"""One request, one connection: what is read, what is not, and for how long."""

from __future__ import annotations

import contextlib
import gzip
import io
import itertools
import socket
import ssl
import time
import tracemalloc
import zlib
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harvester.clients import transport
from harvester.clients.addresses import parse
from harvester.clients.transport import DEFAULT_LIMITS, Deadline, Limits
from harvester.errors import FetchError, FetchFailure
from tests.harvester.clients.conftest import Certificate
from tests.harvester.clients.servers import always, reply, serve


def read(
    url: str,
    limits: Limits = DEFAULT_LIMITS,
    *,
    addresses: tuple[str, ...] = ("127.0.0.1",),
    tls: ssl.SSLContext | None = None,
) -> bytes:
    deadline = Deadline.after(limits.total_seconds, time.monotonic)
    with transport.ask(
        parse(url), addresses, {"host": "example.com"}, limits=limits, deadline=deadline, tls=tls
    ) as answer:
        return answer.read()


def failure(read_it: Callable[[], object]) -> FetchError:
    with pytest.raises(FetchError) as caught:
        read_it()
    assert "127.0.0.1" in caught.value.detail or "example.com" in caught.value.detail
    assert caught.value.detail.endswith(".")
    return caught.value


# --- Reading -------------------------------------------------------------------------------------------------------


def test_an_answer_has_a_status_and_lower_case_headers() -> None:
    with serve(
        always(b"HTTP/1.1 418 Teapot\r\nETag: x\r\nLink: a\r\nLINK: b\r\nContent-Length: 2\r\n\r\nhi")
    ) as server:
        deadline = Deadline.after(5, time.monotonic)
        target = parse(server.url)
        with transport.ask(target, ["127.0.0.1"], {}, limits=DEFAULT_LIMITS, deadline=deadline, tls=None) as answer:
            assert answer.status == 418
            assert answer.headers == {"etag": "x", "link": "a, b", "content-length": "2"}
            assert answer.read() == b"hi"


@pytest.mark.parametrize(
    "sent",
    [
        reply(b"hello"),
        b"HTTP/1.0 200 OK\r\n\r\nhello",
        b"HTTP/1.1 200\r\nConnection: close\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\nTrailer: z\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" + reply(b"hello"),
        reply(gzip.compress(b"hello"), headers={"Content-Encoding": "gzip"}),
        reply(gzip.compress(b"he") + gzip.compress(b"llo"), headers={"Content-Encoding": "X-GZIP "}),
        reply(zlib.compress(b"hello"), headers={"Content-Encoding": "deflate"}),
        reply(zlib.compress(b"hello")[2:-4], headers={"Content-Encoding": "deflate"}),
        reply(b"hello", headers={"Content-Encoding": "identity"}),
        reply(b"hello") + b"and more than was announced",
    ],
)
def test_a_body_is_read_however_it_is_framed_and_compressed(sent: bytes) -> None:
    with serve(always(sent)) as server:
        assert read(server.url) == b"hello"


@pytest.mark.parametrize("status", [204, 304])
def test_a_reply_without_a_body_is_not_waited_for(status: int) -> None:
    head = f"HTTP/1.1 {status} x\r\nContent-Encoding: gzip\r\nContent-Length: 50\r\n\r\n".encode()
    with serve(lambda _request: server.drip(head, every_seconds=0)) as server:
        assert read(server.url) == b""


@pytest.mark.parametrize("encoding", ["gzip, gzip", "gzip,deflate", "br", "zstd", "compress", "aes128gcm"])
def test_a_compression_that_was_not_asked_for_is_refused(encoding: str) -> None:
    with serve(always(reply(gzip.compress(gzip.compress(b"x")), headers={"Content-Encoding": encoding}))) as server:
        assert failure(lambda: read(server.url)).reason == FetchFailure.MALFORMED


def test_a_framing_nobody_knows_is_refused() -> None:
    with serve(always(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n")) as server:
        assert failure(lambda: read(server.url)).reason == FetchFailure.MALFORMED


# --- Size ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "head",
    ["Content-Length: 1001", "Connection: close", "Transfer-Encoding: chunked\r\n\r\n3e9"],
    ids=["told", "open", "chunked"],
)
def test_a_body_over_the_limit_is_refused_however_it_is_framed(head: str) -> None:
    end = "\r\n" if "chunked" in head else "\r\n\r\n"
    with serve(always(f"HTTP/1.1 200 OK\r\n{head}{end}".encode() + b"x" * 1001 + b"\r\n0\r\n\r\n")) as server:
        assert failure(lambda: read(server.url, Limits(body_bytes=1000))).reason == FetchFailure.TOO_LARGE


def test_a_body_of_exactly_the_limit_is_read() -> None:
    with serve(always(reply(gzip.compress(b"x" * 1000), headers={"Content-Encoding": "gzip"}))) as server:
        assert len(read(server.url, Limits(body_bytes=1000))) == 1000


def test_an_announced_size_over_the_limit_is_refused_before_anything_is_read() -> None:
    with serve(always(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n")) as server:
        assert failure(lambda: read(server.url)).reason == FetchFailure.TOO_LARGE


def test_a_gzip_bomb_costs_less_than_20_mb_of_memory() -> None:
    bomb = gzip_bomb(200)
    assert len(bomb) < 210_000
    assert peak_memory_mb(bomb, expect="too_large") < 20


def test_the_largest_body_costs_less_than_20_mb_of_memory() -> None:
    assert peak_memory_mb(gzip_bomb(8), expect=str(8 * 2**20)) < 20


def gzip_bomb(megabytes: int) -> bytes:
    packed = io.BytesIO()
    with gzip.GzipFile(fileobj=packed, mode="wb") as file:
        for _ in range(megabytes):
            file.write(bytes(2**20))
    return packed.getvalue()


def peak_memory_mb(packed: bytes, *, expect: str) -> float:
    """How much memory one fetch takes at its highest, the server's own included."""
    sent = reply(packed, headers={"Content-Encoding": "gzip"})
    with serve(always(sent)) as server:
        tracemalloc.start()
        try:
            before, _ = tracemalloc.get_traced_memory()
            try:
                outcome = str(len(read(server.url)))
            except FetchError as error:
                outcome = error.reason.value
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert outcome == expect
    return (peak - before) / 2**20


# --- Time ----------------------------------------------------------------------------------------------------------

SHORT = Limits(connect_seconds=0.3, total_seconds=0.5)
DRIPPED_GZIP = gzip.compress(bytes(range(256)))


@pytest.mark.parametrize(
    ("at_once", "dripped"),
    [
        (b"", b"HTTP/1.1 200 OK\r\nX-Slow: " + b"x" * 1000),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 1000),
        (b"HTTP/1.1 200 OK\r\n", b"X: y\r\n" * 99),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n", b"x" * 1000),
        (b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 1000),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n" * 1000),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1;" + b"x" * 1000),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", b"X: y\r\n" * 1000),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 1000\r\n\r\n", DRIPPED_GZIP),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n1000\r\n", DRIPPED_GZIP),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n", gzip.compress(b"") * 100),
    ],
    ids=[
        "a header",
        "continue",
        "many headers",
        "body with a length",
        "body without a length",
        "chunks",
        "the size of a chunk",
        "trailers",
        "gzip",
        "gzip in chunks",
        "gzip of nothing",
    ],
)
def test_a_dripping_server_does_not_outlive_the_deadline(at_once: bytes, dripped: bytes) -> None:
    with serve(lambda _request: itertools.chain([at_once], server.drip(dripped))) as server:
        began = time.monotonic()
        error = failure(lambda: read(server.url, SHORT))
        assert error.reason == FetchFailure.TIMED_OUT
        assert 0.4 < time.monotonic() - began < 3


def test_a_dripping_server_behind_tls_does_not_outlive_the_deadline(certificate: Certificate) -> None:
    with serve(
        lambda _request: itertools.chain([b"HTTP/1.1 200 OK\r\n\r\n"], server.drip(b"x" * 1000)), tls=certificate.server
    ) as server:
        began = time.monotonic()
        error = failure(lambda: read(f"https://{server.host}/", SHORT, tls=certificate.trusting_client))
        assert error.reason == FetchFailure.TIMED_OUT
        assert time.monotonic() - began < 3


def test_a_server_that_says_nothing_is_left(certificate: Certificate) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        authority = f"127.0.0.1:{silent.getsockname()[1]}"
        began = time.monotonic()
        assert failure(lambda: read(f"http://{authority}/", SHORT)).reason == FetchFailure.TIMED_OUT
        tls = certificate.trusting_client
        assert failure(lambda: read(f"https://{authority}/", SHORT, tls=tls)).reason == FetchFailure.TIMED_OUT
        assert time.monotonic() - began < 3


def test_a_server_that_drips_its_handshake_is_left(certificate: Certificate) -> None:
    with serve(lambda _request: server.drip(b"\x16\x03\x03\x10\x00" + b"x" * 1000), listens=False) as server:
        began = time.monotonic()
        error = failure(lambda: read(f"https://{server.host}/", SHORT, tls=certificate.trusting_client))
        assert error.reason == FetchFailure.TIMED_OUT
        assert time.monotonic() - began < 3


def test_nothing_is_begun_after_the_deadline() -> None:
    with serve(always(reply(b"hello"))) as server:
        passed = Deadline.after(-1, time.monotonic)

        def ask() -> None:
            with transport.ask(
                parse(server.url), ["127.0.0.1"], {}, limits=DEFAULT_LIMITS, deadline=passed, tls=None
            ) as answer:
                answer.read()

        assert failure(ask).reason == FetchFailure.TIMED_OUT
        assert server.connections == 0


# --- Connections ---------------------------------------------------------------------------------------------------


def test_a_closed_port_is_a_failed_connection() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    assert failure(lambda: read(f"http://127.0.0.1:{port}/")).reason == FetchFailure.CONNECTION_FAILED


def test_the_next_address_is_tried_when_one_refuses() -> None:
    with serve(always(reply(b"hello"))) as server:
        assert read(server.url, addresses=("::1", "127.0.0.1")) == b"hello"


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        (b"", FetchFailure.CONNECTION_FAILED),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort", FetchFailure.CONNECTION_FAILED),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nshort", FetchFailure.CONNECTION_FAILED),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", FetchFailure.CONNECTION_FAILED),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1, 2\r\n\r\nab", FetchFailure.MALFORMED),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\nnot gzip", FetchFailure.MALFORMED),
        (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\n", FetchFailure.MALFORMED),
        (b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70_000 + b"\r\n\r\n", FetchFailure.MALFORMED),
        (b"HTTP/1.1 200 OK\r\n" + b"".join(b"X: %s\r\n" % (b"y" * 60_000) for _ in range(90)), FetchFailure.MALFORMED),
        (b"HTTP/1.1 abc\r\n\r\n", FetchFailure.MALFORMED),
        (b"HTTP/9 200 OK\r\n\r\n", FetchFailure.MALFORMED),
        (b"SSH-2.0-OpenSSH_9.2\r\n", FetchFailure.MALFORMED),
        (b"\r\n\r\n", FetchFailure.MALFORMED),
    ],
)
def test_a_broken_reply_has_its_reason(sent: bytes, reason: FetchFailure) -> None:
    with serve(always(sent)) as server:
        assert failure(lambda: read(server.url)).reason == reason


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.binary(max_size=30),
            st.sampled_from(
                [b"HTTP/1.1 200 OK\r\n", b"HTTP/1.0 304 x\r\n", b"\r\n", b"Content-Length: ", b"9", b"-1\r\n"]
            ),
            st.sampled_from(
                [b"Transfer-Encoding: chunked\r\n", b"Content-Encoding: gzip\r\n", b"5\r\n", b"0\r\n", b"-5\r\n"]
            ),
            st.sampled_from([DRIPPED_GZIP, DRIPPED_GZIP[:20], b"Content-Type: multipart/x; boundary=a\r\n"]),
        ),
        max_size=12,
    )
)
def test_whatever_a_server_sends_gives_bytes_or_a_fetch_error(pieces: list[bytes]) -> None:
    with serve(always(b"HTTP/1.1 200 OK\r\n", *pieces)) as server, contextlib.suppress(FetchError):
        assert isinstance(read(server.url, Limits(total_seconds=2)), bytes)


# --- TLS -----------------------------------------------------------------------------------------------------------


def test_the_certificate_must_bear_the_name_although_the_address_is_connected_to(certificate: Certificate) -> None:
    with serve(always(reply(b"secret")), tls=certificate.server) as server:
        trusting = certificate.trusting_client
        assert read(f"https://example.com:{server.port}/", tls=trusting) == b"secret"
        assert read(f"https://example.com.:{server.port}/", tls=trusting) == b"secret"
        assert read(f"https://127.0.0.1:{server.port}/", tls=trusting) == b"secret"
        error = failure(lambda: read(f"https://www.example.com:{server.port}/", tls=trusting))
        assert error.reason == FetchFailure.TLS_FAILED
        assert "Hostname mismatch" in error.detail
        assert len(server.requests) == 3


def test_the_name_is_sent_in_the_handshake(certificate: Certificate) -> None:
    named: list[str | None] = []
    certificate.server.sni_callback = lambda _socket, name, _context: named.append(name)
    with serve(always(reply(b"secret")), tls=certificate.server) as server:
        read(f"https://example.com:{server.port}/", tls=certificate.trusting_client)
    certificate.server.sni_callback = None
    assert named == ["example.com"]


def test_a_certificate_nobody_vouches_for_is_refused(certificate: Certificate) -> None:
    with serve(always(reply(b"secret")), tls=certificate.server) as server:
        error = failure(lambda: read(f"https://127.0.0.1:{server.port}/", tls=ssl.create_default_context()))
    assert error.reason == FetchFailure.TLS_FAILED
    assert "self-signed" in error.detail


def test_a_server_without_tls_is_told_apart(certificate: Certificate) -> None:
    with serve(always(b"HTTP/1.1 400 Bad Request\r\n\r\n"), listens=False) as server:
        error = failure(lambda: read(f"https://127.0.0.1:{server.port}/", tls=certificate.trusting_client))
    assert error.reason == FetchFailure.TLS_FAILED
