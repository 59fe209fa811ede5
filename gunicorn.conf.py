"""How gunicorn serves the product; WEB_CONCURRENCY (gunicorn's own) says how many workers, 1 by default."""

import os
from pathlib import Path

from harvester.config.env import Environment
from harvester.config.metrics_folder import share_metrics
from health.gunicorn import drain_before_stopping

_environment = Environment.of_process()
# Here and not in on_starting, which comes after preload_app has imported the metrics.
share_metrics("web", _environment)

wsgi_app = "harvester.config.wsgi:application"
bind = f"{os.environ.get('HOST', '127.0.0.1')}:{os.environ.get('PORT', '8000')}"

# Threads, because requests wait for the database more than they compute.
worker_class = "gthread"
threads = 4
preload_app = True  # one import for all workers; nothing of ours opens a connection or a thread at import

# A worker is replaced now and then, never all at once, so that no leak can grow for ever.
max_requests = 10_000
max_requests_jitter = 1_000

# The slowest page is bounded by the database's own limits; a worker silent for longer is stuck.
timeout = 30
# Told to stop, it goes on serving for HEALTH_DRAIN_SECONDS (10) while it says that it is not ready, and then finishes
# what is in flight: together less than the 30 s after which Kubernetes kills it (HEALTH_TERMINATION_GRACE_SECONDS).
on_starting = drain_before_stopping(
    seconds=_environment.integer("HEALTH_DRAIN_SECONDS"),
    grace_seconds=_environment.integer("HEALTH_TERMINATION_GRACE_SECONDS"),
)
graceful_timeout = 15
keepalive = 5
# Heartbeats of workers belong into memory, not on a slow disk; where there is no such place (macOS) gunicorn finds one.
_memory = Path("/dev/shm")  # noqa: S108 - only gunicorn's own files of its workers, with names of its making
worker_tmp_dir = str(_memory) if _memory.is_dir() else None
control_socket_disable = True  # nobody here talks to it, and what does not listen cannot be abused

accesslog = "-"
errorlog = "-"
logger_class = "harvester.config.gunicorn_logs.StructuredLogger"
