"""Worker processes: each is told over a pipe what to do, so that several environments can take turns."""

from __future__ import annotations

import contextlib
import json
import subprocess
import tempfile
from typing import Any

from tests.installation import HOUSE


class WorkerFailedError(Exception):
    """It ended, with what it last wrote to standard error."""


class Worker:
    """A running process; ``ask`` it for something, or ``tell`` several and then ``hear`` each."""

    def __init__(self, command: list[str], environment: dict[str, str]) -> None:
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 - it is closed in end
        self._process = subprocess.Popen(
            command,
            cwd=HOUSE,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
        )

    @property
    def pid(self) -> int:
        return self._process.pid

    def ask(self, action: str, **arguments: Any) -> Any:
        self.tell(action, **arguments)
        return self.hear()

    def tell(self, action: str, **arguments: Any) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # hearing nothing tells why
            self._process.stdin.write(json.dumps([action, arguments]) + "\n")
            self._process.stdin.flush()

    def hear(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._errors.seek(0)
            raise WorkerFailedError(self._errors.read()[-2000:])
        return json.loads(line)

    def end(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.kill()
        self._process.wait(10)
        for stream in (self._process.stdin, self._process.stdout, self._errors):
            with contextlib.suppress(BrokenPipeError):  # a line it never read
                stream.close()
