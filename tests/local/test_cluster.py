"""The cluster: what its servers' settings say, and that a proxy can be put in front of each of their ports."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from polling import settings
from polling.local import zookeeper
from polling.local.addresses import Addresses, Ports, environment
from polling.local.brokers import make, port_names
from polling.local.guard import Guard
from polling.local.java import read_properties
from polling.local.links import Links, Ways
from polling.local.servers import Servers
from tasks.messages import make_celery

REAL = {name: 20_000 + number for number, name in enumerate(port_names(3))}
NUMBERS = (1, 2, 3)


def written(tmp_path: Path, links: Links | None = None) -> dict[str, dict[str, str]]:
    """The settings that each of a cluster's servers is given, by its name."""
    kafkas, zookeepers = make(3, tmp_path, Guard(tmp_path), [], Ways(REAL, links or Links()))
    files = {one: "server.properties" for one in kafkas} | {one: "zookeeper.properties" for one in zookeepers}
    for server in files:
        server.prepare()
    return {server.name: read_properties((server.data / name).read_text()) for server, name in files.items()}


def test_a_broker_of_a_cluster_keeps_three_copies_and_acknowledges_with_two(tmp_path: Path) -> None:
    said = written(tmp_path)
    for number in NUMBERS:
        broker = said[f"kafka-{number}"]
        assert broker["broker.id"] == str(number)
        assert broker["default.replication.factor"] == broker["offsets.topic.replication.factor"] == "3"
        assert broker["min.insync.replicas"] == "2"
        assert broker["unclean.leader.election.enable"] == "false"
        assert broker["zookeeper.session.timeout.ms"] == "6000"
        assert broker["replica.lag.time.max.ms"] == "10000"
        assert broker["inter.broker.listener.name"] == "PEER"
        client, peer = REAL[f"kafka-{number}"], REAL[f"kafka-{number}-peer"]
        assert broker["listeners"] == f"CLIENT://127.0.0.1:{client},PEER://127.0.0.1:{peer}"
        assert broker["advertised.listeners"] == broker["listeners"]
        nodes = [f"127.0.0.1:{REAL[f'zookeeper-{node}']}" for node in NUMBERS]
        assert broker["zookeeper.connect"] == ",".join(nodes)


def test_the_ensemble_is_bound_by_the_projects_zookeeper_properties(tmp_path: Path) -> None:
    said = written(tmp_path)
    for number in NUMBERS:
        node = said[f"zookeeper-{number}"]
        assert {key: node[key] for key in ("tickTime", "initLimit", "syncLimit")} == {
            key: zookeeper.settings()[key] for key in ("tickTime", "initLimit", "syncLimit")
        }
        assert node["clientPort"] == str(REAL[f"zookeeper-{number}"])
        assert (Path(node["dataDir"]) / "myid").read_text() == f"{number}\n"
        for other in NUMBERS:
            quorum, election = REAL[f"zookeeper-{other}-quorum"], REAL[f"zookeeper-{other}-election"]
            assert node[f"server.{other}"] == f"127.0.0.1:{quorum}:{election}"


def test_others_are_told_the_linked_ports_and_each_listens_on_its_real_ones(tmp_path: Path) -> None:
    links = Links(
        ports={"kafka-2": 1, "kafka-2-peer": 2, "zookeeper-1": 3, "zookeeper-1-quorum": 4, "zookeeper-1-election": 5},
        seen_by={"kafka-3": {"zookeeper-1": 6}, "zookeeper-3": {"zookeeper-1-quorum": 7}},
    )
    said = written(tmp_path, links)
    client, peer = REAL["kafka-2"], REAL["kafka-2-peer"]
    assert said["kafka-2"]["listeners"] == f"CLIENT://127.0.0.1:{client},PEER://127.0.0.1:{peer}"
    assert said["kafka-2"]["advertised.listeners"] == "CLIENT://127.0.0.1:1,PEER://127.0.0.1:2"
    assert said["kafka-1"]["zookeeper.connect"].split(",")[0] == "127.0.0.1:3"
    assert said["kafka-3"]["zookeeper.connect"].split(",")[0] == "127.0.0.1:6"
    own = (REAL["zookeeper-1-quorum"], REAL["zookeeper-1-election"])
    assert said["zookeeper-1"]["clientPort"] == str(REAL["zookeeper-1"])
    assert said["zookeeper-1"]["server.1"] == f"127.0.0.1:{own[0]}:{own[1]}"
    assert said["zookeeper-2"]["server.1"] == "127.0.0.1:4:5"
    assert said["zookeeper-3"]["server.1"] == "127.0.0.1:7:5"


def test_a_link_to_a_port_that_is_not_there_is_refused() -> None:
    with pytest.raises(ValueError, match="kafka-4"):
        Ways(REAL, Links(ports={"kafka-4": 1}))


def test_one_broker_or_three() -> None:
    with pytest.raises(ValueError, match="2 brokers"):
        port_names(2)


def test_links_are_asked_before_anything_starts_and_stand_in_the_addresses(tmp_path: Path) -> None:
    asked: list[Mapping[str, int]] = []

    def links(real: Mapping[str, int]) -> Links:
        asked.append(real)
        return Links(ports={"redis": 1})

    with Servers(tmp_path, kafka=False, postgres=False, links=links) as servers:
        assert servers.redis is not None
        assert asked == [{"redis": servers.redis.port}]
        assert servers.addresses.redis == "redis://127.0.0.1:1/0"
        assert servers.kafka is None
        assert servers.kafkas == servers.zookeepers == []


def test_wishes_for_the_ports_of_a_cluster() -> None:
    ports = Ports(redis=7, more={"kafka-2": 8, "kafka-2-peer": None})
    assert [ports.wished(name) for name in ("redis", "kafka-2", "kafka-2-peer", "kafka-3")] == [7, 8, None, None]


def test_a_cluster_asks_for_three_copies_of_votes_and_of_celerys_topics() -> None:
    brokers = "127.0.0.1:1,127.0.0.1:2,127.0.0.1:3"
    variables = environment(Addresses(kafka=brokers, postgres="postgresql://u:p@127.0.0.1:1/d"))
    assert variables["KAFKA_BROKER"] == brokers
    assert (variables["VOTES_REPLICATION"], variables["VOTES_MIN_INSYNC"]) == ("3", "2")
    options = make_celery(settings.read(variables)).conf.broker_transport_options
    assert options["replication_factor"] == 3
    assert options["topic_config"]["min.insync.replicas"] == "2"
    assert options["broadcast_config"]["min.insync.replicas"] == "2"
