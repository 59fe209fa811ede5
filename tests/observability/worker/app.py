"""Tasks that end in every way a task can end."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

from celery import Celery, Task
from celery.exceptions import Ignore, Reject

from observability.tracking import track_http_request

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.observability.worker.settings")

app = Celery("tests.observability.worker")
app.config_from_object("django.conf:settings", namespace="CELERY")


class UnpicklableError(Exception):
    """Takes two arguments, and hands on one: it cannot be made again on the other side."""

    def __init__(self, one: str, two: str) -> None:
        super().__init__(one)
        self.two = lambda: two


@app.task(name="succeed")
def succeed() -> str:
    return "done"


@app.task(name="fail")
def fail() -> None:
    raise LookupError("a secret")


@app.task(name="fail_unpicklably")
def fail_unpicklably() -> None:
    raise UnpicklableError("a", "b")


@app.task(name="fail_tracked")
def fail_tracked() -> None:
    with track_http_request("polled"):
        raise LookupError("a secret")


@app.task(name="retry_once", bind=True, max_retries=1)
def retry_once(self: Task[..., None]) -> None:
    if self.request.retries == 0:
        raise self.retry(countdown=0)


@app.task(name="retry_in_vain", bind=True, max_retries=1)
def retry_in_vain(self: Task[..., None]) -> None:
    raise self.retry(exc=LookupError("a secret"), countdown=0)


@app.task(name="ignore")
def ignore() -> None:
    raise Ignore


@app.task(name="reject")
def reject() -> None:
    raise Reject("not for me", requeue=False)


@app.task(name="die")
def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@app.task(name="leave")
def leave() -> None:
    sys.exit(3)


@app.task(name="take_too_long", time_limit=1)
def take_too_long() -> None:
    time.sleep(60)


@app.task(name="take_long_softly", soft_time_limit=1)
def take_long_softly() -> None:
    time.sleep(60)


@app.task(name="wait")
def wait(until: str) -> None:
    """Until a file is there."""
    deadline = time.monotonic() + 60
    while not Path(until).exists() and time.monotonic() < deadline:
        time.sleep(0.05)


@app.task(name="around")
def around() -> None:
    """Applies another one here and now."""
    succeed.apply()
