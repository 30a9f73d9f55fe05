"""Scaling on paper: what is stored, what Redis carries, and what sockets need and fill."""

from __future__ import annotations

import math
from collections.abc import Iterator

from bench import plans
from bench.costs import Costs
from bench.plans import MANY, RATES, SOCKETS
from bench.scaling_text import duration, polls_in_words, table, whole
from bench.simulation import BATCH, SLOWEST_PACE
from polling.core.polls import Results
from polling.live import channels

_DAY = 86_400
_RESULT = Results("skwnd2frbqa5c2tfkkgf", 12_345, (250_000, 250_000, 250_000, 250_000), "open", False)


def stored(costs: Costs) -> Iterator[str]:
    """What votes take on disks."""
    yield "**What is stored** (bytes measured; the memory, 64 GB, assumed)"
    yield ""
    kafka, own, plain, hmac = (
        costs.figure("bytes", name)
        for name in (
            "in Kafka, plain",
            "in PostgreSQL's table, plain",
            "in PostgreSQL's indexes, plain",
            "in PostgreSQL's indexes, HMAC",
        )
    )
    rows = [
        [
            f"{rate:,}",
            f"{3 * rate * kafka / 1e6:,.1f} MB/s",
            f"{rate * _DAY * (own + plain) / 1e12:,.2f} TB",
            duration(plans.MEMORY / (rate * hmac)),
        ]
        for rate in RATES
    ]
    head = ["votes/s", "Kafka, three copies", "PostgreSQL, a day", "HMAC ballots' index is larger than memory after"]
    yield from table(head, rows)


def told(costs: Costs) -> Iterator[str]:
    """What Redis carries."""
    size = len(channels.by_shard([_RESULT])[0][1])
    yield f"**What Redis carries, where each API process has sockets on polls of all {channels.SHARDS} channels**"
    yield f"(computed; a poll of four options has {size} bytes, and is told once for each batch that has votes for it)"
    yield ""
    rows = []
    for rate in RATES:
        for polls in (1, MANY):
            batches = max(rate / BATCH, min(rate, 1 / SLOWEST_PACE))
            changed = polls * (1 - (1 - 1 / polls) ** (rate / batches))
            messages = batches * min(changed, channels.SHARDS)
            inward = batches * changed * size
            processes = plans.plan(costs, rate, polls).api
            cells = [whole(messages), whole(batches * changed), f"{inward / 1e6:,.1f} MB/s"]
            cells += [whole(processes), f"{inward * processes * 8 / 1e9:,.2f} Gbit/s"]
            rows.append([f"{rate:,} to {polls_in_words(polls)}", *cells])
    head = ["votes/s", "messages/s", "results/s", "into Redis and each API process", "API processes", "out of Redis"]
    yield from table(head, rows)


def sockets(costs: Costs) -> Iterator[str]:
    """What sockets need."""
    yield f"**Sockets that all watch one poll, {plans.FRAMES_A_SECOND} frames a second** (computed; a frame of"
    yield f"{plans.FRAME} bytes assumed)"
    yield ""
    frames = costs.figure("fan-out", "to 10,000 sockets")
    each = min(plans.SOCKETS_A_PROCESS, frames * plans.USED / plans.FRAMES_A_SECOND)
    idle = costs.figure("idle", "memory of an idle socket")
    rows = []
    for many in SOCKETS:
        a_second = many * plans.FRAMES_A_SECOND
        processes = math.ceil(many / each)
        cells = [
            f"{many:,}",
            whole(processes),
            whole(math.ceil(many / plans.SOCKETS_A_PROCESS)),
            f"{many * idle / 1e6:,.1f} GB",
            f"{a_second / frames:,.1f}",
            f"{a_second * plans.FRAME * 8 / 1e9:,.2f} Gbit/s",
            whole(math.ceil(many / plans.GATEWAY)),
            whole(processes * plans.FRAMES_A_SECOND),
        ]
        rows.append(cells)
    head = ["sockets", "API processes", "the same, while nothing changes", "memory", "processors at full pace"]
    yield from table([*head, "network", "gateways", "Redis's deliveries/s"], rows)


def crowds(costs: Costs) -> Iterator[str]:
    """What sockets fill first."""
    yield f"**What is full first as sockets become more** (a network of {plans.NETWORK / 1e9:g} Gbit/s is assumed)"
    yield ""
    frames = costs.figure("fan-out", "to 10,000 sockets") / plans.FRAMES_A_SECOND
    limits = [
        (frames, "an API process, at full pace: then frames come less often", "computed", "more processes"),
        (plans.SOCKETS_A_PROCESS, "an API process: its own limit", "set", "more processes"),
        (plans.GATEWAY, "the gateway's connections", "set", "several, by DNS or a balancer of layer 4"),
        (
            plans.NETWORK / 8 / plans.FRAME / plans.FRAMES_A_SECOND,
            "one server's network, at full pace",
            "computed, assumed",
            "more servers, or fewer frames a second",
        ),
    ]
    rows = [[what, basis, by, whole(at)] for at, what, basis, by in sorted(limits)]
    yield from table(["what is full", "this is", "then", "at sockets"], rows, words=3)
