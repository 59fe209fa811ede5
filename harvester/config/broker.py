"""Which broker Celery talks to, in Celery's own words."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit


def celery_broker(url: str) -> str:
    """The URL as Celery wants it: a Redis behind a socket file is ``unix:///path?db=0`` for everybody else."""
    if not url.startswith("unix:"):
        return url
    parts = urlsplit(url)
    (database,) = parse_qs(parts.query).get("db", ["0"])[:1]
    return f"redis+socket://{parts.netloc}{parts.path}?virtual_host={database}"
