#!/usr/bin/env python
"""The operator's entry point: `python manage.py help`."""

from __future__ import annotations

import os
import sys


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "harvester.config.settings")
    if sys.argv[1:2] == ["harvest"]:  # the worker's work: it counts with it, and stands on its page
        from harvester.config.env import Environment
        from harvester.config.metrics_folder import join_metrics

        join_metrics("worker", Environment.of_process())
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
