"""One pool of ``redis.asyncio`` connections for each event loop: a request on a loop waits without a thread.

A pool is closed with its loop, because it lives in an asynchronous generator: whoever runs a loop to its end closes
those that are left (``loop.shutdown_asyncgens``, which ``asyncio.run`` calls).
"""

from __future__ import annotations

import asyncio
import contextlib
from asyncio import AbstractEventLoop, Future
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from types import TracebackType
from typing import Any

from redis.asyncio.connection import AbstractConnection
from redis.exceptions import NoScriptError, RedisError

from ratelimit.errors import StoreError
from ratelimit.stores.forks import tell_after_fork
from ratelimit.stores.redis.reasons import reason_of
from ratelimit.stores.redis.wire import in_full, script_call

MOST_CONNECTIONS = 32  # per loop: its one thread could not keep more of them busy
_STEPS = 10  # of a timeout: more than the turns of a loop that a greeting takes


class LoopPools:
    """Runs the script on a pool of the running loop's own. Raises StoreError and nothing else.

    A request that is cancelled closes its connection, so that no answer is left over for the next one.
    """

    def __init__(
        self,
        connection_class: type[AbstractConnection],
        connection_kwargs: Mapping[str, Any],
        read_timeout_seconds: float,
        connect_timeout_seconds: float,
    ) -> None:
        self._connection_class = connection_class
        self._connection_kwargs = {
            **connection_kwargs,
            "protocol": 2,
            "socket_timeout": None,  # the library's would be a task for each send, and blind to a stalled loop
            "socket_connect_timeout": None,  # blind as well, and without the greeting
            "redis_connect_func": self._greet,
        }
        self._read_timeout_seconds = read_timeout_seconds
        self._connect_timeout_seconds = connect_timeout_seconds
        self._pools: _Pools = {}
        tell_after_fork(self)

    async def run(self, keys: Sequence[str], numbers: Sequence[int]) -> list[int]:
        """The script's answer; see take.lua."""
        call = script_call(keys, numbers)
        loop = asyncio.get_running_loop()
        pool = self._pools[loop][0] if loop in self._pools else await self._open(loop)
        try:
            async with pool.connection() as connection, _AtMost(self._read_timeout_seconds):
                return _numbers(await _ask(connection, call), 1 + 2 * len(keys))
        except (RedisError, OSError, ValueError) as error:
            raise StoreError(reason_of(error)) from error

    def close(self) -> None:
        """Each loop closes its pool when it comes to it."""
        pools, self._pools = self._pools, {}
        for loop, (_, life) in pools.items():
            if loop.is_running():
                loop.call_soon_threadsafe(loop.create_task, life.aclose())

    def after_fork(self) -> None:
        _of_the_parent.append(self._pools)
        self._pools = {}

    async def _open(self, loop: AbstractEventLoop) -> _Pool:
        for known in list(self._pools):
            if known.is_closed():
                self._pools.pop(known, None)
        life = self._life()
        pool = await anext(life)
        self._pools[loop] = (pool, life)
        return pool

    async def _life(self) -> AsyncGenerator[_Pool]:
        pool = _Pool(self._connection_class, self._connection_kwargs, self._connect_timeout_seconds)
        try:
            yield pool
        finally:
            loop = asyncio.get_running_loop()
            if loop in self._pools and self._pools[loop][0] is pool:  # and not the next one, after a close
                del self._pools[loop]
            await pool.close()

    async def _greet(self, connection: AbstractConnection) -> None:
        """Authenticate and choose the database, in time."""
        async with _AtMost(self._read_timeout_seconds):
            await connection.on_connect()


class _Pool:
    """A bounded number of connections, of which none comes back in the middle of an answer.

    Who waits for one waits as long as the others are answered: a burst is no outage. The first that is not answered
    speaks for all who wait, so that they need not find out in turn.

    Our own, because the library's costs a third of a decision: locks, events and metrics that nobody asked for.
    """

    def __init__(
        self,
        connection_class: type[AbstractConnection],
        connection_kwargs: Mapping[str, Any],
        connect_timeout_seconds: float,
    ) -> None:
        self._connection_class = connection_class
        self._connection_kwargs = connection_kwargs
        self._connect_timeout_seconds = connect_timeout_seconds
        self._free_places = MOST_CONNECTIONS
        self._waiting: deque[Future[None]] = deque()
        self._idle: list[AbstractConnection] = []
        self._is_closed = False

    @contextlib.asynccontextmanager
    async def connection(self) -> AsyncIterator[AbstractConnection]:
        if self._free_places:
            self._free_places -= 1
        else:
            await self._turn()
        try:
            connection = self._idle.pop() if self._idle else self._connection_class(**self._connection_kwargs)
            try:
                if connection.is_connected and await connection.can_read():  # the server has hung up meanwhile
                    await connection.disconnect(nowait=True)
                if not connection.is_connected:
                    await _connect(connection, self._connect_timeout_seconds)
                yield connection
            except BaseException as error:
                if isinstance(error, Exception):
                    self._tell_all_who_wait(error)
                await connection.disconnect(nowait=True)
                raise
            if self._is_closed:
                await connection.disconnect(nowait=True)
            else:
                self._idle.append(connection)
        finally:
            self._leave()

    async def _turn(self) -> None:
        """A place is handed on, or an error."""
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled() and turn.exception() is None:  # the place came at the same moment
                self._leave()
            raise

    def _leave(self) -> None:
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self._free_places += 1

    def _tell_all_who_wait(self, error: Exception) -> None:
        reason = error.reason if isinstance(error, StoreError) else reason_of(error)
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_exception(StoreError(reason))

    async def close(self) -> None:
        self._is_closed = True
        while self._idle:
            await self._idle.pop().disconnect()


async def _connect(connection: AbstractConnection, timeout_seconds: float) -> None:
    try:
        async with _AtMost(timeout_seconds):
            await connection.connect()
    except Exception as error:  # also what a credential provider raises
        raise StoreError(reason_of(error)) from error


async def _ask(connection: AbstractConnection, call: bytes) -> object:
    await connection.send_packed_command([call], check_health=False)
    try:
        return await connection.read_response()
    except NoScriptError:  # a new server, or SCRIPT FLUSH: nothing has run
        await connection.send_packed_command([in_full(call)], check_health=False)
        return await connection.read_response()


def _numbers(answer: object, count: int) -> list[int]:
    if not isinstance(answer, list) or [type(number) for number in answer] != [int] * count:
        raise ValueError("not the numbers expected")
    return answer


class _AtMost:
    """``asyncio.timeout``, but what a loop is held up by its own work is not counted as the server's delay.

    The time is taken in steps. However late a step is noticed it counts once, and the loop hands on what has arrived
    before it notices the next: thousands of requests that begin at once do not make each other late.
    """

    def __init__(self, seconds: float) -> None:
        self._step_seconds = seconds / _STEPS
        self._steps = 0

    async def __aenter__(self) -> None:
        self._timeout = asyncio.timeout(None)
        await self._timeout.__aenter__()
        self._timer = asyncio.get_running_loop().call_later(self._step_seconds, self._step)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._timer.cancel()
        await self._timeout.__aexit__(kind, error, trace)

    def _step(self) -> None:
        self._steps += 1
        if self._steps == _STEPS:  # only the deadline is set: what has arrived meanwhile is handed on first
            self._timeout.reschedule(0.0)
            return
        loop = asyncio.get_running_loop()
        due = self._timer.when() + self._step_seconds
        if due < loop.time():  # held up
            due = loop.time() + self._step_seconds
        self._timer = loop.call_at(due, self._step)


_Pools = dict[AbstractEventLoop, tuple[_Pool, AsyncGenerator[_Pool]]]
_of_the_parent: list[_Pools] = []
"""Kept in a child and never used: a socket that is let go is taken off its loop's epoll, which the parent shares."""
