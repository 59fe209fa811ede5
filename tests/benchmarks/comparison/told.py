"""A process that does what it is told over its pipes; ``workers`` is the other end.

The standard library only, as the peers' environments have this file and none of our dependencies.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping
from typing import Any


def serve(actions: Mapping[str, Callable[..., Any]]) -> None:
    """Do what each line on standard input says, ``["action", {arguments}]``, and answer each with a line of JSON.

    Whatever else the process prints goes to standard error.
    """
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", buffering=1)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    for line in sys.stdin:
        action, arguments = json.loads(line)
        print(json.dumps(actions[action](**arguments)), file=answers)
    os._exit(0)  # some of what is measured keeps threads that would not let the process go
