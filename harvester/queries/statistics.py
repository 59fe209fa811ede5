"""What the database's planner knows about our tables."""

from __future__ import annotations

from django.db import connection

from harvester.models import Artifact, Identifier, Relationship, Score

MANY = 1_000  # rows; below, any plan is quick


class Growth:
    """Lets PostgreSQL count our rows again each time as many were added as there had been, and more than a few.

    Its own schedule notices a first harvest only after a minute or two, and until then plans as if the tables were
    empty: the look-up of one page reads the whole table. Counting takes a sample, however large the table.
    """

    def __init__(self) -> None:
        self._added = 0
        self._next_count_at = MANY

    def add(self, rows: int) -> None:
        """Say that so many rows were added."""
        self._added += rows
        if self._added >= self._next_count_at:
            self._next_count_at = self._added * 2
            _count_again()


def _count_again() -> None:
    if connection.vendor != "postgresql":
        return
    models = (Artifact, Identifier, Relationship, Score)
    tables = ", ".join(connection.ops.quote_name(model._meta.db_table) for model in models)  # noqa: SLF001 - documented by Django as public
    with connection.cursor() as cursor:
        cursor.execute(f"ANALYZE {tables}")
