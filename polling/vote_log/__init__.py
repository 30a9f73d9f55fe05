"""Step 2 of 7, log: the only door into Kafka for votes: topics, the writer, and the settings of every client."""

from polling.vote_log.config import DEAD_TOPIC, VOTES_TOPIC, consumer_config, producer_config
from polling.vote_log.position import Position
from polling.vote_log.reading import LogReader, RecordsGone, as_slice, reader_config
from polling.vote_log.sending import Sending
from polling.vote_log.topics import LogTopic, TopicMissing, Topics
from polling.vote_log.writer import VoteWriter

__all__ = [
    "DEAD_TOPIC",
    "VOTES_TOPIC",
    "LogReader",
    "LogTopic",
    "Position",
    "RecordsGone",
    "Sending",
    "TopicMissing",
    "Topics",
    "VoteWriter",
    "as_slice",
    "consumer_config",
    "producer_config",
    "reader_config",
]
