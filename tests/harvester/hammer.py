"""Client processes that ask for one path again and again, and what they were answered.

Each is ``python -m tests.harvester.hammer URL SECONDS PAUSE``: it says that it is ready, waits for a line, asks, and
prints one JSON list of answers: sent and received (seconds of the system's monotonic clock, which processes share), the
status, and the limit that the answer named.
"""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

TIMEOUT_SECONDS = 20
_REQUESTS_A_CONNECTION = 10  # so that every worker gets its part


@dataclass(frozen=True)
class Answer:
    sent: float
    received: float
    status: int
    limit: int

    @property
    def seconds(self) -> float:
        return self.received - self.sent


class Hammering:
    """So many client processes at once. They have begun when this is made."""

    def __init__(self, url: str, *, processes: int, seconds: float, pause_seconds: float = 0.0) -> None:
        command = [sys.executable, "-m", "tests.harvester.hammer", url, str(seconds), str(pause_seconds)]
        self._seconds = seconds
        self._clients = [
            subprocess.Popen(
                command,
                cwd=Path(__file__).resolve().parents[2],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for _ in range(processes)
        ]
        for client in self._clients:
            assert client.stdout is not None
            assert client.stdout.readline() == "ready\n"
        for client in self._clients:
            assert client.stdin is not None
            client.stdin.write("go\n")
            client.stdin.flush()

    def answers(self) -> list[Answer]:
        """All of them, in the order in which they were sent."""
        printed = [client.communicate(timeout=self._seconds + 2 * TIMEOUT_SECONDS)[0] for client in self._clients]
        assert all(client.returncode == 0 for client in self._clients)
        found = [Answer(*answer) for one in printed for answer in json.loads(one)]
        return sorted(found, key=lambda answer: answer.sent)


def _hammer(url: str, seconds: float, pause_seconds: float) -> list[tuple[float, float, int, int]]:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=TIMEOUT_SECONDS)
    answers: list[tuple[float, float, int, int]] = []
    end = time.monotonic() + seconds
    while (sent := time.monotonic()) < end:
        connection.request("GET", parts.path)
        reply = connection.getresponse()
        reply.read()
        answers.append((sent, time.monotonic(), reply.status, int(reply.headers.get("X-RateLimit-Limit", 0))))
        if len(answers) % _REQUESTS_A_CONNECTION == 0:
            connection.close()
        time.sleep(pause_seconds)
    return answers


if __name__ == "__main__":
    print("ready", flush=True)
    sys.stdin.readline()
    print(json.dumps(_hammer(sys.argv[1], float(sys.argv[2]), float(sys.argv[3]))))
