"""gunicorn's own logs in the shape of all the others: one JSON object a line, the access log with the request's id."""

from __future__ import annotations

import logging.config
from collections.abc import MutableMapping
from datetime import timedelta
from typing import Any

from gunicorn.glogging import Logger

from harvester.config.env import Environment
from harvester.config.logs import logging_config


class StructuredLogger(Logger):
    """Named by ``logger_class`` in ``gunicorn.conf.py``."""

    def setup(self, cfg: Any) -> None:
        super().setup(cfg)
        environment = Environment.of_process()
        logging.config.dictConfig(
            logging_config(level=environment.text("LOG_LEVEL"), form=environment.text("LOG_FORMAT"))
        )

    def access(self, resp: Any, req: Any, environ: MutableMapping[str, Any], request_time: timedelta) -> None:
        """One line a request; the path without its query, which may hold what does not belong into logs."""
        if not self.access_log_enabled:
            return
        atoms = self.atoms(resp, req, environ, request_time)
        self.access_log.info(
            "request",
            extra={
                "method": atoms["m"],
                "path": atoms["U"],
                "status": int(atoms["s"]),
                "bytes": atoms["B"],
                "duration_ms": round(atoms["D"] / 1000, 2),
                "correlation_id": atoms.get("{x-request-id}o"),
            },
        )
