"""What ten thousand probes leave behind in PostgreSQL, and whether any of them was told a lie."""

from __future__ import annotations

import time
from importlib.util import find_spec

from tests.benchmarks.comparison.table import Row
from tests.benchmarks.health.ground import Ground
from tests.benchmarks.health.serving import READY, flood, serving, statuses

_PROBES = 10_000
_AT_ONCE = 8
# Ten thousand probes in as many seconds as these take would be ten runs of the check; so they are some hundreds.
_CHECK = {"fresh_seconds": 0.02}


def leaks(ground: Ground) -> list[Row]:
    ages = ["0", "60", "none", *(["pool"] if find_spec("psycopg_pool") else [])]
    return [_row(ground, kind, age) for kind in ("gthread", "asgi") for age in ages]


def _row(ground: Ground, kind: str, age: str) -> Row:
    name = f"leaks-{kind}-{age}"
    around = ground.healthy(name, conn_max_age=age, checks={"database": _CHECK})
    with serving(kind, around) as server:
        server.wait_until_healthy()
        answers = flood(server, READY, _PROBES, at_once=_AT_ONCE)
        time.sleep(0.5)
        left = len(ground.postgresql.backends(name))
        runs = len(server.insides()["checked"]["database"])
    false = sum(answer.status != 200 for answer in answers)
    return Row(
        f"10,000 probes, {_words(age)}, {kind}: backends left, false 503s",
        "≤ 1, 0",
        f"{left}, {false}",
        ground.beside(f"leaks {kind} {age}", f"{runs} runs of the database's check; {statuses(answers)}"),
        left <= 1 and false == 0,
        {"backends": left, "false": false, "runs": runs},
    )


def _words(age: str) -> str:
    return "psycopg's pool" if age == "pool" else f"CONN_MAX_AGE={age.capitalize()}"
