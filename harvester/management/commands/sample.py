"""`manage.py sample`: load the invented world that shows every feature offline, or take it out again."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser
from datetime import UTC, datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from harvester.actions import create_run
from harvester.errors import HarvesterError
from harvester.management.commands import harvest
from harvester.models import Artifact, Run, RunStatus
from harvester.pipeline.run import ONLY_SAMPLE, sweep
from harvester.sample.loader import LoadedSample, load_sample, remove_sample


class Command(BaseCommand):
    help = "Load or remove the sample world. Exit code 1 when it cannot be harvested, 2 when nothing was changed."

    def add_arguments(self, parser: ArgumentParser) -> None:
        commands = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
        load = commands.add_parser("load", help="create its sources, dated relative to today, and harvest them")
        load.add_argument("--no-harvest", action="store_true", help="create the sources only")
        remove = commands.add_parser("remove", help="remove its sources and everything found there")
        for command in (load, remove):
            command.add_argument("--json", action="store_true", help="print the result as JSON")

    def handle(self, *_: Any, **options: Any) -> None:
        if options["action"] == "remove":
            self._remove(as_json=options["json"])
        else:
            self._load(as_json=options["json"], is_harvested=not options["no_harvest"])

    def _load(self, *, as_json: bool, is_harvested: bool) -> None:
        try:
            loaded = load_sample(anchor=datetime.now(UTC).date())
        except HarvesterError as error:
            raise CommandError(str(error), returncode=2) from error
        if not as_json:
            self.stdout.write(_sentence(loaded))
        run = _harvest() if is_harvested else None
        artifacts = Artifact.objects.filter(source__is_sample=True).count()
        if as_json:
            self.stdout.write(json.dumps(_loaded_as_json(loaded, run, artifacts)))
        elif run is None:
            self.stdout.write("Nothing was fetched. Harvest it with `manage.py harvest`.")
        else:
            self.stdout.write(harvest.summary(run))
            self.stdout.write(f"The sample world has {artifacts} artifacts. Remove it with `manage.py sample remove`.")
        if run is not None and run.status == RunStatus.FAILED:
            sys.exit(1)

    def _remove(self, *, as_json: bool) -> None:
        removed = remove_sample()
        if as_json:
            self.stdout.write(json.dumps({"sources_removed": removed.sources, "artifacts_removed": removed.artifacts}))
        elif removed.sources:
            self.stdout.write(f"Removed the sample world: {removed.sources} sources and {removed.artifacts} artifacts.")
        else:
            self.stdout.write("There is no sample world to remove.")


def _harvest() -> Run:
    sweep()
    run = create_run(trigger="command", only=ONLY_SAMPLE)
    harvest.run_in_foreground(run)
    return run


def _sentence(loaded: LoadedSample) -> str:
    days = f"the weeks before {loaded.anchor.isoformat()}"
    if loaded.created == len(loaded.sources):
        return f"Loaded the sample world: {loaded.created} sources, invented, of {days}."
    if loaded.created:
        return f"Completed the sample world of {days}: {loaded.created} sources were missing."
    return f"The sample world of {days} is loaded already and stays as it is."


def _loaded_as_json(loaded: LoadedSample, run: Run | None, artifacts: int) -> dict[str, Any]:
    return {
        "sources": list(loaded.sources),
        "created": loaded.created,
        "anchor": loaded.anchor.isoformat(),
        "artifacts": artifacts,
        "run": harvest.as_json(run) if run is not None else None,
    }
