"""A process of its own, with this app and a database, that does what it is told on stdin: one JSON line each way."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parents[3]
ANSWER_SECONDS = 60


class Peer:
    """The test's end of it."""

    def __init__(self, database_url: str, refresh_seconds: float | None = None, buckets_url: str = "") -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.ratelimit.identity.peer"],
            cwd=FOLDER,
            env={
                "PATH": os.environ["PATH"],
                "DJANGO_SETTINGS_MODULE": "tests.ratelimit.settings",
                "DATABASE_URL": database_url,
                "BUCKETS_URL": buckets_url,
                "REFRESH_SECONDS": "" if refresh_seconds is None else str(refresh_seconds),
            },
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def do(self, command: str, **arguments: Any) -> Any:
        """What the peer's function of that name returns; AssertionError with its words where it failed."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        watch = threading.Timer(ANSWER_SECONDS, self._process.kill)
        watch.start()
        self._process.stdin.write(json.dumps({"command": command, "arguments": arguments}) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        watch.cancel()
        assert line, self.end()
        return json.loads(line)

    def end(self) -> str:
        """Its last words: what it has logged."""
        try:
            return self._process.communicate(timeout=10)[1]
        except (subprocess.TimeoutExpired, BrokenPipeError):
            self._process.kill()
            return self._process.communicate()[1]


# --- the other end ----------------------------------------------------------------------------------------------------


def migrate() -> None:
    from django.core.management import call_command

    call_command("migrate", verbosity=0)


def issue(**fields: Any) -> str:
    from ratelimit.models import ApiKey

    return ApiKey.objects.issue(**{"name": "a key"} | fields)[1]


def rotate(key: str) -> str:
    """The successor, or the code of the refusal."""
    from datetime import timedelta

    from django.core.exceptions import ValidationError

    from ratelimit.models import ApiKey

    try:
        return ApiKey.objects.get(prefix=key[4:12]).rotate(timedelta(hours=1))[1]
    except ValidationError as refusal:
        return str(refusal.code)


def add_user(name: str) -> int:
    from django.contrib.auth.models import User

    return User.objects.create(username=name).pk


def update(model: str, where: dict[str, Any], **fields: Any) -> int:
    return _rows(model, where).update(**fields)


def delete(model: str, where: dict[str, Any]) -> None:
    _rows(model, where).delete()


def create(model: str, **fields: Any) -> None:
    from django.apps import apps

    apps.get_model(model).objects.create(**fields)


def last_used(key: str) -> str | None:
    from ratelimit.models import ApiKey

    used = ApiKey.objects.get(prefix=key[4:12]).last_used_at
    return used.isoformat() if used else None


def resolve(**arguments: Any) -> dict[str, Any]:
    """Who it is, why a key was refused, how long that took, and how many queries the request's own thread made."""
    from django.db import connection

    from ratelimit import identity

    queries: list[str] = []

    def note(execute: Any, sql: str, *rest: Any) -> Any:
        queries.append(sql)
        return execute(sql, *rest)

    rejections.clear()
    with connection.execute_wrapper(note):
        asked = _request(**arguments)
        began = time.perf_counter()
        found = identity.resolve(asked)
        seconds = time.perf_counter() - began
    return {
        "kind": found.kind,
        "tier": found.tier,
        "rejection": "".join(rejections),
        "seconds": seconds,
        "queries": len(queries),
    }


def resolve_in_child(**arguments: Any) -> dict[str, Any]:
    """The same in a forked child."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(writer, json.dumps(resolve(**arguments)).encode())
        finally:
            os._exit(0)
    os.close(writer)
    os.waitpid(child, 0)
    with os.fdopen(reader) as answer:
        return json.loads(answer.read())


def ask(cost: int = 1, **arguments: Any) -> dict[str, Any]:
    """What a request of that cost is told, how long identity and decision took together, and why a key was refused."""
    from ratelimit import identity
    from ratelimit.limiter import get_rate_limiter

    rejections.clear()
    asked = _request(**arguments)
    began = time.perf_counter()
    decision = get_rate_limiter().check(identity.resolve(asked), cost)
    seconds = time.perf_counter() - began
    return {
        "allowed": decision.allowed,
        "tier": decision.tier,
        "limit": decision.limit,
        "backend": decision.backend,
        "rejection": "".join(rejections),
        "seconds": seconds,
    }


def command(words: list[str]) -> str:
    """What a command of `manage.py` prints."""
    from io import StringIO

    from django.core.management import call_command

    out = StringIO()
    call_command(*words, stdout=out)
    return out.getvalue()


def dropped_writes() -> int:
    from ratelimit.identity.directory import get_directory

    return get_directory().dropped_writes


def threads() -> list[str]:
    return sorted(thread.name for thread in threading.enumerate() if thread.name.startswith("ratelimit"))


rejections: list[str] = []
COMMANDS: dict[str, Callable[..., Any]] = {
    function.__name__: function
    for function in (
        migrate,
        issue,
        rotate,
        add_user,
        update,
        delete,
        create,
        last_used,
        resolve,
        resolve_in_child,
        ask,
        command,
        dropped_writes,
        threads,
    )
}


def _request(key: str = "", user: int = 0, address: str = "203.0.113.9") -> Any:
    from django.contrib.auth.models import User
    from django.test import RequestFactory

    request = RequestFactory().get("/", REMOTE_ADDR=address, HTTP_X_API_KEY=key)
    if user:
        request.user = User(pk=user)
    return request


def _rows(model: str, where: dict[str, Any]) -> Any:
    from django.apps import apps

    return apps.get_model(model).objects.filter(**where)


def _serve() -> None:
    import django

    django.setup()
    from django.conf import settings

    if os.environ["REFRESH_SECONDS"]:
        settings.RATELIMIT_REFRESH_SECONDS = float(os.environ["REFRESH_SECONDS"])
    from ratelimit.signals import identity_rejected

    def note(reason: str, **_: Any) -> None:
        rejections.append(reason)

    identity_rejected.connect(note)
    for line in sys.stdin:
        told = json.loads(line)
        print(json.dumps(COMMANDS[told["command"]](**told["arguments"])), flush=True)


if __name__ == "__main__":
    _serve()
