"""The door as a source sees it: redirects, retries, limits and what never leaves."""

from __future__ import annotations

import gzip
import itertools
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pytest_django import Settings

from harvester.clients.http import (
    LONGEST_RETRY_AFTER_SECONDS,
    GuardedHttpClient,
    HttpClient,
    Reply,
    build_client,
    retry_after_seconds,
)
from harvester.clients.transport import DEFAULT_LIMITS, Limits
from harvester.errors import FetchError, FetchFailure
from tests.harvester.clients.conftest import Certificate
from tests.harvester.clients.servers import always, in_turn, redirect, reply, serve

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


class Naps(list[float]):
    """A sleep that only takes notes."""

    def __call__(self, seconds: float) -> None:
        self.append(seconds)


def loopback(_host: str, _port: int) -> tuple[str, ...]:
    return ("127.0.0.1",)


def make_client(
    *, limits: Limits = DEFAULT_LIMITS, naps: Naps | None = None, allowed: tuple[str, ...] = ("127.0.0.1",)
) -> GuardedHttpClient:
    """A client that may talk to this machine, resolves every name to it, and waits three quarters of what it may."""
    return GuardedHttpClient(
        user_agent="SignalHarvester/1 (+https://example.com)",
        limits=limits,
        allowed_private_hosts=allowed,
        in_process_hosts={"sample.invalid": f"{__name__}.answer_in_process"},
        resolve=loopback,
        sleep=naps if naps is not None else Naps(),
        chance=lambda: 0.75,
        now=lambda: NOW,
    )


def failure(client: HttpClient, url: str) -> FetchError:
    with pytest.raises(FetchError) as caught:
        client.get(url)
    return caught.value


# --- A fetch -------------------------------------------------------------------------------------------------------


def test_a_reply_has_its_url_status_headers_and_body() -> None:
    sent = reply(gzip.compress(b"<feed/>"), headers={"ETag": '"1"', "Content-Encoding": "gzip"})
    with serve(always(sent)) as server:
        got = make_client().get(server.url + "feed?a=b#c")
    assert got.url == server.url + "feed?a=b"
    assert got.status == 200
    assert got.headers["etag"] == '"1"'
    assert got.body == b"<feed/>"


def test_a_request_says_who_asks_and_what_is_understood() -> None:
    with serve(always(reply())) as server:
        make_client().get(server.url + "feed", headers={"If-None-Match": '"1"', "USER-AGENT": "liar", "Host": "liar"})
        (request,) = server.requests
    assert request.path == "/feed"
    assert request.headers == {
        "host": server.host,
        "user-agent": "SignalHarvester/1 (+https://example.com)",
        "accept": "*/*",
        "accept-encoding": "gzip",
        "connection": "close",
        "if-none-match": '"1"',
    }


@pytest.mark.parametrize("status", [200, 204, 206, 304, 400, 401, 403, 404, 410, 418])
def test_a_status_is_returned_and_asked_for_once(status: int) -> None:
    with serve(always(reply(b"", status=status))) as server:
        assert make_client().get(server.url).status == status
        assert len(server.requests) == 1


def test_the_page_of_an_error_is_there_to_read() -> None:
    with serve(always(reply(b"<error>bad query</error>", status=400))) as server:
        assert make_client().get(server.url).body == b"<error>bad query</error>"


@pytest.mark.parametrize(
    "sent",
    [
        reply(b"x" * 100, status=404),
        reply(b"x", status=404, headers={"Content-Encoding": "br"}),
        b"HTTP/1.1 404 Not Found\r\nContent-Length: 9\r\n\r\nshort",
    ],
)
def test_a_status_survives_an_error_page_that_cannot_be_read(sent: bytes) -> None:
    with serve(always(sent)) as server:
        got = make_client(limits=Limits(body_bytes=50)).get(server.url)
    assert (got.status, got.body) == (404, b"")


def test_a_large_body_is_refused() -> None:
    with serve(always(reply(b"x" * 51))) as server:
        assert failure(make_client(limits=Limits(body_bytes=50)), server.url).reason == FetchFailure.TOO_LARGE


@pytest.mark.parametrize("value", ["a\r\nX-Injected: b", "a\nb", "\x00", "☃"])
def test_a_header_that_would_break_out_is_refused(value: str) -> None:
    with pytest.raises(FetchError) as caught:
        make_client().get("http://127.0.0.1:9/", headers={"If-None-Match": value})
    assert caught.value.reason == FetchFailure.MALFORMED


def test_environment_proxies_are_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    with serve(always(reply(b"direct"))) as server, serve(always(reply(b"proxied"))) as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        assert make_client().get(server.url).body == b"direct"
        assert proxy.connections == 0


def test_threads_share_a_client() -> None:
    client = make_client()
    with serve(lambda request: [reply(request.path.encode())]) as server, ThreadPoolExecutor(8) as pool:
        got = list(pool.map(lambda number: client.get(f"{server.url}{number}").body, range(64)))
    assert got == [f"/{number}".encode() for number in range(64)]


# --- The guard -----------------------------------------------------------------------------------------------------


def test_a_private_address_is_refused_and_the_way_to_allow_it_told() -> None:
    with serve(always(reply(b"secret"))) as server:
        error = failure(make_client(allowed=()), server.url)
        assert server.connections == 0
    assert error.reason == FetchFailure.ADDRESS_REFUSED
    assert f"add {server.host} to HARVESTER_ALLOWED_PRIVATE_HOSTS" in error.detail


def test_a_name_is_resolved_once_and_its_address_connected_to() -> None:
    asked: list[tuple[str, int]] = []

    def rebind(host: str, port: int) -> tuple[str, ...]:
        asked.append((host, port))
        return ("127.0.0.1",) if len(asked) == 1 else ("127.0.0.2",)

    with serve(always(reply(b"hello"))) as server:
        client = GuardedHttpClient(allowed_private_hosts=["feeds.example"], resolve=rebind)
        assert client.get(f"http://feeds.example:{server.port}/").body == b"hello"
        assert server.requests[0].headers["host"] == f"feeds.example:{server.port}"
    assert asked == [("feeds.example", server.port)]


def test_the_system_resolver_is_the_default() -> None:
    with serve(always(reply(b"hello"))) as server:
        url = f"http://localhost:{server.port}/"
        assert GuardedHttpClient(allowed_private_hosts=["localhost"]).get(url).body == b"hello"
        assert failure(GuardedHttpClient(), url).reason == FetchFailure.ADDRESS_REFUSED


def test_a_certificate_is_checked_for_the_name(certificate: Certificate) -> None:
    with serve(always(reply(b"hello")), tls=certificate.server) as server:
        for tls, names in ((certificate.trusting_client, ["example.com"]), (None, [])):
            client = GuardedHttpClient(allowed_private_hosts=["example.com", "example.org"], resolve=loopback, tls=tls)
            for name in ("example.com", "example.org"):
                url = f"https://{name}:{server.port}/"
                if name in names:
                    assert client.get(url).body == b"hello"
                else:
                    assert failure(client, url).reason == FetchFailure.TLS_FAILED


@given(
    st.one_of(
        st.text(),
        st.builds(
            "{}{}{}{}".format,
            st.sampled_from(["http://", "https://", "http://user:hunter2@", "ftp://", "//", "http:"]),
            st.one_of(
                st.text(max_size=300),
                st.ip_addresses(network="10.0.0.0/8").map(str),
                st.ip_addresses(network="fc00::/7").map("[{}]".format),
                st.sampled_from(["localhost", "bücher.example", "2130706433", "0x7f.1", "[::1%25lo]", "a" * 10_000]),
            ),
            st.sampled_from(["", ":80", ":99999", ":-1", ":x", "\r\nHost: x", "\\"]),
            st.text().map("/".__add__),
        ),
    )
)
def test_any_text_as_a_url_is_a_fetch_error(url: str) -> None:
    def nowhere(host: str, port: int) -> tuple[str, ...]:
        raise OSError

    error = failure(GuardedHttpClient(resolve=nowhere), url)
    assert "hunter2" not in error.detail
    assert error.detail.isprintable()


# --- Redirects -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_followed(status: int) -> None:
    with serve(in_turn(redirect("/there?x=1", status=status), reply(b"here"))) as server:
        got = make_client().get(server.url + "from")
    assert (got.url, got.body) == (server.url + "there?x=1", b"here")


@pytest.mark.parametrize("sent", [reply(b"choose", status=300), reply(b"nowhere", status=302)])
def test_a_redirect_to_nowhere_is_a_reply(sent: bytes) -> None:
    with serve(always(sent)) as server:
        assert make_client().get(server.url).status in {300, 302}
        assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("location", "path"),
    [
        ("other", "/a/other"),
        ("../up?x", "/up?x"),
        ("//127.0.0.1:{port}/y", "/y"),
        ("/with space", "/with%20space"),
        ("/r\u00c3\u00a9sum\u00c3\u00a9", "/r%C3%A9sum%C3%A9"),  # UTF-8 as a header shows it
        ("/already%20fine#part", "/already%20fine"),
        ("?query", "/a/b?query"),
    ],
)
def test_a_location_is_read_as_browsers_do(location: str, path: str) -> None:
    with serve(
        lambda request: [redirect(location.format(port=server.port)) if request.path == "/a/b" else reply()]
    ) as server:
        make_client().get(server.url + "a/b")
        assert server.requests[1].path == path


def test_five_redirects_are_followed_and_no_sixth() -> None:
    with serve(in_turn(*[redirect("/next")] * 5, reply(b"at last"))) as server:
        assert make_client().get(server.url).body == b"at last"
    with serve(always(redirect("/next"))) as server:
        assert failure(make_client(), server.url).reason == FetchFailure.TOO_MANY_REDIRECTS
        assert len(server.requests) == 6


@pytest.mark.parametrize(
    ("location", "reason"),
    [
        ("http://10.0.0.1/", FetchFailure.ADDRESS_REFUSED),
        ("http://169.254.169.254/latest/meta-data/", FetchFailure.ADDRESS_REFUSED),
        ("http://[::1]/", FetchFailure.ADDRESS_REFUSED),
        ("http://localhost/", FetchFailure.ADDRESS_REFUSED),
        ("http://2130706433/", FetchFailure.ADDRESS_REFUSED),
        ("file:///etc/passwd", FetchFailure.ADDRESS_REFUSED),
        ("http://user:hunter2@example.com/", FetchFailure.ADDRESS_REFUSED),
        ("http://[::1", FetchFailure.MALFORMED),
        ("https://", FetchFailure.MALFORMED),
        ("http://example.com:99999/", FetchFailure.MALFORMED),
    ],
)
def test_each_redirect_is_judged_like_the_first_url(location: str, reason: FetchFailure) -> None:
    with serve(always(redirect(location))) as server:
        error = failure(make_client(), server.url)
        assert len(server.requests) == 1
    assert error.reason == reason
    assert not error.permanent  # the server may change its mind
    assert "hunter2" not in error.detail


def test_a_redirect_from_https_to_http_is_refused(certificate: Certificate) -> None:
    with (
        serve(always(reply(b"plain"))) as plain,
        serve(always(redirect(plain.url)), tls=certificate.server) as secure,
    ):
        client = GuardedHttpClient(allowed_private_hosts=["127.0.0.1"], tls=certificate.trusting_client)
        error = failure(client, f"https://{secure.host}/")
        assert plain.connections == 0
    assert error.reason == FetchFailure.ADDRESS_REFUSED
    assert "https to http" in error.detail


def test_another_host_sees_no_secrets() -> None:
    headers = {
        "Authorization": "Bearer hunter2",
        "Cookie": "a=b",
        "X-Api-Key": "c",
        "Accept": "x/y",
        "If-None-Match": '"1"',
    }
    with serve(in_turn(reply())) as other, serve(in_turn(redirect("/two"), redirect(other.url))) as first:
        make_client().get(first.url, headers=headers)
        assert [request.headers.get("authorization") for request in first.requests] == ["Bearer hunter2"] * 2
        (seen,) = other.requests
    assert not {"authorization", "cookie", "x-api-key"} & set(seen.headers)
    assert seen.headers["accept"] == "x/y"
    assert seen.headers["if-none-match"] == '"1"'


def test_secrets_stay_away_when_a_redirect_comes_back() -> None:
    with (
        serve(lambda _request: [redirect(first.url + "back")]) as other,
        serve(in_turn(redirect(other.url), reply())) as first,
    ):
        make_client().get(first.url, headers={"Authorization": "Bearer hunter2"})
        assert "authorization" not in first.requests[1].headers


def test_the_deadline_counts_through_all_redirects() -> None:
    with serve(lambda _request: server.drip(redirect("/next"), every_seconds=0.01)) as server:
        began = time.monotonic()
        error = failure(make_client(limits=Limits(total_seconds=1.0)), server.url)
        assert error.reason == FetchFailure.TIMED_OUT
        assert 0.9 < time.monotonic() - began < 3
        assert len(server.requests) > 1


# --- Retries -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [429, 500, 501, 502, 503, 504, 599])
def test_a_passing_failure_is_asked_again_with_growing_jittered_waits(status: int) -> None:
    naps = Naps()
    with serve(in_turn(reply(status=status), reply(status=status), reply(b"hello"))) as server:
        assert make_client(naps=naps).get(server.url).body == b"hello"
    assert naps == [0.75 * 1, 0.75 * 2]


def test_what_remains_after_three_attempts_is_returned() -> None:
    naps = Naps()
    with serve(always(reply(b"busy", status=503))) as server:
        got = make_client(naps=naps).get(server.url)
        assert len(server.requests) == 3
    assert (got.status, got.body) == (503, b"busy")
    assert len(naps) == 2


def test_a_failed_connection_is_not_tried_again() -> None:
    naps = Naps()
    with serve(always(b"")) as server:
        assert failure(make_client(naps=naps), server.url).reason == FetchFailure.CONNECTION_FAILED
        assert len(server.requests) == 1
    assert not naps


@pytest.mark.parametrize(
    ("retry_after", "waits"),
    [
        ("0", 0),
        ("2", 2),
        (" 30 ", 30),
        (format_datetime(NOW + timedelta(seconds=7), usegmt=True), 7),
        (format_datetime(NOW - timedelta(hours=1), usegmt=True), 0),
        ("soon", 0.75),
        ("-1", 0.75),
        ("1.5", 0.75),
    ],
)
def test_a_short_retry_after_is_obeyed_and_nonsense_ignored(retry_after: str, waits: float) -> None:
    naps = Naps()
    with serve(in_turn(reply(status=429, headers={"Retry-After": retry_after}), reply(b"hello"))) as server:
        assert make_client(naps=naps).get(server.url).body == b"hello"
    assert naps == [waits]


@pytest.mark.parametrize("retry_after", ["31", "86400", format_datetime(NOW + timedelta(seconds=31), usegmt=True)])
def test_a_long_retry_after_is_left_to_the_caller(retry_after: str) -> None:
    naps = Naps()
    with serve(always(reply(status=503, headers={"Retry-After": retry_after}))) as server:
        got = make_client(naps=naps).get(server.url)
        assert len(server.requests) == 1
    assert got.status == 503
    assert not naps
    assert (retry_after_seconds(got, NOW) or 0) > 30


def test_each_attempt_has_its_own_time() -> None:
    def answer(_request: object) -> itertools.chain[bytes]:
        status = 200 if len(server.requests) == 3 else 503
        return itertools.chain([b""] if server.ending.wait(0.4) else [], [reply(status=status)])

    with serve(answer) as server:
        assert make_client(limits=Limits(total_seconds=1.0)).get(server.url).status == 200


@given(
    st.one_of(
        st.text(),
        st.from_regex(r"\A[A-Z][a-z]{2}, \d{1,3} [A-Z][a-z]{2} \d{1,6} \d{1,3}:\d\d:\d\d [+-]?\w{1,6}\Z"),
        st.from_regex(r"\A[0-9]{1,30}\Z"),
        # Each number of a date may have more digits than any machine word.
        st.from_regex(r"\AMon, [0-9]{1,25} Nov [0-9]{1,25} [0-9]{1,25}:[0-9]{2}:[0-9]{1,25} [+-][0-9]{1,25}\Z"),
    )
)
@example("Mon, 23 Nov 2026 16:00:00 +99999999999999999999")
@example("Mon, 99999999999999999999 Nov 2026 16:00:00 GMT")
@example("Fri, 31 Dec 9999 23:59:59 -2359")
@example("Mon, 01 Jan 0001 00:00:00 +2359")
@example("9" * 5_000)
def test_any_retry_after_is_a_time_within_a_week_or_nothing(value: str) -> None:
    wanted = retry_after_seconds(Reply("http://x/", 429, {"retry-after": value}, b""), NOW)
    assert wanted is None or 0 <= wanted <= LONGEST_RETRY_AFTER_SECONDS == 7 * 24 * 60 * 60


# --- Hosts answered in process -------------------------------------------------------------------------------------


def answer_in_process(url: str, headers: Mapping[str, str]) -> Reply:
    if url.endswith("/moved"):
        return Reply(url, 301, {"location": "/new"}, b"")
    if url.endswith("/away"):
        return Reply(url, 301, {"location": "http://10.0.0.1/"}, b"")
    if url.endswith("/large"):
        return Reply(url, 200, {}, bytes(1001))
    return Reply(url, 200, {}, f"{url} {headers.get('if-none-match')}".encode())


@pytest.mark.parametrize("host", ["sample.invalid", "arxiv.sample.invalid", "A.B.Sample.Invalid:8080"])
def test_a_host_of_the_sample_world_is_answered_without_a_network(host: str) -> None:
    got = make_client().get(f"https://{host}/feed", headers={"If-None-Match": '"1"'})
    assert got.body.decode() == f'https://{host.lower()}/feed "1"'


def test_a_host_that_only_looks_like_the_sample_world_is_not() -> None:
    error = failure(
        GuardedHttpClient(in_process_hosts={"sample.invalid": "x.y"}, resolve=loopback), "http://example.invalid"
    )
    assert error.reason == FetchFailure.ADDRESS_REFUSED
    error = failure(
        GuardedHttpClient(in_process_hosts={"sample.invalid": "x.y"}, resolve=loopback), "http://asample.invalid"
    )
    assert error.reason == FetchFailure.ADDRESS_REFUSED


def test_the_sample_world_follows_the_rules_of_the_web() -> None:
    client = make_client(limits=Limits(body_bytes=1000))
    assert client.get("http://sample.invalid/moved").url == "http://sample.invalid/new"
    assert failure(client, "http://sample.invalid/away").reason == FetchFailure.ADDRESS_REFUSED
    assert failure(client, "http://sample.invalid/large").reason == FetchFailure.TOO_LARGE


# --- Settings ------------------------------------------------------------------------------------------------------


def test_the_settings_build_the_client(settings: Settings) -> None:
    with serve(always(reply(b"x" * 11))) as server:
        settings.HARVESTER_ALLOWED_PRIVATE_HOSTS = [server.host]
        settings.HARVESTER_VERSION = "1.2.3"
        settings.HARVESTER_CONTACT = "https://example.com/bot"
        settings.HARVESTER_MAX_BODY_BYTES = 11
        assert build_client().get(server.url).status == 200
        assert server.requests[0].headers["user-agent"] == "SignalHarvester/1.2.3 (+https://example.com/bot)"
        settings.HARVESTER_CONTACT = "\r\n☃"
        build_client().get(server.url)
        assert server.requests[1].headers["user-agent"] == "SignalHarvester/1.2.3"
        settings.HARVESTER_MAX_BODY_BYTES = 10
        assert failure(build_client(), server.url).reason == FetchFailure.TOO_LARGE
        settings.HARVESTER_ALLOWED_PRIVATE_HOSTS = []
        assert failure(build_client(), server.url).reason == FetchFailure.ADDRESS_REFUSED
    settings.HARVESTER_MAX_BODY_BYTES = 1000
    settings.HARVESTER_IN_PROCESS_HOSTS = {"sample.invalid": f"{__name__}.answer_in_process"}
    assert build_client().get("http://sample.invalid/").status == 200
