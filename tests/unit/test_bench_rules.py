"""The unit tests: what the benchmark works out by itself: goals, frames, delays, and what must be counted."""

from __future__ import annotations

import struct

import pytest

from bench import wire
from bench.growth import Point
from bench.http_accept import OPTIONS
from bench.parts import PARTS, Sizes
from bench.producing import CHANGES, Electorate
from bench.report import Figure, Goal, percentile
from bench.results import merge
from bench.soak import memory_figures
from bench.statements import statement
from bench.steady import _is_whole, _vote_id
from bench.system import BenchError
from bench.watching import delays_of
from polling.core.votes import Covered
from websocket import frames


@pytest.mark.parametrize(
    ("goal", "value", "limit", "reached"),
    [
        (Goal(ratio=0.9), 90, 100, True),
        (Goal(ratio=0.9), 89, 100, False),
        (Goal(ratio=0.5, value=60), 59, 100, False),
        (Goal(ratio=0.7, value=60), 65, 100, False),
        (Goal(ratio=0.5, value=60), 60, 100, True),
        (Goal(value=12, most=True), 12, None, True),
        (Goal(value=12, most=True), 12.1, None, False),
        (Goal(ratio=1.2, most=True), 121, 100, False),
        (Goal(ratio=1.2, most=True), 40, 100, True),
    ],
)
def test_a_goal_is_reached_where_all_of_it_is(goal: Goal, value: float, limit: float | None, reached: bool) -> None:
    assert Figure("f", value, "votes/s", limit, goal=goal).reached is reached


def test_a_figure_without_a_goal_or_a_limit_has_neither_verdict_nor_ratio() -> None:
    figure = Figure("f", 5, "s")
    assert (figure.ratio, figure.reached, figure.document()["must"]) == (None, None, None)


def test_a_goal_says_in_words_what_it_wants() -> None:
    assert Goal(ratio=0.5, value=60_000).text("votes/s") == "≥ 0.50, ≥ 60,000 votes/s"
    assert Goal(value=300, most=True).text("ms") == "≤ 300 ms"


def test_a_percentile_is_one_of_the_values() -> None:
    values = list(range(100, 0, -1))
    assert [percentile(values, share) for share in (0, 0.5, 0.99, 1)] == [1, 51, 100, 100]


@pytest.mark.parametrize("size", [0, 1, 125, 126, 300, 65_535])
def test_a_masked_frame_holds_its_text(size: int) -> None:
    payload = bytes(range(32, 127)) * (size // 95 + 1)
    frame = wire.masked(payload[:size])
    head = 2 if size < 126 else 4
    assert frame[0] == 0x81
    assert frame[1] & 0x80
    mask, rest = frame[head : head + 4], frame[head + 4 :]
    assert bytes(byte ^ mask[at % 4] for at, byte in enumerate(rest)) == payload[:size]


@pytest.mark.parametrize("cut", range(0, 70_400, 1009))
def test_texts_are_read_wherever_the_bytes_are_cut(cut: int) -> None:
    payloads = [b"", b'{"ref":1}', b"x" * 125, b"y" * 200, b"z" * 70_000]
    stream = b"".join([frames.text(payloads[0]), frames.PING, *map(frames.text, payloads[1:])])
    first, rest = wire.texts(stream[:cut])
    second, rest = wire.texts(rest + stream[cut:])
    assert first + second == payloads
    assert rest == b""


def test_the_ping_that_readers_look_for_is_the_servers() -> None:
    assert wire.PING == frames.PING
    opcode, length, mask = struct.unpack("!BBI", wire.PONG)
    assert (opcode, length, mask) == (0x8A, 0x80, 0)


def test_an_answer_is_whole_when_all_of_its_body_is_there() -> None:
    answer = b'HTTP/1.1 202 Accepted\r\nContent-Length: 46\r\n\r\n{"vote_id":"' + b"A" * 32 + b'"}'
    assert _is_whole(answer)
    assert _vote_id(answer) == "A" * 32
    assert not any(_is_whole(answer[:cut]) for cut in range(1, len(answer)))
    with pytest.raises(SystemExit):
        _is_whole(b"")


@pytest.mark.parametrize("wrong", [(b"202 Accepted", b"503 Unavailable"), (b"vote_id", b"another")])
def test_an_answer_that_accepts_nothing_is_an_error(wrong: tuple[bytes, bytes]) -> None:
    answer = b'HTTP/1.1 202 Accepted\r\n\r\n{"vote_id":"' + b"A" * 32 + b'"}'
    with pytest.raises(SystemExit):
        _vote_id(answer.replace(*wrong))


@pytest.mark.parametrize("changing", [False, True])
def test_an_electorate_says_what_its_votes_must_come_to(changing: bool) -> None:
    votes, polls = 5000, 7
    electorate = Electorate(polls, changing, votes)
    last: dict[int, tuple[int, int]] = {}
    for _ in range(votes):
        voter, poll, option = electorate.next()
        assert last.get(voter, (poll, 0))[0] == poll, "a voter has one poll"
        assert last.get(voter, (poll, 0))[1] != option, "who votes again wants another option"
        last[voter] = poll, option
    assert len(last) == (votes - votes // CHANGES if changing else votes)
    assert {poll for poll, _ in last.values()} == set(range(polls))
    counts = [sum(option == number for _, option in last.values()) for number in range(1, len(OPTIONS) + 1)]
    assert electorate.counts == counts


def test_delays_end_at_the_first_word_of_a_vote() -> None:
    """The second notification repeats the first; the first frame holds the first batch alone."""
    first, second = [Covered(1, 0, 0, 5)], [Covered(1, 0, 5, 9), Covered(1, 3, 2, 4)]
    notes = [(10.0, first), (11.0, first), (12.0, second)]
    shown_at = [(9.0, 0), (10.5, 2), (13.0, 4)]
    places = {b"a": (1, 0, 0), b"b": (1, 0, 4), b"c": (1, 0, 5), b"d": (1, 3, 3)}
    counted, shown = delays_of({b"a": 9.5, b"b": 9.75, b"d": 11.0}, places, notes, shown_at)
    assert counted == [0.5, 0.25, 1.0]
    assert shown == [1.0, 0.75, 2.0]


@pytest.mark.parametrize("place", [(1, 0, 5), (1, 1, 0), (2, 0, 0)])
def test_a_vote_of_which_nothing_was_heard_is_an_error(place: tuple[int, int, int]) -> None:
    with pytest.raises(BenchError):
        delays_of({}, {b"a": place}, [(1.0, [Covered(1, 0, 0, 5)])], [(2.0, 1)])


def test_a_vote_without_a_ballot_is_an_error() -> None:
    with pytest.raises(BenchError):
        delays_of({b"a": 1.0}, {}, [], [])


def test_memory_that_grows_is_not_flat() -> None:
    samples = [{"api": 50.0, "worker": 40.0 + number, "small": 1.0} for number in range(50)]
    found = {figure.name: figure for figure in memory_figures(samples)}
    assert set(found) == {"memory of api", "memory of worker"}
    assert found["memory of api"].reached
    assert found["memory of worker"].reached is False
    assert (found["memory of worker"].value, found["memory of worker"].limit) == (84.5, 54.5)


def test_of_a_part_that_is_measured_twice_the_last_counts() -> None:
    def run(at: str, *parts: str) -> dict[str, object]:
        return {"measured_at": at, "parts": [{"part": part, "name": f"{part} {at}"} for part in parts]}

    found = merge([run("2025", "log", "http"), run("2026", "log")], ["http", "log", "soak"])
    assert {name: part["name"] for name, part in found.parts.items()} == {"http": "http 2025", "log": "log 2026"}
    assert [one["measured_at"] for one in found.runs()] == ["2025", "2026"]


def test_every_part_of_the_issue_is_there_and_sizes_are_two() -> None:
    wanted = {
        "http",
        "http-all",
        "sockets",
        "batch",
        "read",
        "log",
        "log-hmac",
        "stored",
        "stored-hmac",
        "latency",
        "hot-row",
    }
    wanted |= {
        "fan-out",
        "idle",
        "leaderboard",
        "recount",
        "start",
        "bytes",
        "growth",
        "soak",
        "backpressure",
        "hostile",
    }
    assert set(PARTS) == wanted
    assert Sizes.quick().pick(100, 1) == 1
    assert Sizes(votes=10, stored=10, minutes=1).pick(100, 1) == 100


def test_every_statement_is_told_from_the_others() -> None:
    assert statement("group_ballots").strip().endswith("GROUP BY option")
    with pytest.raises(KeyError):
        statement("no such statement")


def test_a_point_of_growth_is_what_the_pictures_read() -> None:
    assert Point(8, 1.5, 100.0)._asdict() == {"many": 8, "cost": 1.5, "rate": 100.0}
