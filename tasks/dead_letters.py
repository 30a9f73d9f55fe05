"""Step 4 of 7, task: sends what can never be counted to `votes.dead`, before the batch that held it is counted."""

from __future__ import annotations

from collections import Counter

from confluent_kafka import Producer

from polling.telemetry import logger, metrics
from polling.vote_log import DEAD_TOPIC, producer_config
from tasks.staging import DeadRecord

log = logger(__name__)

_TIMEOUT = 10.0


class DeadLettersUnavailable(Exception):
    """Kafka did not acknowledge records for `votes.dead`: the batch is not counted now, and comes again."""


class DeadLetters:
    """The process's producer for `votes.dead`, made at the first need. A record may get there more than once."""

    def __init__(self, broker: str) -> None:
        self._broker = broker
        self._producer: Producer | None = None

    def send(self, records: list[DeadRecord], topics: dict[int, str]) -> None:
        """Returns once Kafka has all of them. `topics` names the topic of each generation.

        Raises:
            DeadLettersUnavailable: it does not.
        """
        if self._producer is None:
            self._producer = Producer(producer_config(self._broker))
        failed: list[str] = []

        def delivered(error: object, _message: object) -> None:
            if error is not None:
                failed.append(str(error))

        for record in records:
            headers = {
                "reason": record.reason,
                "topic": topics[record.generation],
                "partition": str(record.partition),
                "offset": str(record.offset),
            }
            self._producer.produce(DEAD_TOPIC, record.value, headers=headers, on_delivery=delivered)
        left = self._producer.flush(_TIMEOUT)
        if left or failed:
            self._producer = None
            raise DeadLettersUnavailable(failed[0] if failed else "no answer in time")
        for reason, count in Counter(record.reason for record in records).items():
            metrics.votes_dead.labels(reason).inc(count)
        first = records[0]
        log.warning(
            "records sent to votes.dead",
            records=len(records),
            reason=first.reason,
            partition=first.partition,
            offset=first.offset,
        )
