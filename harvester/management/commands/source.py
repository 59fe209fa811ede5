"""`manage.py source`: add, list, change, pause, resume, check and remove the places that are watched."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from harvester import actions
from harvester.clients.http import build_client
from harvester.errors import FetchError, HarvesterError
from harvester.models import Source, SourceKind
from harvester.queries.sources import source_named, sources
from harvester.sources.text import for_terminal


class Command(BaseCommand):
    help = "Manage the sources. Every action takes --json; exit code 2 means that nothing was changed."

    def add_arguments(self, parser: ArgumentParser) -> None:
        commands = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
        add = commands.add_parser("add", help="begin to watch a place")
        add.add_argument("kind", metavar="KIND", help=", ".join(SourceKind.values))
        add.add_argument("--name", required=True)
        add.add_argument("--url", default="", help="a feed's address; for other kinds replaces the service's own")
        add.add_argument("--query", default="", help="what to ask the service for, such as cat:cs.LG")
        edit = commands.add_parser("edit", help="change its address or query; it is then read from the beginning")
        edit.add_argument("name", metavar="NAME")
        edit.add_argument("--url")
        edit.add_argument("--query")
        listing = commands.add_parser("list", help="all of them, with state and counts")
        named = [
            commands.add_parser("pause", help="leave it out of general and scheduled harvests"),
            commands.add_parser("resume", help="watch it again"),
            commands.add_parser("remove", help="remove it and the artifacts found there"),
            commands.add_parser("check", help="fetch a little of it now and store nothing"),
        ]
        for command in named:
            command.add_argument("name", metavar="NAME")
        for command in (add, edit, listing, *named):
            command.add_argument("--json", action="store_true", help="print the result as JSON")

    def handle(self, *_: Any, **options: Any) -> None:
        act = getattr(self, f"_{options['action']}")
        try:
            sentence, data = act(options)
        except FetchError as error:
            raise CommandError(for_terminal(error.detail), returncode=1) from error
        except HarvesterError as error:
            raise CommandError(str(error), returncode=2) from error
        self.stdout.write(json.dumps(data) if options["json"] else for_terminal(sentence))

    def _add(self, options: dict[str, Any]) -> tuple[str, Any]:
        source = actions.add_source(
            kind=options["kind"], name=options["name"], url=options["url"], query=options["query"]
        )
        return f"Added “{source.name}”. Fetch it with `manage.py harvest --source '{source.name}'`.", _as_json(source)

    def _edit(self, options: dict[str, Any]) -> tuple[str, Any]:
        if options["url"] is None and options["query"] is None:
            raise CommandError("Say what to change: --url or --query.", returncode=2)
        source = actions.edit_source(source_named(options["name"]), url=options["url"], query=options["query"])
        return f"Changed “{source.name}”. It will be read from the beginning.", _as_json(source)

    def _list(self, _: dict[str, Any]) -> tuple[str, Any]:
        listed = list(sources())
        if not listed:
            return "No sources yet. Add one with `manage.py source add`.", []
        width = max(len(source.name) for source in listed)
        lines = [f"{'name':<{width}}  {'kind':<6}  {'state':<8}  {'artifacts':>9}  next fetch (UTC)   last failure"]
        lines += [
            f"{source.name:<{width}}  {source.kind:<6}  {source.state_word:<8}  {source.artifact_count:>9}  "
            f"{source.next_fetch_at:%Y-%m-%d %H:%M}   {source.failure_detail}".rstrip()
            for source in listed
        ]
        return "\n".join(lines), [_as_json(source) | {"artifacts": source.artifact_count} for source in listed]

    def _pause(self, options: dict[str, Any]) -> tuple[str, Any]:
        source = source_named(options["name"])
        actions.pause_source(source)
        return f"Paused “{source.name}”.", _as_json(source)

    def _resume(self, options: dict[str, Any]) -> tuple[str, Any]:
        source = source_named(options["name"])
        actions.resume_source(source)
        return f"Resumed “{source.name}”.", _as_json(source)

    def _remove(self, options: dict[str, Any]) -> tuple[str, Any]:
        source = source_named(options["name"])
        name, count = source.name, actions.remove_source(source)
        return f"Removed “{name}” and {count} artifacts.", {"name": name, "artifacts_removed": count}

    def _check(self, options: dict[str, Any]) -> tuple[str, Any]:
        source = source_named(options["name"])
        titles = actions.check_source(source, build_client())
        found = "\n".join(f"  {title}" for title in titles) or "  (no entries)"
        return f"“{source.name}” answers. Newest entries:\n{found}", {"name": source.name, "titles": titles}


def _as_json(source: Source) -> dict[str, Any]:
    return {
        "name": source.name,
        "kind": source.kind,
        "url": source.url,
        "query": source.query,
        "state": source.state,
        "next_fetch_at": source.next_fetch_at.isoformat(),
        "last_success_at": source.last_success_at.isoformat() if source.last_success_at else None,
        "consecutive_failures": source.consecutive_failures,
        "failure_reason": source.failure_reason,
        "failure_detail": source.failure_detail,
    }
