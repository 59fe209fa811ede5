"""A request never waits long for the broker; whoever consumes may wait as long as he likes."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from kombu.exceptions import OperationalError

from harvester.actions import HARVEST_TASK
from harvester.config.broker import celery_broker
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


def test_redis_behind_a_socket_file_is_a_broker_too(tmp_path: Path) -> None:
    socket = tmp_path / "redis.sock"
    with (
        services.redis_server(None, "--unixsocket", str(socket)),
        publisher(celery_broker(f"unix://{socket}?db=2")) as app,
    ):
        app.send_task(HARVEST_TASK, args=[1], retry=False)
        with app.connection_for_read() as connection:
            client = connection.default_channel.client
            assert (client.llen("celery"), client.connection_pool.connection_kwargs["db"]) == (1, 2)


@pytest.mark.parametrize("url", ["redis://host/0", "amqps://host//", "filesystem://"])
def test_every_other_broker_is_named_as_written(url: str) -> None:
    assert celery_broker(url) == url


def test_a_password_is_handed_on() -> None:
    assert celery_broker("unix://:a%2Fb@/run/r.sock") == "redis+socket://:a%2Fb@/run/r.sock?virtual_host=0"


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
