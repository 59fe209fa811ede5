"""What all stages share: the report they give, and working off what waits in batches that isolate a failing item."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Protocol

from django.db import InterfaceError, OperationalError, connection, transaction
from django.db.models import F, QuerySet

from harvester import metrics
from harvester.metrics import Mishap
from harvester.models import Artifact

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SourceReport:
    """How one source's fetch went. ``errors`` counts unusable entries, and one more if the fetch itself failed."""

    name: str
    fetched: int = 0
    created: int = 0
    updated: int = 0
    errors: int = 0
    outcome: str = (
        "fetched"  # fetched, unchanged (304), failed, busy, waiting (Retry-After), gone (also: edited or taken over)
    )
    messages: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        return asdict(self) | {"messages": list(self.messages)}


@dataclass(frozen=True, slots=True)
class StageReport:
    """What a stage did: items processed and failed (and which), and how long it took in seconds."""

    stage: str
    processed: int = 0
    failed: int = 0
    duration_seconds: float = 0.0
    failed_ids: frozenset[int] = frozenset()

    def __add__(self, other: StageReport) -> StageReport:
        return replace(
            self,
            processed=self.processed + other.processed,
            failed=self.failed + other.failed,
            duration_seconds=self.duration_seconds + other.duration_seconds,
            failed_ids=self.failed_ids | other.failed_ids,
        )

    def as_json(self) -> dict[str, Any]:
        return {
            "stage": self.stage,
            "processed": self.processed,
            "failed": self.failed,
            "duration_seconds": round(self.duration_seconds, 3),
        }


class Progress(Protocol):
    """Whoever wants to watch. Called from the working thread, so it must be quick."""

    def begin(self, stage: str, total: int | None) -> None: ...

    def advance(self, count: int, note: str = "") -> None: ...

    def end(self) -> None: ...


class Unwatched:
    """The Progress of a run that nobody watches."""

    def begin(self, stage: str, total: int | None) -> None: ...

    def advance(self, count: int, note: str = "") -> None: ...

    def end(self) -> None: ...


Process = Callable[[Sequence[Artifact]], None]


def work_off(stage: str, pending: QuerySet[Artifact], process: Process) -> StageReport:
    """Claim the ``pending`` artifacts and process them in one transaction; one by one if that fails.

    A failing item gets its error and attempt count on its own row and the others go on. Rows that another process
    works on are left to it, where the database can tell (PostgreSQL); SQLite has one writer at a time anyway. A
    database that is away or overloaded is nobody's fault here: that error is raised, and no attempt is counted.
    """
    started = time.monotonic()
    try:
        with transaction.atomic():
            artifacts = list(_claimed(pending))
            process(artifacts)
        failed: frozenset[int] = frozenset()
    except (OperationalError, InterfaceError):
        raise
    except Exception:  # noqa: BLE001 - whatever it is, it must not stop the other items; it is recorded on the row
        artifacts = list(pending)
        failed = frozenset(artifact.pk for artifact in artifacts if not _process_alone(stage, artifact, process))
    seconds = time.monotonic() - started
    return StageReport(stage, len(artifacts) - len(failed), len(failed), seconds, failed)


def _claimed(pending: QuerySet[Artifact]) -> QuerySet[Artifact]:
    if connection.features.has_select_for_update_skip_locked:
        # Others may refer to these rows meanwhile: two batches that link each other's artifacts would wait for ever.
        return pending.select_for_update(
            skip_locked=True, of=("self",), no_key=connection.features.has_select_for_no_key_update
        )
    return pending


def _process_alone(stage: str, artifact: Artifact, process: Process) -> bool:
    try:
        with transaction.atomic():
            process([artifact])
    except (OperationalError, InterfaceError):
        raise
    except Exception as error:
        metrics.record_mishap(Mishap.ARTIFACT_FAILED, "error")
        logger.exception("item failed", extra={"stage": stage, "artifact_id": artifact.pk})
        Artifact.objects.filter(pk=artifact.pk).update(
            failed_stage=stage,
            error=f"{type(error).__name__}: {error}"[:500].replace("\0", ""),
            attempts=F("attempts") + 1,
        )
        return False
    return True
