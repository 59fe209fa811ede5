"""Told by its environment where it lives."""

from __future__ import annotations

import os
from pathlib import Path

SECRET_KEY = "of the metrics' own tests"
INSTALLED_APPS = ["observability"]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
USE_TZ = True

OBSERVABILITY_WORKER_PORT = int(os.environ.get("WORKER_PORT", "0"))

FOLDER = Path(os.environ["WORKER_FOLDER"])
CELERY_BROKER_URL = "filesystem://"
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "data_folder_in": str(FOLDER / "waiting"),
    "data_folder_out": str(FOLDER / "waiting"),
    "processed_folder": str(FOLDER / "done"),
    "control_folder": str(FOLDER / "control"),
    "store_processed": False,
    "polling_interval": 0.05,
}
for _folder in ("waiting", "done", "control"):
    (FOLDER / _folder).mkdir(parents=True, exist_ok=True)
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_TASK_IGNORE_RESULT = True
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_LOST_WAIT = 0.5
