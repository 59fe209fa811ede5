"""gunicorn's configuration in the tests of draining, with a hook of the project's own."""

from typing import Any

from health.gunicorn import drain_before_stopping


def _say_so(server: Any) -> None:
    server.log.info("The hook of the configuration itself was called")


on_starting = drain_before_stopping(on_starting=_say_so)
control_socket_disable = True
