"""Messages over Redis and over files: they arrive, and whatever the broker does is never felt by who sends."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis

from nebula import config
from nebula.config import Settings
from nebula.domain.states import Queue
from nebula.errors import StoreUnavailable
from nebula.messages import Messages, make_celery
from tests.stores import Redis, wait_until

AT_ONCE_S = 1.0  # a call that waits for a timeout takes two seconds at the least
CHECKED_S = 3.5


@pytest.fixture
def messages(settings: Settings) -> Iterator[Messages]:
    opened = Messages(settings)
    yield opened
    opened.close()


@pytest.fixture
def own_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    """A Redis that the test may stop, pause and fill."""
    store = Redis(tmp_path_factory.mktemp("redis") / "data")
    store.start()
    yield store
    store.stop()


@pytest.fixture
def redis_settings(own_redis: Redis, tmp_path: object) -> Settings:
    return config.load({"REDIS_URL": own_redis.url, "NEBULA_DATA_DIR": f"{tmp_path}/data"})


@pytest.fixture
def over_redis(redis_settings: Settings) -> Iterator[Messages]:
    opened = Messages(redis_settings)
    yield opened
    opened.close(0.1)


def _received(settings: Settings, queue: Queue) -> list[str]:
    """Take every message of the queue, as the stores hold them; return their tasks."""
    if settings.redis_url:
        with redis.Redis.from_url(settings.redis_url) as client:
            bodies = [client.lpop(queue.value) for _ in range(client.llen(queue.value))]
    else:
        paths = list((settings.queue_dir / "messages").glob(f"*.{queue.value}.msg"))
        bodies = [path.read_bytes() for path in paths]
        for path in paths:
            path.unlink()
    return [json.loads(body)["headers"]["task"] for body in bodies]


def _takes_s(work: Callable[[], None]) -> float:
    """Return how long something takes: the shortest of three times, for a busy machine makes one long by itself."""
    times = []
    for _ in range(3):
        began = time.monotonic()
        work()
        times.append(time.monotonic() - began)
    return min(times)


def _wake_all(messages: Messages) -> None:
    for _ in range(1000):
        messages.wake(Queue.QUICK)
        messages.wake(Queue.ENCODE)


def test_wake_reaches_its_own_queue(settings: Settings, messages: Messages) -> None:
    _received(settings, Queue.QUICK)
    _received(settings, Queue.ENCODE)
    messages.wake(Queue.ENCODE)
    messages.close()
    assert _received(settings, Queue.ENCODE) == ["nebula.work"]
    assert _received(settings, Queue.QUICK) == []


def test_check_passes_where_messages_can_be_stored(messages: Messages) -> None:
    messages.check()


def test_wake_after_close_is_dropped(settings: Settings, messages: Messages) -> None:
    _received(settings, Queue.QUICK)
    messages.close()
    messages.wake(Queue.QUICK)
    assert _received(settings, Queue.QUICK) == []


def test_check_names_the_queue_when_its_directory_is_missing(tmp_path: object) -> None:
    messages = Messages(config.load({"NEBULA_DATA_DIR": f"{tmp_path}/data"}))
    messages.check()
    (config.load({"NEBULA_DATA_DIR": f"{tmp_path}/data"}).queue_dir / "messages").rmdir()
    assert _takes_s(lambda: _check_fails(messages)) < CHECKED_S
    messages.wake(Queue.QUICK)
    messages.close()


def test_files_that_a_killed_process_left_empty_do_not_end_who_receives(tmp_path: Path) -> None:
    settings = config.load({"NEBULA_DATA_DIR": f"{tmp_path}/data"})
    celery = make_celery(settings)
    (settings.queue_dir / "messages" / "0_first.quick.msg").touch()
    (settings.queue_dir / "control" / "quick.exchange").touch()
    with celery.connection_for_read() as connection, connection.SimpleQueue("quick") as queue:
        sender = Messages(settings)
        sender.wake(Queue.QUICK)
        sender.close()
        assert queue.get(timeout=10).headers["task"] == "nebula.work"


def _check_fails(messages: Messages) -> None:
    with pytest.raises(StoreUnavailable) as raised:
        messages.check()
    assert raised.value.store == "queue"


def test_wake_is_not_held_up_and_comes_through_later_when_redis_was_gone(
    own_redis: Redis, redis_settings: Settings, over_redis: Messages
) -> None:
    own_redis.stop()
    assert _takes_s(lambda: _wake_all(over_redis)) < AT_ONCE_S
    assert _takes_s(lambda: _check_fails(over_redis)) < CHECKED_S
    own_redis.start()
    over_redis.check()
    _arrives(over_redis, redis_settings)


def _arrives(messages: Messages, settings: Settings) -> None:
    def arrived() -> bool:
        messages.wake(Queue.QUICK)
        return _received(settings, Queue.QUICK) != []

    wait_until(arrived, what="a message")


def test_wake_is_not_held_up_and_comes_through_later_when_redis_hung(
    own_redis: Redis, redis_settings: Settings, over_redis: Messages
) -> None:
    _arrives(over_redis, redis_settings)  # its connection is open when Redis stops to answer
    assert own_redis.process is not None
    os.kill(own_redis.process.pid, signal.SIGSTOP)
    try:
        assert _takes_s(lambda: _wake_all(over_redis)) < AT_ONCE_S
        assert _takes_s(lambda: _check_fails(over_redis)) < CHECKED_S
    finally:
        os.kill(own_redis.process.pid, signal.SIGCONT)
    _arrives(over_redis, redis_settings)


def test_wake_is_not_held_up_and_comes_through_later_when_redis_was_full(
    own_redis: Redis, redis_settings: Settings, over_redis: Messages
) -> None:
    with redis.Redis.from_url(own_redis.url) as client:
        client.config_set("maxmemory-policy", "noeviction")
        client.config_set("maxmemory", "1")
        assert _takes_s(lambda: _wake_all(over_redis)) < AT_ONCE_S
        assert _takes_s(lambda: _check_fails(over_redis)) < CHECKED_S
        client.config_set("maxmemory", "0")
    _arrives(over_redis, redis_settings)


def test_messages_do_not_pile_up_when_nothing_leaves(own_redis: Redis, over_redis: Messages) -> None:
    own_redis.stop()
    _wake_all(over_redis)
    assert len(over_redis._pending) <= len(Queue)
