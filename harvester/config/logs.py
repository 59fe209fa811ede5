"""Structured logs: one JSON object a line, each with the id of the request or task it belongs to."""

from __future__ import annotations

from typing import Any

JSON_FIELDS = "%(asctime)s %(levelname)s %(name)s %(message)s %(correlation_id)s %(process)d"


def logging_config(*, level: str, form: str) -> dict[str, Any]:
    """The ``LOGGING`` dictionary; ``form`` is ``json`` or ``text``. Everything goes to standard error."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "filters": {"correlation_id": {"()": "django_guid.log_filters.CorrelationId"}},
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
            "text": {"format": "%(asctime)s %(levelname)-7s %(name)s: %(message)s"},
        },
        "handlers": {
            "stderr": {"class": "logging.StreamHandler", "formatter": form, "filters": ["correlation_id"]},
        },
        "root": {"handlers": ["stderr"], "level": level},
        "loggers": {
            # Every 4xx would be a warning here; the access log says the same with more.
            "django.request": {"level": "ERROR"},
            "django_guid": {"level": "WARNING"},
            "gunicorn.error": {"level": "INFO", "handlers": [], "propagate": True},
            "gunicorn.access": {"level": "INFO", "handlers": [], "propagate": True},
        },
    }
