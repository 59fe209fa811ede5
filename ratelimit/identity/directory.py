"""What this process knows of API keys and users' tiers, so that a hot request asks no database.

A row is read when it is first asked for, then again every RATELIMIT_REFRESH_SECONDS for as long as it is in use, all by
one daemon thread; so the work follows the traffic, never the size of the tables. What was read is believed for 1.5 s
longer than that: a revoked key, a changed tier, a deactivated owner are seen everywhere in under 4 s with the defaults.
Rows that went out of use are kept, and read again when they come back into it.

A request waits only for what its process does not know or no longer believes, and 50 ms at most. While the database
does not answer nobody waits: what was last known holds (a revocation cannot be seen then), unknown keys are refused.

RATELIMIT_REFRESH_SECONDS = 0 reads at every request, on the request's own connection and without a deadline: for test
suites whose rows live in a transaction that no other connection sees.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from datetime import timedelta
from functools import cache, partial
from itertools import islice
from threading import Condition, Thread
from time import monotonic
from typing import Any, TypeVar

from django.db import Error as DatabaseError
from django.utils import timezone

from ratelimit.conf import conf, on_change
from ratelimit.identity import rows
from ratelimit.identity.hurry import OwnConnections
from ratelimit.identity.questions import Asked, AskedNow, FreeTurn, Question, Turn
from ratelimit.identity.rows import KnownKey
from ratelimit.identity.shelf import IDLE_SECONDS, Entry, Shelf, Unanswered
from ratelimit.stores.forks import tell_after_fork
from ratelimit.tiers import RateLimitTier

logger = logging.getLogger(__name__)

LOOKUP_WAIT_SECONDS = 0.05
"""The longest a request waits for a row."""
QUERY_SECONDS = 1.0
"""The longest one query may take."""
LATE_SECONDS = 1.5
"""How much longer than the refresh interval a row is believed, so that a refresh may be late by as much."""
WRITE_SECONDS = 60.0
"""``last_used_at`` of a key is written no more often than this."""
MOST_REFRESHED = 5_000
"""Rows of a kind; what was used less lately is asked for one by one when it is no longer believed."""
_MOST_ASKED = 1_000
_CHUNK = 500  # rows a query, which takes about 8 ms
_WRITE_CHUNK = 100
_SHORTEST_INTERVAL_SECONDS = 0.05
_NOBODYS_KEY = ""  # is the hash of none
_FREE = FreeTurn()

Handle = TypeVar("Handle")
Fact = TypeVar("Fact")
Result = TypeVar("Result")


class Directory:
    """One for a process; any thread and task may ask."""

    def __init__(self) -> None:
        self._keys: Shelf[str, KnownKey] = Shelf(rows.read_keys, KnownKey(None, "unknown"), refused_key)
        self._users: Shelf[Any, str] = Shelf(rows.read_user_tiers, RateLimitTier.API_KEY.value, _tier_of_all)
        self._wake = Condition()
        self._thread: Thread | None = None
        self._own: OwnConnections | None = None
        self._inherited: list[OwnConnections | None] = []
        self._is_stopping = False
        self._is_answering = True
        self._may_try = True
        self._is_writing = True
        self._query_began_at: float | None = None
        self._busy_at = 0.0
        self.dropped_writes = 0
        """Keys whose last use could not be written."""
        tell_after_fork(self)

    # --- for requests ------------------------------------------------------------------------------------------------

    def find_key(self, key_hash: str) -> KnownKey | None:
        """What is known of the key, or None."""
        return self._keys.find(key_hash, is_answering=self._is_answering)

    def find_user_tier(self, user_id: Any) -> str | None:
        """The user's tier, or None where it is not known."""
        return self._users.find(user_id, is_answering=self._is_answering)

    def ask_key(self, key_hash: str, turn: Turn[KnownKey]) -> Question[KnownKey]:
        """For what is not known, or no longer. A look-up takes the turn, unless the key was there when last read."""
        return self._ask(self._keys, key_hash, turn)

    def ask_user_tier(self, user_id: Any) -> Question[str]:
        return self._ask(self._users, user_id, _FREE)

    # --- for settings, tests and forks -------------------------------------------------------------------------------

    def forget(self) -> None:
        """Know nothing; everything is read anew."""
        self._keys.forget()
        self._users.forget()

    def stop(self) -> None:
        """End the thread and its connections, and forget; the next question starts it again."""
        with self._wake:
            thread, self._is_stopping = self._thread, True
            self._wake.notify()
        if thread is not None:
            thread.join()
        self._thread, self._is_stopping = None, False
        self.forget()

    def after_fork(self) -> None:
        """The child has what the parent knew, but neither its thread nor a right to its connections."""
        self._inherited.append(self._own)  # kept, as even closing would speak on the parent's sockets
        self._own = self._thread = None
        self._query_began_at = None
        self._expect_answers()
        self._wake = Condition()
        self._keys.asked, self._users.asked = {}, {}

    # --- asking ------------------------------------------------------------------------------------------------------

    def _ask(self, shelf: Shelf[Handle, Fact], handle: Handle, turn: Turn[Fact]) -> Question[Fact]:
        if not conf.refresh_seconds:
            return AskedNow(lambda: self._read_now(shelf, handle, turn))

        def give_up(reason: str) -> Fact:
            return shelf.without_answer(handle, reason if self._is_answering else "lookup_failed")

        with self._wake:
            answer = shelf.asked.get(handle)
            if answer is None:
                answer = self._ask_anew(shelf, handle, _FREE if shelf.has_met(handle) else turn)
            self._busy_at = monotonic()
        return Asked(answer, self._patience(), give_up)

    def _ask_anew(self, shelf: Shelf[Handle, Fact], handle: Handle, turn: Turn[Fact]) -> Future[Fact | Unanswered]:
        """A look-up of its own, or the reason for none. The lock is held, so that those who ask at once cause one."""
        answer: Future[Fact | Unanswered] = Future()
        answer.set_running_or_notify_cancel()  # whoever stops waiting cannot cancel it for others
        if not turn.take():
            answer.set_result(Unanswered("too_many"))
            return answer
        answer.add_done_callback(lambda answered: turn.settle(answered.result()))
        if len(shelf.asked) >= _MOST_ASKED or not self._has_thread():
            answer.set_result(Unanswered("lookup_failed"))
        else:
            shelf.asked[handle] = answer
            self._wake.notify()
        return answer

    def _patience(self) -> float:
        """How long it makes sense to wait: not behind a query that has kept others waiting in vain."""
        began_at = self._query_began_at
        is_late = began_at is not None and monotonic() > began_at + LOOKUP_WAIT_SECONDS
        return LOOKUP_WAIT_SECONDS if self._is_answering and not is_late else 0.0

    def _read_now(self, shelf: Shelf[Handle, Fact], handle: Handle, turn: Turn[Fact]) -> Fact:
        if not turn.take():
            return shelf.unanswered("too_many")
        try:
            fact = shelf.read([handle]).get(handle, shelf.absent)
        except DatabaseError as error:
            self._note_reading(error)
            turn.settle(Unanswered("lookup_failed"))
            return shelf.unanswered("lookup_failed")
        turn.settle(fact)
        return fact

    def _has_thread(self) -> bool:
        """Whether there is one that will answer; starts it where there is none. The lock is held."""
        if self._thread is None or not self._thread.is_alive():
            thread = Thread(target=self._work, name="ratelimit-directory", daemon=True)
            try:
                thread.start()
            except RuntimeError:  # no more threads, or the process is ending
                return False
            self._thread = thread
            self._expect_answers()
        return True

    def _expect_answers(self) -> None:
        """Where no thread runs nobody would notice the database's return, and what is known would hold for ever."""
        self._is_answering = self._may_try = True

    # --- the thread's own --------------------------------------------------------------------------------------------

    def _work(self) -> None:
        self._own = own = OwnConnections(rows.aliases())
        try:
            refresh_at = _next_refresh()
            while self._has_more(refresh_at):
                is_due = monotonic() >= refresh_at
                if is_due:
                    refresh_at = _next_refresh()
                    self._may_try = True  # once: a silent database costs each round one deadline, not one for each row
                if is_due or self._is_answering:  # else questions wait for the next try instead of making one each
                    self._answer_asked(own)
                if is_due:
                    self._refresh(own)
        finally:
            own.close()

    def _has_more(self, refresh_at: float) -> bool:
        """Wait for something to do; False ends the thread."""
        with self._wake:
            while not self._is_stopping:
                now = monotonic()
                has_asked = bool(self._keys.asked or self._users.asked)
                if now >= refresh_at or (has_asked and self._is_answering):
                    if has_asked or now < self._busy_at + IDLE_SECONDS:
                        return True
                    break
                self._wake.wait(refresh_at - now)
            self._thread = None
            self._expect_answers()
            return False

    def _answer_asked(self, own: OwnConnections) -> None:
        self._answer(own, self._keys)
        self._answer(own, self._users)

    def _answer(self, own: OwnConnections, shelf: Shelf[Handle, Fact]) -> None:
        with self._wake:
            batch = dict(islice(shelf.asked.items(), _CHUNK))
        if not batch:
            return
        found = self._read(own, shelf, list(batch))
        with self._wake:
            for handle in batch:
                del shelf.asked[handle]
        for handle, answer in batch.items():
            answer.set_result(found if isinstance(found, Unanswered) else found.get(handle, shelf.absent))

    def _refresh(self, own: OwnConnections) -> None:
        keys, users = self._keys.in_use(MOST_REFRESHED), self._users.in_use(MOST_REFRESHED)
        if keys or users:
            self._busy_at = monotonic()
        elif not self._is_answering:
            self._read(own, self._keys, [_NOBODYS_KEY])  # or else nothing would tell that the database is back
        self._read_again(own, self._keys, [key_hash for key_hash, _ in keys])
        self._read_again(own, self._users, [user_id for user_id, _ in users])
        self._write_last_used(own, [entry for _, entry in keys])

    def _read_again(self, own: OwnConnections, shelf: Shelf[Handle, Fact], handles: Sequence[Handle]) -> None:
        for start in range(0, len(handles), _CHUNK):
            self._read(own, shelf, handles[start : start + _CHUNK])
            self._answer_asked(own)  # requests wait for these

    def _read(
        self, own: OwnConnections, shelf: Shelf[Handle, Fact], handles: Sequence[Handle]
    ) -> Mapping[Handle, Fact] | Unanswered:
        if not self._may_try:
            return Unanswered("lookup_failed")
        began = monotonic()
        try:
            found = self._run(own, lambda: shelf.read(handles))
        except Exception as error:  # noqa: BLE001 - whatever a database or its driver throws, the thread goes on
            self._note_reading(error)
            return Unanswered("lookup_failed")
        shelf.learn(handles, found, began, conf.refresh_seconds + LATE_SECONDS)
        self._note_reading(None)
        return found

    def _run(self, own: OwnConnections, query: Callable[[], Result]) -> Result:
        self._query_began_at = monotonic()
        try:
            return own.run(query, QUERY_SECONDS)
        finally:
            self._query_began_at = None

    def _write_last_used(self, own: OwnConnections, used: Sequence[Entry[KnownKey]]) -> None:
        if not self._may_try:
            return
        now, at = monotonic(), timezone.now()
        due = {
            entry.fact.identity.key.id: entry
            for entry in used
            if entry.used_at > entry.written_at
            and now >= entry.written_at + WRITE_SECONDS
            and entry.fact.identity is not None
            and entry.fact.identity.key is not None
        }
        ids = list(due)
        for start in range(0, len(ids), _WRITE_CHUNK):
            chunk = ids[start : start + _WRITE_CHUNK]
            write = partial(rows.write_last_used, chunk, at, at - timedelta(seconds=WRITE_SECONDS))
            try:
                self._run(own, write)
            except Exception as error:  # noqa: BLE001 - as above; when a key was last used is no reason to stop
                self._note_writing(error, len(chunk))
            else:
                self._note_writing(None, 0)
            for key_id in chunk:
                due[key_id].written_at = now
            self._answer_asked(own)

    # --- telling -----------------------------------------------------------------------------------------------------

    def _note_reading(self, error: Exception | None) -> None:
        """One line for each change. The error's own text may hold what it should not, so only its kind is told."""
        if error is not None and self._is_answering:
            logger.warning("API keys and tiers cannot be read (%s): the last known hold.", type(error).__name__)
        elif error is None and not self._is_answering:
            logger.info("API keys and tiers can be read again.")
        self._is_answering = self._may_try = error is None

    def _note_writing(self, error: Exception | None, dropped: int) -> None:
        if error is not None and self._is_writing:
            logger.warning("When API keys were last used cannot be written (%s).", type(error).__name__)
        elif error is None and not self._is_writing:
            logger.info("When API keys were last used can be written again (%d were dropped).", self.dropped_writes)
        self._is_writing = error is None
        self.dropped_writes += dropped


@cache
def get_directory() -> Directory:
    """The process's own."""
    return Directory()


@cache
def refused_key(reason: str) -> KnownKey:
    """A key that is refused for the reason."""
    return KnownKey(None, reason)


def _next_refresh() -> float:
    return monotonic() + max(conf.refresh_seconds, _SHORTEST_INTERVAL_SECONDS)


def _tier_of_all(_: str) -> str:
    return RateLimitTier.API_KEY.value


on_change(lambda: get_directory().forget())
