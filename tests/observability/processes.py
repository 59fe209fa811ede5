"""Processes of a test's own that count in one folder: fresh interpreters, and forks of them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

HOUSE = Path(__file__).resolve().parents[2]
PREAMBLE = """
import os, signal, sys, threading, time
import django
django.setup()
from observability import metrics
from observability.storage import storage
"""


def environment(folder: Path, **more: str) -> dict[str, str]:
    """Of a process that counts in ``folder``."""
    return os.environ | {
        "PROMETHEUS_MULTIPROC_DIR": str(folder),
        "DJANGO_SETTINGS_MODULE": "tests.observability.settings",
        "PYTHONPATH": str(HOUSE),
        **more,
    }


def run(code: str, folder: Path, timeout: float = 60, **more: str) -> str:
    """What a fresh interpreter prints that has run ``code``; it must end well."""
    done = subprocess.run(
        [sys.executable, "-c", PREAMBLE + code],
        env=environment(folder, **more),
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
        cwd=HOUSE,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def start(code: str, folder: Path, **more: str) -> subprocess.Popen[str]:
    """One that runs ``code`` and can be talked to."""
    return subprocess.Popen(
        [sys.executable, "-c", PREAMBLE + code],
        env=environment(folder, **more),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=HOUSE,
    )
