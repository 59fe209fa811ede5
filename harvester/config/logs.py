"""Structured logs: one JSON object a line, each with the id of the request or task it belongs to."""

from __future__ import annotations

import logging
from typing import Any

from django_guid.log_filters import CorrelationId

JSON_FIELDS = "%(asctime)s %(levelname)s %(name)s %(message)s %(correlation_id)s %(process)d"


class RequestId(CorrelationId):
    """Gives each record the id of its request or task, unless it brings one (as the access log does)."""

    def __init__(self, none: str | None = None) -> None:
        """``none`` is what stands where there is no id."""
        super().__init__()
        self._none = none

    def filter(self, record: logging.LogRecord) -> bool:
        if not hasattr(record, "correlation_id"):
            super().filter(record)
        record.correlation_id = getattr(record, "correlation_id", None) or self._none
        return True


def logging_config(*, level: str, form: str) -> dict[str, Any]:
    """The ``LOGGING`` dictionary; ``form`` is ``json`` or ``text``. Everything goes to standard error."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "filters": {"request_id": {"()": RequestId, "none": "-" if form == "text" else None}},
        "formatters": {
            "json": {
                "()": "pythonjsonlogger.json.JsonFormatter",
                "format": JSON_FIELDS,
                "rename_fields": {
                    "asctime": "time",
                    "levelname": "level",
                    "name": "logger",
                    "message": "event",
                    "correlation_id": "request_id",
                    "process": "pid",
                },
                "datefmt": "%Y-%m-%dT%H:%M:%S%z",
            },
            "text": {"format": "%(asctime)s %(levelname)-7s %(name)s [%(correlation_id)s] %(message)s"},
        },
        "handlers": {
            "stderr": {"class": "logging.StreamHandler", "formatter": form, "filters": ["request_id"]},
        },
        "root": {"handlers": ["stderr"], "level": level},
        "loggers": {
            # Every 4xx would be a warning here; the access log says the same with more.
            "django.request": {"level": "ERROR"},
            "django_guid": {"level": "WARNING"},
            # The schedule's every tick; what a run did stands on its Run.
            "celery": {"level": "WARNING"},
            "gunicorn.error": {"level": "INFO", "handlers": [], "propagate": True},
            "gunicorn.access": {"level": "INFO", "handlers": [], "propagate": True},
        },
    }
