"""gunicorn's configuration in the bench; HEALTH_DRAIN_SECONDS in the environment says how long it drains."""

from health.gunicorn import drain_before_stopping

on_starting = drain_before_stopping()
control_socket_disable = True
