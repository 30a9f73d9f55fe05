"""The embedded stack: which servers are ours, which ports they get, and what our processes are told of it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path

from polling import settings
from polling.local import ports
from polling.local.addresses import CLUSTER, HOST, Addresses, Ports, environment, write_privately
from polling.local.errors import NotOurs

_FILE = "ports.json"
_MOVABLE = {"api": ("PORT", 5000), "flower": ("FLOWER_PORT", 5555)}
_FIXED_FIRST = {"kafka": 9092, "zookeeper": 2181}
"""Promised where free, whatever was used the last time."""
_KEPT_FIRST = {"postgres": 5432, "redis": 6379}
"""Many machines have a server of their own there: once moved, better stay."""


@dataclasses.dataclass(frozen=True)
class Plan:
    """What `polling up` will start.

    `own_*`: whether the server is ours, or is named in the environment. `brokers`: of the Kafka that is ours.
    `moved`: a line for each port that is not the usual one.
    """

    own_kafka: bool
    own_postgres: bool
    own_redis: bool
    api_port: int
    flower_port: int
    server_ports: Ports
    brokers: int
    bind_address: str
    moved: tuple[str, ...]


def check(given: Mapping[str, str]) -> None:
    """Finds fault with the variables that the user gave, before anything is started.

    Raises:
        SettingError: one is malformed, or missing beside `DB_HOST`.
    """
    ours = Addresses(
        kafka=None if given.get("KAFKA_BROKER") else f"{HOST}:1",
        postgres=None if given.get("DB_HOST") else f"postgresql://u:p@{HOST}:1/d",
        redis=None if given.get("REDIS_URL") else f"redis://{HOST}:1/0",
    )
    settings.read({**given, **environment(ours)})


def make_plan(given: Mapping[str, str], data_dir: Path, cluster: bool = False) -> Plan:
    """Decides it, from the environment, from what is free, and from what was used in this data directory before.

    Raises:
        PortTaken: a port that the environment names is in use.
        NotOurs: a cluster is wanted of a Kafka that the environment names.
    """
    if cluster and given.get("KAFKA_BROKER"):
        raise NotOurs("--cluster starts brokers of its own; leave it out, or leave KAFKA_BROKER out.")
    bind = given.get("BIND_ADDRESS") or HOST
    kept = _read(data_dir / _FILE)
    own = {
        "kafka": not given.get("KAFKA_BROKER"),
        "postgres": not given.get("DB_HOST"),
        "redis": not given.get("REDIS_URL"),
    }
    fixed = _of_cluster(_FIXED_FIRST) if cluster else _FIXED_FIRST
    own |= dict.fromkeys(fixed, own["kafka"])
    chosen: dict[str, int] = {}
    moved: list[str] = []
    for name, (variable, usual) in _MOVABLE.items():
        if text := given.get(variable):
            chosen[name] = ports.asked_for(variable, text, bind if name == "api" else HOST)
        else:
            chosen[name] = ports.choose(usual, kept.get(name), taken=chosen.values())
    for name, usual in (fixed | _KEPT_FIRST).items():
        wishes = (usual, kept.get(name)) if name in fixed else (kept.get(name), usual)
        if own[name]:
            chosen[name] = ports.choose(*wishes, taken=chosen.values())
    usual_ports = {name: usual for name, (_, usual) in _MOVABLE.items()} | fixed | _KEPT_FIRST
    for name, port in chosen.items():
        asked = name in _MOVABLE and given.get(_MOVABLE[name][0])
        if port != usual_ports[name] and not asked:
            moved.append(f"port {usual_ports[name]} is taken: {name} uses {port}")
    write_privately(data_dir / _FILE, json.dumps(kept | chosen) + "\n")
    return Plan(
        own_kafka=own["kafka"],
        own_postgres=own["postgres"],
        own_redis=own["redis"],
        api_port=chosen["api"],
        flower_port=chosen["flower"],
        server_ports=Ports(
            kafka=chosen.get("kafka"),
            zookeeper=chosen.get("zookeeper"),
            postgres=chosen.get("postgres"),
            redis=chosen.get("redis"),
            more={name: port for name, port in chosen.items() if name in fixed and cluster},
        ),
        brokers=CLUSTER if cluster else 1,
        bind_address=bind,
        moved=tuple(moved),
    )


def _of_cluster(usual: Mapping[str, int]) -> dict[str, int]:
    """`kafka: 9092` → `kafka-1: 9092, kafka-2: 9093, …`."""
    return {f"{name}-{n + 1}": port + n for name, port in usual.items() for n in range(CLUSTER)}


def all_addresses(plan: Plan, own: Addresses, given: Mapping[str, str], database_url: str) -> Addresses:
    """Ours, and those that the environment names; `database_url` is what its `DB_*` variables mean together."""
    return Addresses(
        kafka=own.kafka or given.get("KAFKA_BROKER"),
        zookeeper=own.zookeeper,
        postgres=own.postgres or database_url,
        redis=own.redis or given.get("REDIS_URL"),
        api=f"http://localhost:{plan.api_port}",
        flower=f"http://localhost:{plan.flower_port}",
    )


def variables(plan: Plan, own: Addresses) -> dict[str, str]:
    """What our processes are told beyond what the user gave."""
    return {**environment(own), "PORT": str(plan.api_port), "FLOWER_PORT": str(plan.flower_port)}


def _read(path: Path) -> dict[str, int]:
    if not path.exists():
        return {}
    try:
        return {str(name): int(port) for name, port in json.loads(path.read_text(encoding="utf-8")).items()}
    except (ValueError, AttributeError, TypeError):
        # Damaged by hand or by a full disk: the ports are only wishes.
        return {}
