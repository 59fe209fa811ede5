"""A request never waits long for the broker; whoever consumes may wait as long as he likes."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest
from kombu.exceptions import OperationalError

from harvester.actions import HARVEST_TASK
from harvester.config.celery import PUBLISH_TIMEOUT_SECONDS, HarvesterCelery
from tests import services
from tests.silence import BROKEN

ENOUGH_SECONDS = 3


def publisher(broker: str) -> HarvesterCelery:
    app = HarvesterCelery("test", broker=broker, set_as_current=False)
    app.conf.broker_pool_limit = 1
    return app


@pytest.mark.parametrize("scheme", ["redis", "amqp"])
@pytest.mark.parametrize("broken", BROKEN, ids=lambda broken: broken.__name__)
def test_a_broker_that_is_away_is_given_up_soon(broken: Callable[[], AbstractContextManager[int]], scheme: str) -> None:
    with broken() as port, publisher(f"{scheme}://127.0.0.1:{port}/0") as app:
        started = time.monotonic()
        with pytest.raises((OperationalError, OSError)):
            app.send_task(HARVEST_TASK, args=[1], retry=False)
        assert time.monotonic() - started < ENOUGH_SECONDS


def test_a_broker_that_came_back_is_used_again() -> None:
    port = services.free_port()
    with publisher(f"redis://127.0.0.1:{port}/0") as app:
        with pytest.raises(OperationalError):
            app.send_task(HARVEST_TASK, args=[1], retry=False)
        with services.redis_server(port=port):
            app.send_task(HARVEST_TASK, args=[1], retry=False)
            with app.connection_for_read() as connection:
                assert connection.default_channel.client.llen("celery") == 1


def test_who_consumes_keeps_his_patience() -> None:
    """Consuming is waiting: the short timeouts would cut the blocking read of a queue that is merely empty."""
    with publisher("redis://127.0.0.1/0") as app:
        assert app.connection_for_read().transport_options == {}
        assert app.connection_for_write().transport_options["socket_timeout"] == PUBLISH_TIMEOUT_SECONDS


def test_options_of_the_installation_are_kept() -> None:
    with publisher("redis://127.0.0.1/0") as app:
        app.conf.broker_transport_options = {"global_keyprefix": "ours:"}
        options = app.connection_for_write(transport_options={"max_connections": 3}).transport_options
    assert (options["global_keyprefix"], options["max_connections"]) == ("ours:", 3)
