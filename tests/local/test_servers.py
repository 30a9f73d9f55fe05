"""The embedded servers: real ones, stopped, killed and started again on the same port and data."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import redis
from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from polling.local.errors import AlreadyRunning, ServerFailed
from polling.local.server import Server
from polling.local.servers import Servers

from .helpers import runs, until

QUIET = {"log_level": 0}


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    with Servers(tmp_path_factory.mktemp("servers")) as running:
        yield running


def _write_and_wait(broker: str, value: bytes) -> None:
    failed: list[KafkaError | None] = []
    producer = Producer({"bootstrap.servers": broker, "acks": "all", **QUIET})
    producer.produce("kept", value, on_delivery=lambda error, _: failed.append(error))
    assert producer.flush(30) == 0
    assert failed == [None]


def _read_all(broker: str) -> list[bytes | None]:
    consumer = Consumer({"bootstrap.servers": broker, "group.id": "reader", "enable.auto.commit": False, **QUIET})
    try:
        consumer.assign([TopicPartition("kept", 0, 0)])
        _, end = consumer.get_watermark_offsets(TopicPartition("kept", 0), timeout=30)
        return [message.value() for message in consumer.consume(end, timeout=30)]
    finally:
        consumer.close()


def test_kafka_keeps_its_log_over_kill_9_and_makes_no_topic_by_itself(servers: Servers) -> None:
    kafka, broker = servers.kafka, servers.addresses.kafka
    assert kafka is not None
    assert broker == f"127.0.0.1:{kafka.port}"
    admin = AdminClient({"bootstrap.servers": broker, **QUIET})
    for future in admin.create_topics([NewTopic("kept", 1, 1)]).values():
        future.result(30)
    assert admin.list_topics("never-made", timeout=30).topics["never-made"].error is not None
    assert "never-made" not in admin.list_topics(timeout=30).topics
    _write_and_wait(broker, b"before")
    before = kafka.pid

    kafka.kill()
    assert not kafka.alive()
    # Its former self is still registered in ZooKeeper: the first attempts end with NodeExists.
    kafka.start()

    assert kafka.pid != before
    _write_and_wait(broker, b"after")
    assert _read_all(broker) == [b"before", b"after"]


def test_postgres_keeps_what_was_committed_over_kill_9(servers: Servers) -> None:
    url, postgres = servers.addresses.postgres, servers.postgres
    assert url is not None
    assert postgres is not None
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE kept (value int)")
        connection.execute("INSERT INTO kept VALUES (1)")
    postgres.kill()
    postgres.start()
    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT value FROM kept").fetchall() == [(1,)]
        names = ("server_version_num", "max_connections", "shared_buffers", "synchronous_commit", "listen_addresses")
        settings = [connection.execute("SELECT current_setting(%s)", [name]).fetchone() for name in names]
    assert settings[0] is not None
    assert str(settings[0][0]).startswith("18")
    assert settings[1:] == [("200",), ("256MB",), ("on",), ("127.0.0.1",)]


def test_postgres_wants_the_password(servers: Servers) -> None:
    url = servers.addresses.postgres
    assert url is not None
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(url.replace(":", ":x", 2).replace("postgresql:x", "postgresql:"))


def test_postgres_never_runs_as_root(servers: Servers) -> None:
    assert servers.postgres is not None
    owner = Path(f"/proc/{servers.postgres.pid}").stat().st_uid
    assert owner != 0
    assert servers.postgres.data.stat().st_uid == owner
    if os.geteuid() != 0:
        assert owner == os.geteuid()


def test_valkey_and_zookeeper_come_back_on_their_ports(servers: Servers) -> None:
    assert servers.redis is not None
    assert servers.zookeeper is not None
    for server in (servers.redis, servers.zookeeper):
        port = server.port
        server.stop()
        assert not server.alive()
        server.start()
        assert server.port == port
    assert servers.addresses.redis is not None
    with redis.Redis.from_url(servers.addresses.redis) as client:
        assert client.ping()


def test_everything_listens_on_the_loopback_alone(servers: Servers) -> None:
    for server in servers.all:
        with socket.socket() as outside, pytest.raises(ConnectionRefusedError):
            # All of 127/8 is this machine, but only who listens on every address answers here.
            outside.connect(("127.0.0.2", server.port))


def test_a_data_directory_has_one_user(servers: Servers) -> None:
    with pytest.raises(AlreadyRunning, match=str(os.getpid())):
        Servers(servers.data_dir, kafka=False, postgres=False).start()
    assert all(server.alive() for server in servers.all)


def test_data_and_password_are_found_again_by_the_next_start(tmp_path: Path) -> None:
    wanted = {"kafka": False, "redis": False}
    with Servers(tmp_path, **wanted) as first:
        assert first.addresses.postgres is not None
        assert first.postgres is not None
        pid = first.postgres.pid
        assert (tmp_path / "password").stat().st_mode & 0o777 == 0o600
        with psycopg.connect(first.addresses.postgres) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 1 AS value")
    assert pid is not None
    assert not runs(pid)
    with Servers(tmp_path, **wanted) as second:
        assert second.addresses.postgres is not None
        with psycopg.connect(second.addresses.postgres) as connection:
            assert connection.execute("SELECT value FROM kept").fetchone() == (1,)


@pytest.mark.parametrize("mounted", [False, True])
def test_an_empty_directory_that_is_there_before_takes_the_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mounted: bool
) -> None:
    """A disk of its own, which nothing may be moved onto, but into; the second start finds the database there."""
    data = tmp_path.resolve() / "postgres"
    data.mkdir(mode=0o755)
    monkeypatch.setattr(Path, "is_mount", lambda path: mounted and path == data)
    number = data.stat().st_ino
    if mounted:
        # What a start that was interrupted left behind.
        (data / "base").mkdir()
        (data / "base/half").touch()
    for _ in range(2):
        with Servers(tmp_path, kafka=False, redis=False) as servers:
            assert servers.addresses.postgres is not None
            with psycopg.connect(servers.addresses.postgres) as connection:
                connection.execute("CREATE TABLE IF NOT EXISTS kept ()")
    assert (data.stat().st_ino == number) == mounted
    assert not (data / "base/half").exists()


def test_a_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    servers = Servers(tmp_path, kafka=False, redis=False)
    with servers:
        assert servers.postgres is not None
        servers.postgres.stop()
        with socket.create_server(("127.0.0.1", servers.postgres.port)):
            servers.postgres.start_limit = 1.0
            wanted = r"postgres ended with code 1: .*FATAL: .*could not create any TCP/IP sockets"
            # The limit may be over in the middle of an attempt: then it did not answer, which is as true.
            until(lambda: re.search(wanted, _failure(servers.postgres)), "it says why")


def _failure(server: Server | None) -> str:
    """Why it cannot start."""
    assert server is not None
    with pytest.raises(ServerFailed) as caught:
        server.start()
    return str(caught.value)
