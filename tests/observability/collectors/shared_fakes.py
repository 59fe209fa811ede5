"""A collector of the processes of a test: its truth and the number of its runs are files beside the metrics."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from pathlib import Path

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.core import Metric as Family

HERE = __name__
ROOM = "TEST_ROOM"


class Truth:
    """``truth`` is its value, or ``fail``; while there is ``hang`` it does not come back; ``runs`` has a line each."""

    name = "truth"

    def collect(self) -> Iterable[Family]:
        room = Path(os.environ[ROOM])
        with (room / "runs").open("a") as file:
            file.write(f"{os.getpid()}\n")
        said = (room / "truth").read_text()
        while (room / "hang").exists():
            time.sleep(0.005)
        if said == "fail":
            raise ValueError("the truth is not known")
        yield GaugeMetricFamily("test_truth", "The truth.", value=float(said))


class OwnTruth(Truth):
    """Of each process for itself."""

    is_of_this_process = True
