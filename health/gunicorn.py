"""What gunicorn lacks: on SIGTERM it says that it is not ready, goes on serving for a while, and only then stops.

In ``gunicorn.conf.py``::

    from health.gunicorn import drain_before_stopping

    on_starting = drain_before_stopping()

gunicorn itself closes its listener at once, while Kubernetes goes on sending new connections until every proxy has
heard that the pod is ending. How long to drain says HEALTH_DRAIN_SECONDS in the environment, 10 by default; 0 is
gunicorn's own behaviour. Drain and ``graceful_timeout`` together must stay below ``terminationGracePeriodSeconds``
of the pod, which HEALTH_TERMINATION_GRACE_SECONDS in the environment repeats (30 by default, as in Kubernetes): else a
warning in gunicorn's log says so when it starts. gunicorn reads its configuration before ``--chdir``: start it in the
project's folder, or name that in PYTHONPATH.

Under another server (a bare uvicorn) nothing drains: give the container a ``preStop`` hook that sleeps as long instead.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Mapping
from math import isfinite
from types import FrameType
from typing import Any, Protocol, TypeAlias

from health.errors import HealthError
from health.lifecycle import lifecycle

DRAIN, GRACE = "HEALTH_DRAIN_SECONDS", "HEALTH_TERMINATION_GRACE_SECONDS"
VARIABLES = (DRAIN, GRACE)
"""Of the environment; no settings of Django's, which gunicorn's own process need not have read."""

DEFAULT_SECONDS = 10.0
DEFAULT_GRACE_SECONDS = 30.0  # Kubernetes' own


class Arbiter(Protocol):
    """What is used of gunicorn's arbiter, the process that starts, watches and stops the workers."""

    cfg: Any
    log: Any
    master_pid: int  # of the arbiter that this one is to replace (SIGUSR2), else 0
    reexec_pid: int  # of the arbiter that is to replace this one, else 0

    def handle_term(self) -> None: ...

    def signal(self, sig: int, frame: FrameType | None) -> None: ...


Hook: TypeAlias = Callable[[Arbiter], object]


def drain_before_stopping(
    *, seconds: float | None = None, grace_seconds: float | None = None, on_starting: Hook | None = None
) -> Callable[[Arbiter], None]:
    """The ``on_starting`` of a gunicorn configuration; one of your own is called first.

    A second SIGTERM ends the drain, SIGINT and SIGQUIT stop at once as ever. Read when gunicorn starts, not again on
    SIGHUP. HealthError says that ``seconds`` or ``grace_seconds``, or what the environment has in their place, is no
    number of seconds.
    """
    wanted = drain_seconds(os.environ) if seconds is None else _seconds(DRAIN, seconds)
    granted = _grace_seconds(os.environ) if grace_seconds is None else _seconds(GRACE, grace_seconds)

    def drain_on_sigterm(server: Arbiter) -> None:
        if on_starting is not None:
            on_starting(server)
        if wanted > 0:
            _warn_of_a_kill(server, wanted, granted)
            _Drain(server, wanted).stand_before_stopping()

    return drain_on_sigterm


def drain_seconds(environment: Mapping[str, str]) -> float:
    """HEALTH_DRAIN_SECONDS, else the default; HealthError when it is no number of seconds."""
    return _seconds(DRAIN, environment.get(DRAIN, "").strip() or DEFAULT_SECONDS)


def _grace_seconds(environment: Mapping[str, str]) -> float:
    return _seconds(GRACE, environment.get(GRACE, "").strip() or DEFAULT_GRACE_SECONDS)


def _seconds(name: str, value: str | float) -> float:
    try:
        number = float(value)
    except ValueError:
        number = -1
    if not (isfinite(number) and number >= 0):
        raise HealthError(f"{name} must be a number of seconds, 0 or more, not {value!r}.")
    return number


def _warn_of_a_kill(server: Arbiter, drained: float, granted: float) -> None:
    finishing = server.cfg.graceful_timeout
    if drained + finishing >= granted:
        server.log.warning(
            "A pod is killed %g s after it was told to stop, but it drains for %g s (%s) and has up to %g s for what "
            "is in flight (graceful_timeout): lower one of them, or raise terminationGracePeriodSeconds and say so in "
            "%s",
            granted,
            drained,
            DRAIN,
            finishing,
            GRACE,
        )


class _Drain:
    """Stands where the arbiter's ``handle_term`` stood.

    The arbiter is never kept from its work: its main loop calls ``handle_<name>`` for each signal it has got, so the
    drain begins at one signal and ends at another, the alarm. An alarm and not a thread, because the arbiter forks; the
    workers do not inherit it.
    """

    def __init__(self, server: Arbiter, seconds: float) -> None:
        self._server = server
        self._seconds = seconds
        self._stop = server.handle_term
        self._is_draining = False

    def stand_before_stopping(self) -> None:
        vars(self._server).update(handle_term=self._begin, handle_alrm=self._end)

    def _begin(self) -> None:
        if self._is_draining:
            self._end()
        elif self._is_relieved:
            self._stop()
        else:
            self._is_draining = True
            lifecycle.drain()
            signal.signal(signal.SIGALRM, self._server.signal)
            signal.setitimer(signal.ITIMER_REAL, self._seconds)
            self._server.log.info(
                "Draining: not ready, but serving for %g s more, then up to %g s for what is in flight",
                self._seconds,
                self._server.cfg.graceful_timeout,
            )

    def _end(self) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        self._server.log.info("Drained: stopping")
        self._stop()

    @property
    def _is_relieved(self) -> bool:
        """Another arbiter accepts on the same sockets (SIGUSR2): no request fails, and only one would be ready."""
        server = self._server
        # The first process of a container has the parent 0, which is also what “no predecessor” is written as.
        is_predecessor_alive = server.master_pid != 0 and server.master_pid == os.getppid()
        return server.reexec_pid != 0 or is_predecessor_alive
