"""What is served while a server drains, as WSGI and as ASGI: no Django, so that only the server is looked at."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

from health.lifecycle import lifecycle

SLOW_SECONDS = 3
HANGING_SECONDS = 60
_SECONDS = {"/slow": SLOW_SECONDS, "/hang": HANGING_SECONDS}
Message = MutableMapping[str, Any]


def _answer(path: str) -> tuple[int, bytes]:
    status = 503 if path == "/ready" and lifecycle.is_draining else 200
    return status, str(os.getpid()).encode()


def application(
    environ: dict[str, Any], start_response: Callable[[str, list[tuple[str, str]]], object]
) -> Iterable[bytes]:
    time.sleep(_SECONDS.get(environ["PATH_INFO"], 0))
    status, body = _answer(environ["PATH_INFO"])
    start_response(f"{status} {'OK' if status == 200 else 'Service Unavailable'}", [("Content-Length", str(len(body)))])
    return [body]


async def asgi(
    scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
) -> None:
    if scope["type"] != "http":
        raise NotImplementedError(scope["type"])
    await asyncio.sleep(_SECONDS.get(scope["path"], 0))
    status, body = _answer(scope["path"])
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
