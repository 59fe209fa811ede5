"""Worker processes of the two kinds that are compared."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.benchmarks.comparison.environment import peers_python
from tests.benchmarks.comparison.workers import Worker


@contextlib.contextmanager
def our_worker(store: str, redis_url: str = "") -> Iterator[Worker]:
    """A process with this limiter on one of the stores of ``settings``: ``redis``, ``ordinary`` or ``memory``."""
    environment = {**os.environ, "BENCH_STORE": store, "BENCH_REDIS_URL": redis_url}
    worker = Worker([sys.executable, "-m", f"{__package__}.ours"], environment)
    try:
        yield worker
    finally:
        worker.end()


@contextlib.contextmanager
def peers_worker(folder: Path, store: str, redis_port: int) -> Iterator[Worker]:
    """A process with the limiters of ``folder``, see ``peers``, on ``redis`` or in ``memory``."""
    environment = {**os.environ, "RL_PORT": str(redis_port), "PYTHONPATH": str(folder)}
    environment.pop("DJANGO_SETTINGS_MODULE", None)
    worker = Worker([str(peers_python(folder)), "-m", f"{__package__}.peers", store], environment)
    try:
        yield worker
    finally:
        worker.end()
