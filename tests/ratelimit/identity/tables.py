"""Tables that answer when the test says so."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from ratelimit.identity.identities import key_identity
from ratelimit.identity.rows import KnownKey
from ratelimit.keys import VerifiedKey

SOON_SECONDS = 5.0


class Tables:
    """Stands in for the database: counts, blocks and fails on demand."""

    def __init__(self) -> None:
        self.keys: dict[str, KnownKey] = {}
        self.tiers: dict[Any, str] = {}
        self.reads: list[list[Any]] = []
        self.written: list[list[int]] = []
        self.may_answer = threading.Event()
        self.may_answer.set()
        self.error: Exception | None = None
        self.write_error: Exception | None = None

    def add(self, name: str) -> KnownKey:
        key = VerifiedKey(len(self.keys) + 1, name, name, frozenset({"read"}), None)
        self.keys[name] = KnownKey(key_identity(key, "api_key"))
        return self.keys[name]

    def read_keys(self, hashes: Sequence[str]) -> Mapping[str, KnownKey]:
        self._read(hashes)
        return {name: self.keys[name] for name in hashes if name in self.keys}

    def read_user_tiers(self, user_ids: Sequence[Any]) -> Mapping[Any, str]:
        self._read(user_ids)
        return {user_id: self.tiers.get(user_id, "api_key") for user_id in user_ids}

    def write_last_used(self, key_ids: Sequence[int], at: datetime, unless_after: datetime) -> None:
        self.written.append(list(key_ids))
        if self.write_error is not None:
            raise self.write_error

    def _read(self, handles: Sequence[Any]) -> None:
        self.reads.append(list(handles))
        self.may_answer.wait(SOON_SECONDS)
        if self.error is not None:
            raise self.error


def eventually(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SOON_SECONDS
    while not holds():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.002)
