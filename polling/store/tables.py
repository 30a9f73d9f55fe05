"""Step 5 of 7, store: the tables. Migrations make them; a test holds the two against each other."""

from __future__ import annotations

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    false,
    text,
)
from sqlalchemy.dialects.postgresql import TSTZMULTIRANGE, UUID

metadata = MetaData(
    naming_convention={
        "pk": "%(table_name)s_pkey",
        "ix": "%(table_name)s_%(column_0_N_name)s_idx",
        "uq": "%(table_name)s_%(column_0_N_name)s_key",
        "ck": "%(table_name)s_%(constraint_name)s_check",
    }
)

_time = DateTime(timezone=True)
_key = Text(collation="C")

# A poll. `number` is its short name inside the database. `closing`: somebody waits to close it by hand.
# `closes_at` is the cut-off, by time or by hand (`closed`). `announced`: the revision was raised for the closing.
# `ends`: packed positions, one a partition, from which records never count; set once for a closing, before `final`.
# `reopened`: how often a closing was taken back. `gaps`: the spans of log time, cut-off excluded, in which the poll was
# closed before that; they only grow. Both, and `closes_at` and `ends`, are in this row because the counting statement
# judges by what it reads here under the row's lock: another table it would see as it was before it waited.
# A deleted poll stays as a tombstone, so that its votes can still be asked for.
polls = Table(
    "polls",
    metadata,
    Column("number", BigInteger, Identity(always=True), primary_key=True),
    Column("id", _key, nullable=False, unique=True),
    Column("question", Text, nullable=False),
    Column("options", ARRAY(Text), nullable=False),
    Column("one_vote_per", _key),
    Column("allow_change", Boolean, nullable=False),
    Column("listed", Boolean, nullable=False),
    Column("created_at", _time, nullable=False),
    Column("closes_at", _time),
    Column("closing", Boolean, nullable=False, server_default=false()),
    Column("closed", Boolean, nullable=False, server_default=false()),
    Column("announced", Boolean, nullable=False, server_default=false()),
    Column("ends", ARRAY(BigInteger)),
    Column("final", Boolean, nullable=False, server_default=false()),
    Column("deleted_at", _time),
    Column("key", LargeBinary, nullable=False),
    Column("admin_token_hash", LargeBinary, nullable=False),
    Column("changed_at", _time, nullable=False, server_default=text("clock_timestamp()")),
    Column("results_visible", _key, nullable=False, server_default="always"),
    Column("reopened", Integer, nullable=False, server_default="0"),
    Column("gaps", TSTZMULTIRANGE),
    CheckConstraint("one_vote_per IN ('browser', 'voter')", name="one_vote_per"),
    CheckConstraint("results_visible IN ('always', 'after_vote', 'after_close')", name="results_visible"),
    Index("polls_changed_at_idx", "changed_at"),
    Index("polls_listed_idx", "number", postgresql_where=text("listed AND deleted_at IS NULL")),
    Index(
        "polls_due_idx",
        "closes_at",
        postgresql_where=text("closes_at IS NOT NULL AND NOT final AND deleted_at IS NULL"),
    ),
)

# One row a poll: `counts` in the order of its options. `newest` is the newest log time of a cast that was judged, be
# it in time or too late.
tallies = Table(
    "tallies",
    metadata,
    Column("poll", BigInteger, primary_key=True, autoincrement=False),
    Column("counts", ARRAY(BigInteger), nullable=False),
    Column("total", BigInteger, nullable=False, server_default="0"),
    Column("revision", BigInteger, nullable=False, server_default="0"),
    Column("newest", _time),
    postgresql_with={"fillfactor": "50"},
)

# How a poll stood at a time: kept every few seconds where it changed, thinned as it ages.
series = Table(
    "series",
    metadata,
    Column("poll", BigInteger, primary_key=True, autoincrement=False),
    Column("at", _time, primary_key=True),
    Column("counts", ARRAY(BigInteger), nullable=False),
    Index("series_at_idx", "at"),
)

# The revision of each poll that the series holds last.
series_marks = Table(
    "series_marks",
    metadata,
    Column("poll", BigInteger, primary_key=True, autoincrement=False),
    Column("revision", BigInteger, nullable=False),
)

BALLOT_PARTITIONS = 16

# One row a ballot that counts. `rank` decides between its casts (core/positions.py); `prev` is the option that the
# last change moved it from. Partitioned by hash of the poll: measured, that costs the counting nothing.
ballots = Table(
    "ballots",
    metadata,
    Column("poll", BigInteger, primary_key=True, autoincrement=False),
    Column("rank", BigInteger, nullable=False),
    Column("cast_at", _time, nullable=False),
    Column("ballot", UUID, primary_key=True),
    Column("option", SmallInteger, nullable=False),
    Column("prev", SmallInteger),
    postgresql_partition_by="HASH (poll)",
)

# Casts that do not count, once for each option and reason: `taken` (another cast of the ballot counts), `poll_closed`
# or `poll_deleted`. The option that counts may be among them: readers leave
# it out, so that the answer does not depend on the order in which batches were counted.
rejections = Table(
    "rejections",
    metadata,
    Column("poll", BigInteger, primary_key=True, autoincrement=False),
    Column("ballot", UUID, primary_key=True),
    Column("option", SmallInteger, primary_key=True, autoincrement=False),
    Column("reason", _key, primary_key=True),
)

# A generation of the vote log: one Kafka topic, named by what Kafka itself calls it, with its number of partitions.
generations = Table(
    "generations",
    metadata,
    Column("number", SmallInteger, primary_key=True, autoincrement=False),
    Column("topic", _key, nullable=False),
    Column("cluster_id", _key, nullable=False),
    Column("topic_id", _key, nullable=False),
    Column("partitions", Integer, nullable=False),
    Column("adopted_at", _time, nullable=False, server_default=text("clock_timestamp()")),
    Column("retired_at", _time),
    UniqueConstraint("topic_id", "partitions"),
)

# Up to where (not included) every record of a partition is counted.
frontiers = Table(
    "frontiers",
    metadata,
    Column("generation", SmallInteger, primary_key=True, autoincrement=False),
    Column("partition", Integer, primary_key=True, autoincrement=False),
    Column("next", BigInteger, nullable=False),
)

# Ranges of offsets that are counted and not yet folded into the frontier: from `first` to before `next`.
covered = Table(
    "covered",
    metadata,
    Column("generation", SmallInteger, primary_key=True, autoincrement=False),
    Column("partition", Integer, primary_key=True, autoincrement=False),
    Column("first", BigInteger, primary_key=True, autoincrement=False),
    Column("next", BigInteger, nullable=False),
)

# Ranges that were gone from the log before they were counted. An alarm stands until somebody acknowledges them.
lost_ranges = Table(
    "lost_ranges",
    metadata,
    Column("generation", SmallInteger, primary_key=True, autoincrement=False),
    Column("partition", Integer, primary_key=True, autoincrement=False),
    Column("first", BigInteger, primary_key=True, autoincrement=False),
    Column("next", BigInteger, nullable=False),
    Column("found_at", _time, nullable=False, server_default=text("clock_timestamp()")),
    Column("acknowledged_at", _time),
)

# Secrets that the system makes for itself once.
secrets = Table(
    "secrets",
    metadata,
    Column("name", _key, primary_key=True),
    Column("value", Text, nullable=False),
)
