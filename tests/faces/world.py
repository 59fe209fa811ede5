"""`python -m tests.faces.world`: what the sample world lacks, put beside it, so that every state of a page is seen."""

from __future__ import annotations

import os
from datetime import timedelta

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "harvester.config.settings")
django.setup()

from django.utils import timezone  # noqa: E402 - Django has to be set up before its models are imported

from harvester.models import Artifact, RunStatus, Source, SourceState  # noqa: E402 - as above
from tests import factories  # noqa: E402 - as above

LONG = "Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft" * 3


def plant() -> None:
    """One thing for every state that a harvest of the sample does not leave behind."""
    now = timezone.now()
    staff = factories.make_staff("anna", is_superuser=True)
    factories.make_user("ben")
    scored = Artifact.objects.filter(score__isnull=False)
    factories.make_run(trigger="page", owner=staff, created_at=now)
    factories.make_run(
        trigger="page",
        owner=staff,
        status=RunStatus.RUNNING,
        started_at=now,
        heartbeat_at=now + timedelta(hours=1),  # it is to stay running for as long as the walk takes
        source_reports=[
            {
                "name": "Planted",
                "fetched": 5,
                "created": 2,
                "updated": 1,
                "errors": 1,
                "messages": ["entry 3: no title"],
            }
        ],
    )
    factories.make_run(trigger="schedule", status=RunStatus.FAILED, error="Every source failed.", finished_at=now)
    failing = factories.make_source(
        "Planted: failing",
        consecutive_failures=4,
        failure_reason="http_status",
        failure_detail="The server answered 503 Service Unavailable.",
        last_fetch_at=now - timedelta(hours=3),
        next_fetch_at=now + timedelta(hours=5),
    )
    factories.make_source("Planted: paused", state=SourceState.PAUSED)
    Source.objects.create(name=f"Planted: {LONG}"[:200], kind="feed", url=f"https://example.org/{LONG}")
    factories.make_artifact(failing, score=None, title="Planted: not scored yet")
    factories.make_artifact(
        failing,
        score=99,
        title=f"Planted: <script>window.ran = 1</script> {LONG}",
        text=f"<img src=x onerror='window.ran = 1'> {LONG}",
        authors=[{"name": LONG, "affiliation": LONG}] * 3,
        canonical_url="javascript:window.ran = 1",
        published_at=now,
        engagement={"stars": 3, "comments": 1},
    )
    same = [factories.make_artifact(failing, score=80, title=f"Planted: seen {times} times") for times in (1, 2, 3)]
    factories.make_same_work([scored.earliest("pk"), *same])


if __name__ == "__main__":
    plant()
