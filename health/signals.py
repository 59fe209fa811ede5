"""What happened, for metrics and logs; sent by the engine, so checks without HTTP count too.

The law for listeners: synchronous, in memory, no I/O. Sent with ``send_robust`` always, from the check's thread: a
listener's error is logged by Django and never reaches a probe.
"""

from __future__ import annotations

from django.dispatch import Signal

#: ``component`` (ComponentHealth): a check was run to its end, or was timed out. Sender: the Engine class.
component_checked = Signal()

#: ``component`` (ComponentHealth), ``previous`` (HealthStatus, or None the first time). Sender: the Engine class.
status_changed = Signal()
