"""Chaos: switches one safeguard off, so that the harness can show that it would find the harm."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

POSITIONS = "dispatched.json"
"""In the folder in which the process runs: where `commit on dispatch` remembers what it has handed out."""


def _no_second_dispatch() -> None:
    from bridge.flights import Flight, Window

    due = Window.due

    def only_once(self: Window, now: float) -> list[Flight]:
        return [flight for flight in due(self, now) if flight.attempts == 0]

    Window.due = only_once  # type: ignore[method-assign]


def trust_the_queue() -> None:
    """The bridge never hands out again what is not counted."""
    _no_second_dispatch()


def commit_on_dispatch() -> None:
    """The bridge calls done what it has handed out, and starts after it the next time."""
    from bridge.flights import Flight
    from bridge.loop import Bridge
    from bridge.reader import Reader

    _no_second_dispatch()
    hand_out, frontiers = Bridge._hand_out, Reader.__init__
    path = Path(POSITIONS)

    def read() -> dict[str, int]:
        return json.loads(path.read_text()) if path.exists() else {}

    def hand_out_and_commit(self: Bridge, flight: Flight) -> None:
        hand_out(self, flight)
        if flight.attempts:
            done = read()
            for one in flight.ranges:
                name = f"{one.generation}/{one.partition}"
                done[name] = max(done.get(name, 0), one.next)
            path.write_text(json.dumps(done))
            self._window._flights.remove(flight)

    def starting_after_them(self: Reader, broker: str, instance: str | None, gatherer: Any, known: Any) -> None:
        def committed() -> Mapping[tuple[int, int], int]:
            done = read()
            return {place: max(at, done.get(f"{place[0]}/{place[1]}", 0)) for place, at in known().items()}

        frontiers(self, broker, instance, gatherer, committed)

    Bridge._hand_out = hand_out_and_commit  # type: ignore[method-assign]
    Reader.__init__ = starting_after_them  # type: ignore[assignment,method-assign]


def unique_ballot() -> None:
    """A ballot is stored as often as it comes. The table's primary key must be dropped as well."""
    from polling.store import counting, queries

    text = queries.query("count")
    begin, end = text.index("ON CONFLICT (poll, ballot)"), text.index("RETURNING poll, ballot, option, prev, rank")
    _count_with(counting, text[:begin] + text[end:])


def one_transaction() -> None:
    """The tallies are moved by a statement of its own, after the ballots are committed."""
    from polling.store import counting, queries

    text = queries.query("count")
    begin, end = text.index("tally AS ( UPDATE tallies t SET"), text.index("progress AS (")
    apart = (
        "tally AS (SELECT t.poll, t.revision + (s.options IS NOT NULL)::int AS revision,"
        " CASE WHEN s.options IS NULL THEN t.counts ELSE ARRAY("
        " SELECT c + coalesce(s.ns[array_position(s.options, i::int)], 0)"
        " FROM unnest(t.counts) WITH ORDINALITY AS u (c, i) ORDER BY i) END AS counts,"
        " s.open, s.options IS NOT NULL AS changed FROM seen s JOIN tallies t ON t.poll = s.poll), "
    )
    _count_with(counting, text[:begin] + apart + text[end:])
    count = counting.CountingConnection.count

    def count_then_move(self: Any, *args: Any, **kwargs: Any) -> counting.Counted:
        counted = count(self, *args, **kwargs)
        time.sleep(0.03)  # what comes between two transactions may take long
        for poll, revision, counts, _open in counted.results:
            self._connection.execute(
                "UPDATE tallies SET counts = %s, total = %s, revision = %s WHERE poll = %s",
                (list(counts), sum(counts), revision, poll),
            )
        return counted

    counting.CountingConnection.count = count_then_move  # type: ignore[method-assign]


def acks_all() -> None:
    """The door answers when one broker has the vote."""
    from polling.vote_log import config, writer

    original = config.producer_config
    unsafe = {"acks": "1", "enable.idempotence": False}
    writer.producer_config = lambda broker: original(broker) | unsafe  # type: ignore[attr-defined]


def _count_with(counting: Any, statement: str) -> None:
    counting.COUNT = statement.replace("{lock}", "SHARE")
    counting.COUNT_BESIDE_A_CLOSER = statement.replace("{lock}", "UPDATE")


SAFEGUARDS = {
    "commit-after-count": commit_on_dispatch,
    "dispatch-again": trust_the_queue,
    "unique-ballot": unique_ballot,
    "one-transaction": one_transaction,
    "acks-all": acks_all,
}


def switch_off(name: str) -> None:
    SAFEGUARDS[name]()
