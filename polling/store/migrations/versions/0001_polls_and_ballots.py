"""Step 5 of 7, store: polls, tallies, ballots, and how far the log is counted."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "ballots",
        sa.Column("poll", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("rank", sa.BigInteger(), nullable=False),
        sa.Column("cast_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ballot", sa.UUID(), nullable=False),
        sa.Column("option", sa.SmallInteger(), nullable=False),
        sa.Column("prev", sa.SmallInteger(), nullable=True),
        sa.PrimaryKeyConstraint("poll", "ballot", name=op.f("ballots_pkey")),
        postgresql_partition_by="HASH (poll)",
    )
    for part in range(16):
        op.execute(f"CREATE TABLE ballots_{part} PARTITION OF ballots FOR VALUES WITH (MODULUS 16, REMAINDER {part})")
    op.create_table(
        "covered",
        sa.Column("generation", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("partition", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("first", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("next", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("generation", "partition", "first", name=op.f("covered_pkey")),
    )
    op.create_table(
        "frontiers",
        sa.Column("generation", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("partition", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("next", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("generation", "partition", name=op.f("frontiers_pkey")),
    )
    op.create_table(
        "generations",
        sa.Column("number", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("topic", sa.Text(collation="C"), nullable=False),
        sa.Column("cluster_id", sa.Text(collation="C"), nullable=False),
        sa.Column("topic_id", sa.Text(collation="C"), nullable=False),
        sa.Column("partitions", sa.Integer(), nullable=False),
        sa.Column(
            "adopted_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.Column("retired_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("number", name=op.f("generations_pkey")),
        sa.UniqueConstraint("topic_id", "partitions", name=op.f("generations_topic_id_partitions_key")),
    )
    op.create_table(
        "lost_ranges",
        sa.Column("generation", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("partition", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("first", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("next", sa.BigInteger(), nullable=False),
        sa.Column("found_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.Column("acknowledged_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("generation", "partition", "first", name=op.f("lost_ranges_pkey")),
    )
    op.create_table(
        "polls",
        sa.Column("number", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("id", sa.Text(collation="C"), nullable=False),
        sa.Column("question", sa.Text(), nullable=False),
        sa.Column("options", sa.ARRAY(sa.Text()), nullable=False),
        sa.Column("one_vote_per", sa.Text(collation="C"), nullable=True),
        sa.Column("allow_change", sa.Boolean(), nullable=False),
        sa.Column("listed", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("closes_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("closing", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("closed", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("announced", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("ends", sa.ARRAY(sa.BigInteger()), nullable=True),
        sa.Column("final", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("key", sa.LargeBinary(), nullable=False),
        sa.Column("admin_token_hash", sa.LargeBinary(), nullable=False),
        sa.Column(
            "changed_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.CheckConstraint("one_vote_per IN ('browser', 'voter')", name=op.f("polls_one_vote_per_check")),
        sa.PrimaryKeyConstraint("number", name=op.f("polls_pkey")),
        sa.UniqueConstraint("id", name=op.f("polls_id_key")),
    )
    op.create_index("polls_changed_at_idx", "polls", ["changed_at"], unique=False)
    op.create_index(
        "polls_due_idx",
        "polls",
        ["closes_at"],
        unique=False,
        postgresql_where=sa.text("closes_at IS NOT NULL AND NOT final AND deleted_at IS NULL"),
    )
    op.create_index(
        "polls_listed_idx", "polls", ["number"], unique=False, postgresql_where=sa.text("listed AND deleted_at IS NULL")
    )
    op.create_table(
        "rejections",
        sa.Column("poll", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("ballot", sa.UUID(), nullable=False),
        sa.Column("option", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("reason", sa.Text(collation="C"), nullable=False),
        sa.PrimaryKeyConstraint("poll", "ballot", "option", "reason", name=op.f("rejections_pkey")),
    )
    op.create_table(
        "secrets",
        sa.Column("name", sa.Text(collation="C"), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("secrets_pkey")),
    )
    op.create_table(
        "tallies",
        sa.Column("poll", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("counts", sa.ARRAY(sa.BigInteger()), nullable=False),
        sa.Column("total", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("revision", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("newest", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("poll", name=op.f("tallies_pkey")),
        postgresql_with={"fillfactor": "50"},
    )


def downgrade() -> None:
    op.drop_table("ballots")
    op.drop_table("covered")
    op.drop_table("frontiers")
    op.drop_table("generations")
    op.drop_table("lost_ranges")
    op.drop_table("polls")
    op.drop_table("rejections")
    op.drop_table("secrets")
    op.drop_table("tallies")
