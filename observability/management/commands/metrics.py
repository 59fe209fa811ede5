"""`manage.py metrics`: the catalogue for people and for programs, its reference page, and the numbers themselves."""

from __future__ import annotations

import json
import os
import re
import sys
from argparse import ArgumentParser
from collections.abc import Iterable
from contextlib import suppress
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from observability.catalogue import catalogue
from observability.collectors import read_collected
from observability.conf import conf
from observability.exposition import render
from observability.live import full_name
from observability.reference import as_data, lines, load_catalogue, page
from observability.storage import VARIABLE, storage


class Command(BaseCommand):
    help = (
        "Show every metric: its type, its labels with the values they may have, and what it means. Exit codes: 0 done; "
        "1 the file of --check is not what --markdown prints, or something else is wrong."
    )
    requires_system_checks = ()  # what is declared is worth seeing in a project that is not well too

    def add_arguments(self, parser: ArgumentParser) -> None:
        form = parser.add_mutually_exclusive_group()
        form.add_argument("--markdown", action="store_true", help="print the reference page")
        form.add_argument("--check", metavar="FILE", help="fail where FILE is not what --markdown prints")
        form.add_argument("--json", action="store_true", help="print the catalogue as JSON")
        form.add_argument(
            "--values", nargs="*", metavar="NAME", help="print the numbers now, of these metrics or of all"
        )
        parser.add_argument("--appendix", metavar="FILE", help="end the reference page with this piece of Markdown")

    def handle(self, *_: Any, **options: Any) -> None:
        load_catalogue()
        if options["appendix"] and not (options["markdown"] or options["check"]):
            raise CommandError("--appendix goes with --markdown or --check.")
        if options["check"]:
            self._check(options["check"], _page(options["appendix"]))
        elif options["markdown"]:
            self._write([_page(options["appendix"])])
        elif options["json"]:
            self._write([json.dumps(as_data(catalogue()), indent=2)])
        elif options["values"] is not None:
            self._values(options["values"])
        else:
            self._write(lines(catalogue()))

    def run_from_argv(self, argv: list[str]) -> None:
        try:
            super().run_from_argv(argv)
        finally:
            _let_go_of_what_nobody_reads()

    def _check(self, name: str, wanted: str) -> None:
        found = _read(name, "--check")
        if found == wanted:
            self._write([f"{name} is what `metrics --markdown` prints."])
            return
        raise CommandError(
            f"{name} is stale: {_first_difference(found, wanted)}\n"
            f"Make it anew: python manage.py metrics --markdown > {name} (with the --appendix you check it with)."
        )

    def _values(self, names: list[str]) -> None:
        read_collected(conf.collect_timeout_seconds)  # a scrape waits less, since it is followed by others
        text = render("", names).body.decode()
        there_are = {*_names_in(text), *(full_name(metric.name) for metric in catalogue())}
        for name in names:
            if name not in there_are:
                raise CommandError(f"There is no metric {name!r}. {_meant_by(name, there_are)}")
        if not storage.is_shared:
            self.stderr.write(f"{VARIABLE} is not set: what this shows was counted by this command itself.")
        self._write([text])

    def _write(self, texts: Iterable[str]) -> None:
        try:
            for text in texts:
                self.stdout.write(text.removesuffix("\n"))
            self.stdout.flush()
        except BrokenPipeError:
            pass  # whoever reads has seen enough
        except UnicodeEncodeError as error:
            raise CommandError(
                f"Standard output is {error.encoding}, which cannot write it all: set PYTHONIOENCODING=utf-8."
            ) from None
        except (OSError, ValueError, AttributeError) as error:  # full; closed; closed before Python began
            reason = getattr(error, "strerror", None) or "it is closed"
            raise CommandError(f"Standard output cannot be written: {reason}.") from None


def _names_in(text: str) -> set[str]:
    """Of the families and of their samples."""
    return {line.split()[2] if line.startswith("#") else re.split("[{ ]", line)[0] for line in text.splitlines()}


def _meant_by(name: str, there_are: Iterable[str]) -> str:
    alike = get_close_matches(name, there_are, n=1)
    return f"Did you mean {alike[0]}?" if alike else "`manage.py metrics` shows all there are."


def _page(appendix: str | None) -> str:
    return page(catalogue(), _read(appendix, "--appendix") if appendix else "")


def _read(name: str, option: str) -> str:
    try:
        return Path(name).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:  # ValueError: not UTF-8, or a null in its name
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise CommandError(f"{option} cannot read {name!r}: {reason}.") from None


def _first_difference(found: str, wanted: str) -> str:
    ours, theirs = wanted.splitlines(), found.splitlines()
    for number, (line, other) in enumerate(zip(ours, theirs, strict=False), start=1):
        if line != other:
            return f"line {number} should be\n  {line}\nand is\n  {other}"
    return f"it has {len(theirs):,} lines instead of {len(ours):,}, or ends otherwise."


def _let_go_of_what_nobody_reads() -> None:
    """Python would try again to write it at its end, and end with 120 (docs.python.org, “Note on SIGPIPE”)."""
    try:
        sys.stdout.flush()
    except (OSError, ValueError, AttributeError):  # broken or full; closed; closed before Python began
        with suppress(OSError, ValueError, AttributeError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
