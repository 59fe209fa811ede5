"""A scratch installation of the product, used from outside as an operator would: by its command line."""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import subprocess
import sys
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
from psycopg import conninfo, sql

HOUSE = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Installation:
    """Its own database and data folder; everything else as shipped."""

    folder: Path
    database_url: str
    extra: Mapping[str, str] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        return kept | {
            "DOTENV": "",  # a developer's own is none of its business
            "DATA_DIR": str(self.folder),
            "DATABASE_URL": self.database_url,
            "HARVESTER_ALLOWED_PRIVATE_HOSTS": "127.0.0.1",
            "LOG_LEVEL": "ERROR",
            "HEALTH_DRAIN_SECONDS": "0",  # nobody sends requests to a server that a test has ended
            **self.extra,
        }

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """`manage.py …`, running."""
        return subprocess.Popen(
            [sys.executable, "manage.py", *arguments],
            cwd=HOUSE,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def manage(self, *arguments: str, expect: int | None = 0, timeout: float = 120) -> subprocess.CompletedProcess[str]:
        """`manage.py …` to its end; an exit code other than ``expect`` is an error (None: any)."""
        process = self.start(*arguments)
        out, err = process.communicate(timeout=timeout)
        if expect is not None and process.returncode != expect:
            raise AssertionError(f"manage.py {' '.join(arguments)} ended with {process.returncode}:\n{out}\n{err}")
        return subprocess.CompletedProcess(arguments, process.returncode, out, err)

    def harvest(self, *arguments: str, expect: int | None = 0) -> dict[str, Any]:
        """`manage.py harvest --json …` and what it printed."""
        printed: dict[str, Any] = json.loads(self.manage("harvest", "--json", *arguments, expect=expect).stdout)
        return printed

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """The rows of a query in the SQL that both databases share."""
        if self.database_url.startswith("sqlite"):
            path = self.database_url.removeprefix("sqlite:///")
            with contextlib.closing(sqlite3.connect(path, timeout=20)) as connection:
                return connection.execute(query).fetchall()
        with psycopg.connect(self.database_url) as connection:
            return connection.execute(query.encode()).fetchall()

    def count(self, query: str) -> int:
        (row,) = self.rows(query)
        return int(row[0])


@contextlib.contextmanager
def installation(
    folder: Path, postgresql_url: str | None = None, *, extra: Mapping[str, str] | None = None
) -> Iterator[Installation]:
    """A migrated installation on SQLite, or on a scratch database of the PostgreSQL that is named; gone afterwards."""
    if postgresql_url is None:
        installed = Installation(folder, f"sqlite:///{folder / 'harvester.sqlite3'}", extra or {})
        installed.manage("migrate", "--verbosity", "0")
        yield installed
        return
    name = f"signal_harvester_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(postgresql_url, autocommit=True) as server:
        server.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        try:
            parts = conninfo.conninfo_to_dict(postgresql_url)
            password = f":{parts['password']}" if parts.get("password") else ""
            place = f"{parts.get('host', '127.0.0.1')}:{parts.get('port', 5432)}"
            url = f"postgresql://{parts.get('user', 'postgres')}{password}@{place}/{name}"
            installed = Installation(folder, url, extra or {})
            installed.manage("migrate", "--verbosity", "0")
            yield installed
        finally:
            server.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
