"""Of which versions the process is made."""

from __future__ import annotations

import platform
from collections.abc import Iterable

import django
from prometheus_client.core import Metric as Family

from observability.catalogue import Budget, Label
from observability.conf import conf
from observability.pulled import Pulled

build_details = Pulled(
    "build_details",
    "Always 1; the labels say the project's version (OBSERVABILITY_VERSION), Python's and Django's.",
    group="Processes",
    labels=tuple(Label(name, Budget(10)) for name in ("version", "python", "django")),
)


class BuildCollector:
    name = "build"

    def collect(self) -> Iterable[Family]:
        yield build_details.family({(conf.version, platform.python_version(), django.get_version()): 1.0})
