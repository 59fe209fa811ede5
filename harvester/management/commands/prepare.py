"""`manage.py prepare`: make an empty installation ready to be looked at; used by `make run`."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand

from harvester.models import Run, Source, User

ADMIN = "admin"


class Command(BaseCommand):
    help = "Create an admin and load the sample world where nothing is there yet, and print the addresses."

    def handle(self, *_: Any, **__: Any) -> None:
        note = self._ensure_admin()
        # A world that somebody removed is not brought back: a run was there, or other sources are.
        if not Source.objects.exists() and not Run.objects.exists():
            self.stdout.write("Loading the sample world …")
            call_command("sample", "load", stdout=self.stdout)
        address = f"http://127.0.0.1:{os.environ.get('PORT', '8000')}"
        self.stdout.write(
            f"\n  Pages     {address}/\n  API docs  {address}/api/v1/docs\n  Admin     {address}/admin/   {note}\n"
        )

    def _ensure_admin(self) -> str:
        kept = Path(settings.DATA_DIR) / "admin-password"
        if User.objects.filter(is_superuser=True).exists():
            return f"{ADMIN}, password in {_shown(kept)}" if kept.exists() else ""
        if User.objects.filter(username=ADMIN).exists():
            return f"“{ADMIN}” is no administrator; make one: python manage.py createsuperuser"
        password = _kept_password(kept)
        User.objects.create_superuser(ADMIN, password=password)
        return f"{ADMIN} / {password} (kept in {_shown(kept)})"


def _kept_password(kept: Path) -> str:
    """The file comes before the account: whoever is killed between them finds the password there the next time."""
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.touch(mode=0o600)
    password = kept.read_text(encoding="utf-8").strip()
    if not password:
        password = secrets.token_urlsafe(15)
        kept.write_text(f"{password}\n", encoding="utf-8")
    return password


def _shown(path: Path) -> str:
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
