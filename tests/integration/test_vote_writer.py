"""The integration tests: the producer of votes: positions with acknowledgements, and a topic that was missing."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator

import pytest
from support import log
from support.waiting import until_async

from polling.core import ballots
from polling.core.errors import LogUnavailable
from polling.vote_log import Position, Topics, VoteWriter


@pytest.fixture
async def writer(kafka_broker: str) -> AsyncIterator[VoteWriter]:
    writer = VoteWriter(kafka_broker, asyncio.get_running_loop())
    yield writer
    await writer.close()


@pytest.fixture
def topic(kafka_broker: str) -> str:
    name = f"votes-{uuid.uuid4().hex[:8]}"
    Topics(kafka_broker).create(name, 3, 1, 1)
    return name


async def test_a_vote_is_where_its_position_says(writer: VoteWriter, topic: str, kafka_broker: str) -> None:
    with pytest.raises(LogUnavailable):
        writer.cast("p", ballots.fresh(), 1)
    writer.use(topic, 7, 3)
    papers = [ballots.fresh() for _ in range(50)]
    placed = await asyncio.gather(*(writer.cast("p", ballot, 2) for ballot in papers))
    assert len(set(placed)) == 50
    for ballot, (generation, partition, offset) in list(zip(papers, placed, strict=True))[::10]:
        message = log.read(kafka_broker, topic, lambda message, ballot=ballot: message.key() == ballot)  # type: ignore[misc]
        assert (generation, partition, offset) == (7, message.partition(), message.offset())
        assert partition == log.partition_of(ballot, 3)
        assert log.fields(message)["ballot"] == ballot.hex()


async def test_plain_votes_that_come_together_go_to_one_partition(writer: VoteWriter, topic: str) -> None:
    with pytest.raises(LogUnavailable):
        writer.fresh_ballot()
    writer.use(topic, 1, 3)
    partitions = set()
    for _ in range(50):
        together = [writer.fresh_ballot() for _ in range(20)]
        placed = await asyncio.gather(*(writer.cast("p", ballot, 1) for ballot in together))
        assert [position.partition for position in placed] == [log.partition_of(ballot, 3) for ballot in together]
        partitions |= {position.partition for position in placed}
    assert partitions == {0, 1, 2}


async def test_many_are_waited_for_as_one(writer: VoteWriter, topic: str, kafka_broker: str) -> None:
    writer.use(topic, 7, 3)
    sending = writer.cast_many()
    made = [ballots.fresh() for _ in range(500)]
    writer.cast_with(sending, "p", ((ballot, 2, number % 100 == 0) for number, ballot in enumerate(made)))
    assert await sending.settled() == set()
    assert sorted(sending.placed) == sorted(made[::100])
    for ballot, (generation, partition, offset) in sending.placed.items():
        message = log.read(kafka_broker, topic, lambda message, ballot=ballot: message.key() == ballot)  # type: ignore[misc]
        assert (generation, partition, offset) == (7, message.partition(), message.offset())


async def test_none_at_all_are_settled_at_once(writer: VoteWriter) -> None:
    assert await writer.cast_many().settled() == set()


async def test_many_without_a_topic_are_lost(writer: VoteWriter) -> None:
    sending = writer.cast_many()
    made = {ballots.fresh() for _ in range(3)}
    writer.cast_with(sending, "p", [(ballot, 1, True) for ballot in made])
    assert await sending.settled() == made
    assert sending.placed == {}


async def test_a_topic_that_was_missing_is_found(writer: VoteWriter, topic: str, kafka_broker: str) -> None:
    """As when a broker that has just started does not know its topics yet."""
    writer.use(topic, 1, 3)
    await writer.cast("p", ballots.fresh(), 1)
    later = f"{topic}-later"
    writer.use(later, 2, 1)
    with pytest.raises(LogUnavailable):
        await writer.cast("p", ballots.fresh(), 1)
    Topics(kafka_broker).create(later, 1, 1, 1)

    async def cast() -> Position | None:
        try:
            return await writer.cast("p", ballots.fresh(), 1)
        except LogUnavailable:
            return None

    position = await until_async(cast, "votes are written to the topic", limit=30)
    assert position is not None
    assert (position.generation, position.partition) == (2, 0)


async def test_what_is_not_acknowledged_is_told_at_the_end(topic: str) -> None:
    """Nobody listens there: a vote under way at the end is refused, not forgotten."""
    writer = VoteWriter("127.0.0.1:9", asyncio.get_running_loop())
    writer.use(topic, 1, 3)
    waiting = writer.cast("p", ballots.fresh(), 1)
    sending = writer.cast_many()
    made = {ballots.fresh() for _ in range(3)}
    writer.cast_with(sending, "p", [(ballot, 1, True) for ballot in made])
    settled = asyncio.create_task(sending.settled())
    assert not await writer.ping(0.2)
    await writer.close(0.2)
    with pytest.raises(LogUnavailable):
        await waiting
    assert await settled == made
