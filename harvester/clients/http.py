"""The one door to the web."""

from __future__ import annotations

import logging
import random
import re
import ssl
import string
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cached_property
from typing import Protocol
from urllib.parse import quote, urljoin

from django.utils.module_loading import import_string

from harvester.clients import transport
from harvester.clients.addresses import Resolver, Target, parse, permitted_addresses, resolve_by_system
from harvester.clients.transport import DEFAULT_LIMITS, Deadline, Limits
from harvester.conf import conf
from harvester.errors import FetchError, FetchFailure

logger = logging.getLogger(__name__)

MAX_REDIRECTS = 5
REDIRECTS = frozenset({301, 302, 303, 307, 308})
BACK_OFF_SECONDS = (1.0, 2.0)  # the longest wait before the second and the third attempt, doubling
LONGEST_WAIT_SECONDS = 30.0  # a server that asks for more gets it, but from the source's next fetch time
LONGEST_RETRY_AFTER_SECONDS = 7 * 24 * 60 * 60.0  # more is a mistake or malice; it would silence a source for good
SHARED_HEADERS = frozenset(
    {"accept", "if-modified-since", "if-none-match"}
)  # what another host may see after a redirect


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back: the final URL, the status, lower-case header names, the decompressed body."""

    url: str
    status: int
    headers: Mapping[str, str]
    body: bytes


class HttpClient(Protocol):
    """What a source needs of the web."""

    def get(self, url: str, *, headers: Mapping[str, str] | None = None) -> Reply:
        """Return the reply whatever its status; raise FetchError when there is none."""


class GuardedHttpClient:
    """Fetches from the public internet, within limits, politely.

    * Each hop of a redirect is judged like the first. A redirect from https to http is refused: who asks for a secure
      address must not be given an insecure one in silence. Another scheme, host or port sees of the caller's headers
      only ``SHARED_HEADERS``.
    * 429 and 5xx are asked again, twice at most, after a wait with exponential growth and full jitter
      (https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/) or the Retry-After of the server;
      what then remains is returned. Failed connections are not tried again.
    * ``limits.total_seconds`` bounds one attempt from the first name to the last byte, all redirects included.
    * ``in_process_hosts`` maps a host suffix to the dotted path of ``answer(url, headers) -> Reply``, which answers
      for it and its subdomains without a network; header names arrive in lower case.

    Nothing is kept between requests, so threads may share one client.
    """

    def __init__(
        self,
        *,
        user_agent: str = "SignalHarvester",
        limits: Limits = DEFAULT_LIMITS,
        allowed_private_hosts: Collection[str] = (),
        in_process_hosts: Mapping[str, str] | None = None,
        resolve: Resolver = resolve_by_system,
        tls: ssl.SSLContext | None = None,
        sleep: Callable[[float], None] = time.sleep,
        chance: Callable[[], float] = random.random,
        monotonic: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """``chance`` gives a number in [0, 1); ``tls`` defaults to the system's trusted authorities."""
        self._user_agent = user_agent
        self._limits = limits
        self._allowed_private_hosts = allowed_private_hosts
        self._in_process_hosts = in_process_hosts or {}
        self._resolve = resolve
        self._given_tls = tls
        self._sleep = sleep
        self._chance = chance
        self._monotonic = monotonic
        self._now = now

    def get(self, url: str, *, headers: Mapping[str, str] | None = None) -> Reply:
        """Return the reply whatever its status; raise FetchError when there is none."""
        target = parse(url)
        asked = _checked(headers or {})
        reply = self._follow(target, asked)
        for back_off_seconds in BACK_OFF_SECONDS:
            wait_seconds = self._wait_seconds(reply, back_off_seconds)
            if wait_seconds is None:
                break
            logger.info(
                "fetch is tried again",
                extra={"host": target.host, "status": reply.status, "wait_seconds": round(wait_seconds, 1)},
            )
            self._sleep(wait_seconds)
            reply = self._follow(target, asked)
        return reply

    def _wait_seconds(self, reply: Reply, back_off_seconds: float) -> float | None:
        """How long to wait before the next attempt; None when there should be none."""
        if reply.status != 429 and reply.status < 500:
            return None
        wanted = retry_after_seconds(reply, self._now())
        if wanted is None:
            return self._chance() * back_off_seconds
        return wanted if wanted <= LONGEST_WAIT_SECONDS else None

    def _follow(self, target: Target, headers: Mapping[str, str]) -> Reply:
        deadline = Deadline.after(self._limits.total_seconds, self._monotonic)
        for _ in range(MAX_REDIRECTS + 1):
            reply = self._ask(target, headers, deadline)
            if not _is_redirect(reply.status, reply.headers):
                return reply
            next_target = _redirected(target, reply.headers["location"])
            if next_target.origin != target.origin:
                headers = {name: value for name, value in headers.items() if name in SHARED_HEADERS}
            target = next_target
        raise FetchError(
            FetchFailure.TOO_MANY_REDIRECTS, f"{target.host} was still redirecting after {MAX_REDIRECTS} redirects."
        )

    def _ask(self, target: Target, headers: Mapping[str, str], deadline: Deadline) -> Reply:
        sent = {
            "accept": "*/*",
            **headers,
            "host": target.authority,
            "user-agent": self._user_agent,
            "accept-encoding": "gzip",
            "connection": "close",
        }
        for suffix, path in self._in_process_hosts.items():
            if f".{target.server_name}".endswith(f".{suffix}"):
                return self._ask_in_process(path, target, sent)
        return self._ask_over_network(target, sent, deadline)

    def _ask_in_process(self, path: str, target: Target, headers: Mapping[str, str]) -> Reply:
        answer: Callable[[str, Mapping[str, str]], Reply] = import_string(path)
        reply = answer(target.url, headers)
        self._limits.require_size(len(reply.body), target.host)
        return reply

    def _ask_over_network(self, target: Target, headers: Mapping[str, str], deadline: Deadline) -> Reply:
        addresses = permitted_addresses(
            target,
            resolve=self._resolve,
            allowed_private_hosts=self._allowed_private_hosts,
            timeout_seconds=deadline.or_after(self._limits.connect_seconds).seconds_left(),
        )
        tls = self._tls if target.scheme == "https" else None
        with transport.ask(target, addresses, headers, limits=self._limits, deadline=deadline, tls=tls) as answer:
            return Reply(target.url, answer.status, answer.headers, _body(answer))

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        return self._given_tls or ssl.create_default_context()  # reads all authorities, so only where it is needed


def build_client() -> HttpClient:
    """The client that the settings ask for."""
    return GuardedHttpClient(
        user_agent=_user_agent(conf.version, conf.contact),
        limits=Limits(
            connect_seconds=conf.connect_timeout_seconds,
            total_seconds=conf.fetch_timeout_seconds,
            body_bytes=conf.max_body_bytes,
        ),
        allowed_private_hosts=conf.allowed_private_hosts,
        in_process_hosts=conf.in_process_hosts,
    )


def retry_after_seconds(reply: Reply, now: datetime) -> float | None:
    """How long the server asks to be left alone, from ``now`` on (RFC 9110, 10.2.3); None when it does not say.

    Never more than LONGEST_RETRY_AFTER_SECONDS.
    """
    value = reply.headers.get("retry-after", "").strip()
    if re.fullmatch(r"[0-9]{1,9}", value):
        wanted = float(value)
    else:
        try:
            moment = parsedate_to_datetime(value)
        except (ValueError, OverflowError):  # OverflowError: numbers that no machine word holds
            return None
        wanted = (moment.replace(tzinfo=moment.tzinfo or UTC) - now).total_seconds()
    return min(max(0.0, wanted), LONGEST_RETRY_AFTER_SECONDS)


def _user_agent(version: str, contact: str) -> str:
    printable = re.sub(r"[^\x20-\x7e]", "", contact)
    return f"SignalHarvester/{version} (+{printable})" if printable else f"SignalHarvester/{version}"


def _checked(headers: Mapping[str, str]) -> dict[str, str]:
    """Lower-case names, and nothing that could end a header and begin another."""
    for name, value in headers.items():
        if not re.fullmatch(r"[A-Za-z0-9-]+", name) or not re.fullmatch(r"[\t\x20-\x7e\xa0-\xff]*", value):
            raise FetchError(FetchFailure.MALFORMED, f"The header {name!r} cannot be sent as it is.", permanent=True)
    return {name.lower(): value for name, value in headers.items()}


def _is_redirect(status: int, headers: Mapping[str, str]) -> bool:
    return status in REDIRECTS and "location" in headers


def _redirected(source: Target, location: str) -> Target:
    """Where a redirect leads; raises FetchError when it must not be followed."""
    # A header arrives as Latin-1; many servers write raw UTF-8 or spaces into it, which browsers encode like this.
    encoded = quote(location.strip(), safe=string.punctuation, encoding="latin-1", errors="replace")
    try:
        target = parse(urljoin(source.url, encoded))
    except ValueError as error:
        raise FetchError(FetchFailure.MALFORMED, f"{source.host} redirects to something that is no URL.") from error
    except FetchError as error:
        raise FetchError(error.reason, f"{source.host} redirects to a place that is refused. {error.detail}") from error
    if source.scheme == "https" and target.scheme == "http":
        raise FetchError(
            FetchFailure.ADDRESS_REFUSED,
            f"{source.host} redirects from https to http, which is refused; if that is meant, use the http URL itself.",
        )
    return target


def _body(answer: transport.Answer) -> bytes:
    if _is_redirect(answer.status, answer.headers):
        return b""
    try:
        return answer.read()
    except FetchError:
        if answer.status < 400:
            raise
        return b""  # that the server refused matters more than that its error page could not be read
