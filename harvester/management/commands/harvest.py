"""`manage.py harvest`: run the pipeline in the foreground, with a progress bar and a summary."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser, ArgumentTypeError
from datetime import UTC, datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from tqdm import tqdm

from harvester.actions import create_run
from harvester.clients.http import build_client
from harvester.errors import HarvesterError
from harvester.models import Run, RunStatus
from harvester.pipeline.run import STAGES, claim, harvest, sweep
from harvester.sources.text import for_terminal

_MOST = 10**9


class Bar:
    """The progress bar on standard error; silent where that is not a terminal."""

    def __init__(self) -> None:
        self._bar: tqdm[Any] | None = None

    def begin(self, stage: str, total: int | None) -> None:
        self._bar = tqdm(desc=stage, total=total, unit=" items", disable=None, file=sys.stderr, leave=False)

    def advance(self, count: int, note: str = "") -> None:
        if self._bar is not None:
            self._bar.set_postfix_str(note, refresh=False)
            self._bar.update(count)

    def end(self) -> None:
        if self._bar is not None:
            self._bar.close()


class Command(BaseCommand):
    help = "Fetch the sources and run the pipeline, in the foreground. Exit code 1 when every source failed."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--source", metavar="NAME", help="only this source, also when it is paused")
        parser.add_argument("--stage", choices=STAGES, help="only this stage")
        parser.add_argument(
            "--since", type=_moment, metavar="DATE", help="leave out what was published and last changed before (UTC)"
        )
        parser.add_argument("--limit", type=_positive, metavar="N", help="at most so many entries per source")
        parser.add_argument("--json", action="store_true", help="print the result as JSON")

    def handle(self, *_: Any, **options: Any) -> None:
        sweep()
        try:
            run = create_run(
                trigger="command",
                source=options["source"],
                stage=options["stage"],
                since=options["since"],
                limit=options["limit"],
            )
        except HarvesterError as error:
            raise CommandError(str(error), returncode=2) from error
        run_in_foreground(run)
        self.stdout.write(json.dumps(as_json(run)) if options["json"] else summary(run))
        if run.status == RunStatus.FAILED:
            sys.exit(1)


def run_in_foreground(run: Run) -> None:
    """Claim and work a run that was just created here."""
    try:
        if claim(run):
            harvest(run, build_client(), progress=Bar())
    except KeyboardInterrupt:
        raise CommandError("Interrupted. What was stored is kept; run it again to go on.", returncode=130) from None


def as_json(run: Run) -> dict[str, Any]:
    """The result for machines; every source has at least name, fetched, created, updated and errors."""
    return {
        "run_id": run.pk,
        "status": run.status,
        "duration_seconds": run.duration_seconds,
        "sources": run.source_reports,
        "stages": run.stage_reports,
    }


def summary(run: Run) -> str:
    """The result for people: a table of sources, what went wrong, and a sentence."""
    width = max([len(report["name"]) for report in run.source_reports], default=0)
    width = max(width, len("source"))
    lines = [f"{'source':<{width}}  {'fetched':>7}  {'created':>7}  {'updated':>7}  {'errors':>6}  outcome"]
    for report in run.source_reports:
        numbers = f"{report['fetched']:>7}  {report['created']:>7}  {report['updated']:>7}  {report['errors']:>6}"
        lines.append(f"{report['name']:<{width}}  {numbers}  {report['outcome']}")
        lines += [f"{'':<{width}}    {message}" for message in report["messages"]]
    if not run.source_reports:
        lines = ["No source was fetched."]
        if run.parameters.get("stage") in (None, "ingest"):
            lines.append("Add one with `manage.py source add`, or load the sample world: `manage.py sample load`.")
    stages = ", ".join(f"{report['stage']} {report['processed']}" for report in run.stage_reports)
    duration = f" in {run.duration_seconds:.1f} s" if run.duration_seconds is not None else ""
    lines.append(f"Run {run.pk} {run.status}{duration}: {stages}.")
    return for_terminal("\n".join(lines))


def _positive(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 0 < int(text[:10]) < _MOST:
        raise ArgumentTypeError(f"“{text}” is no number of entries. Write a whole number from 1 up.")
    return int(text)


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ArgumentTypeError(f"“{text}” is no date. Write 2026-03-01 or 2026-03-01T12:00Z.") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
