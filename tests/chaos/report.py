"""Chaos: a run as a table, and as JSON for the picture and for whoever wants to look closer."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

from chaos.history import longest_pause, told
from chaos.run import Outcome

SHOWN = 10


def table(outcome: Outcome) -> str:
    """What a run came to, for people."""
    operations = Counter(one.outcome for one in outcome.operations)
    kinds = Counter(one.kind for one in outcome.operations)
    faults = Counter(_kind(one.name) for one in outcome.played)
    wrong = Counter(one.name for one in outcome.violations)
    found = outcome.evidence
    known = told(outcome.operations)
    lost = wrong["lost"] + wrong["lost from the log"]
    rows = [
        ("seed", outcome.seed),
        ("brokers", outcome.brokers),
        ("minutes under faults", f"{(outcome.ended - outcome.began) / 60:.1f}"),
        ("operations", f"{len(outcome.operations)} ({_listed(kinds)})"),
        ("  ok, fail, unknown", f"{operations['ok']}, {operations['fail']}, {operations['unknown']}"),
        ("  refused", _listed(known.refused) or "none"),
        ("  sent again after healing", outcome.sent_again),
        ("faults", f"{len(outcome.played)} ({_listed(faults)})"),
        ("  not played as meant", sum(one.trouble is not None for one in outcome.played)),
        ("deaths beside those (of failpoints, or of themselves)", _listed(Counter(one.name for one in outcome.deaths))),
        ("records in the log", outcome.records),
        ("ballots counted", len(found.rows)),
        ("ballots with a rejection", len(found.rejected)),
        ("polls (final)", f"{len(found.polls)} ({sum(poll.final for poll in found.polls.values())})"),
        ("poison records, all in votes.dead", sum(found.poison.values())),
        ("frames shown, sockets opened again", f"{outcome.frames}, {outcome.reconnects}"),
        ("lost", lost),
        ("doubled", wrong["doubled"]),
        ("other violations", sum(wrong.values()) - lost - wrong["doubled"]),
        ("longest pause between two accepted votes", f"{longest_pause(outcome.operations):.1f} s"),
        ("from healing until all was sent again and counted", f"{outcome.drained_after:.1f} s"),
    ]
    width = max(len(name) for name, _ in rows)
    lines = [f"{name:<{width}}  {value}" for name, value in rows]
    for name, number in wrong.most_common():
        lines.append(f"\nVIOLATION {name}: {number}")
        lines += [f"  {one.where}" for one in outcome.violations if one.name == name][:SHOWN]
    return "\n".join(lines)


def as_json(outcome: Outcome) -> dict[str, Any]:
    """What the picture needs; times in seconds after the beginning."""
    began = outcome.began
    accepted: Counter[int] = Counter(int(one.ended - began) for one in outcome.operations if one.outcome == "ok")
    unknown: Counter[int] = Counter(int(one.ended - began) for one in outcome.operations if one.outcome == "unknown")
    return {
        "seed": outcome.seed,
        "brokers": outcome.brokers,
        "seconds": outcome.ended - began,
        "accepted": {str(second): number for second, number in sorted(accepted.items())},
        "unknown": {str(second): number for second, number in sorted(unknown.items())},
        "samples": [one._asdict() for one in outcome.samples],
        "faults": [
            {"name": one.name, "began": one.began - began, "ended": one.ended - began} for one in outcome.played
        ],
        "deaths": [{"name": one.name, "at": one.at - began, "words": one.words} for one in outcome.deaths],
        "violations": [one._asdict() for one in outcome.violations],
    }


def write(outcome: Outcome, folder: Path) -> None:
    """`chaos.json` and `chaos.txt` in the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "chaos.json").write_text(json.dumps(as_json(outcome)) + "\n", encoding="utf-8")
    (folder / "chaos.txt").write_text(table(outcome) + "\n", encoding="utf-8")


def _kind(fault: str) -> str:
    first = fault.partition(":")[0] if ":" in fault else fault.partition(" ")[0]
    return {"die": "failpoint", "clock": "clock off", "the": "leader and stopped followers"}.get(first, first)


def _listed(counter: Counter[str]) -> str:
    return ", ".join(f"{name} {number}" for name, number in counter.most_common())
