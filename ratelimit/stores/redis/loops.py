"""One pool of ``redis.asyncio`` connections for each event loop: a request on a loop waits without a thread.

A pool is closed with its loop, because it lives in an asynchronous generator: whoever runs a loop to its end closes
those that are left (``loop.shutdown_asyncgens``, which ``asyncio.run`` calls).
"""

from __future__ import annotations

import asyncio
import contextlib
from asyncio import AbstractEventLoop
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from types import TracebackType
from typing import Any

from redis.asyncio.connection import AbstractConnection
from redis.exceptions import NoScriptError, RedisError

from ratelimit.errors import StoreError
from ratelimit.stores.redis.reasons import reason_of
from ratelimit.stores.redis.wire import in_full, script_call

MOST_CONNECTIONS = 32  # per loop: its one thread could not keep more of them busy


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
            "socket_connect_timeout": connect_timeout_seconds,
            "redis_connect_func": self._greet,
        }
        self._read_timeout_seconds = read_timeout_seconds
        self._pools: dict[AbstractEventLoop, tuple[_Pool, AsyncGenerator[_Pool]]] = {}

    async def run(self, keys: Sequence[str], numbers: Sequence[int]) -> list[int]:
        """The script's answer; see take.lua."""
        call = script_call(keys, numbers)
        loop = asyncio.get_running_loop()
        pool = self._pools[loop][0] if loop in self._pools else await self._open(loop)
        # Who had to wait for a connection has no further time for making one: the others have found the server hung.
        patience = _AtMost(self._read_timeout_seconds) if pool.is_busy else contextlib.nullcontext()
        try:
            async with patience, pool.connection() as connection, _AtMost(self._read_timeout_seconds):
                return _numbers(await _ask(connection, call), 1 + 2 * len(keys))
        except (RedisError, OSError, ValueError) as error:
            raise StoreError(reason_of(error)) from error

    def close(self) -> None:
        """Each loop closes its pool when it comes to it."""
        pools, self._pools = self._pools, {}
        for loop, (_, life) in pools.items():
            if loop.is_running():
                loop.call_soon_threadsafe(loop.create_task, life.aclose())

    async def _open(self, loop: AbstractEventLoop) -> _Pool:
        for known in list(self._pools):
            if known.is_closed():
                self._pools.pop(known, None)
        life = self._life()
        pool = await anext(life)
        self._pools[loop] = (pool, life)
        return pool

    async def _life(self) -> AsyncGenerator[_Pool]:
        pool = _Pool(self._connection_class, self._connection_kwargs)
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

    Our own, because the library's costs a third of a decision: locks, events and metrics that nobody asked for.
    """

    def __init__(self, connection_class: type[AbstractConnection], connection_kwargs: Mapping[str, Any]) -> None:
        self._connection_class = connection_class
        self._connection_kwargs = connection_kwargs
        self._places = asyncio.Semaphore(MOST_CONNECTIONS)
        self._idle: list[AbstractConnection] = []
        self._is_closed = False

    @property
    def is_busy(self) -> bool:
        return self._places.locked()

    @contextlib.asynccontextmanager
    async def connection(self) -> AsyncIterator[AbstractConnection]:
        async with self._places:
            connection = self._idle.pop() if self._idle else self._connection_class(**self._connection_kwargs)
            try:
                if connection.is_connected and await connection.can_read():  # the server has hung up meanwhile
                    await connection.disconnect(nowait=True)
                if not connection.is_connected:
                    await _connect(connection, self._connection_kwargs["socket_connect_timeout"])
                yield connection
            except BaseException:
                await connection.disconnect(nowait=True)
                raise
            if self._is_closed:
                await connection.disconnect(nowait=True)
            else:
                self._idle.append(connection)

    async def close(self) -> None:
        self._is_closed = True
        while self._idle:
            await self._idle.pop().disconnect()


async def _connect(connection: AbstractConnection, timeout_seconds: float) -> None:
    try:
        async with _AtMost(timeout_seconds):  # the library's own does not count the greeting
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
    """``asyncio.timeout``, but a loop that was held up looks at its sockets before it gives up on one.

    When the time comes the deadline is only set: the loop first hands on what has arrived meanwhile, then cancels.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    async def __aenter__(self) -> None:
        self._timeout = asyncio.timeout(None)
        await self._timeout.__aenter__()
        self._timer = asyncio.get_running_loop().call_later(self._seconds, self._timeout.reschedule, 0.0)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._timer.cancel()
        await self._timeout.__aexit__(kind, error, trace)
