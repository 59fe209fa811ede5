"""An environment of Python with what the peers need, so that nothing of theirs gets into ours."""

from __future__ import annotations

import hashlib
import platform
import shutil
import subprocess
import sys
from pathlib import Path

from tests.installation import HOUSE

_KEPT_ENVIRONMENTS = HOUSE / "var" / "benchmarks"


def peers_python(folder: Path) -> Path:
    """The interpreter of one with the folder's requirements.txt, kept for as long as that stays as it is."""
    requirements = folder / "requirements.txt"
    version = hashlib.sha256(requirements.read_bytes() + platform.python_version().encode()).hexdigest()[:12]
    kept = _KEPT_ENVIRONMENTS / f"{folder.name}-peers-{version}"
    python = kept / "bin" / "python"
    if not (kept / "complete").exists():
        print(f"Installing the peers' requirements into {kept.relative_to(HOUSE)} …", file=sys.stderr, flush=True)
        shutil.rmtree(kept, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", kept], check=True)
        install = [str(python), "-m", "pip", "install", "-qq", "--disable-pip-version-check", "-r", str(requirements)]
        subprocess.run(install, check=True, stdout=sys.stderr)
        (kept / "complete").touch()
    return python
