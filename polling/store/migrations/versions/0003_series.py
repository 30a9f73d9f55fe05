"""Step 5 of 7, store: how polls stood over time."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "series",
        sa.Column("poll", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("counts", sa.ARRAY(sa.BigInteger()), nullable=False),
        sa.PrimaryKeyConstraint("poll", "at", name=op.f("series_pkey")),
    )
    op.create_index("series_at_idx", "series", ["at"], unique=False)
    op.create_table(
        "series_marks",
        sa.Column("poll", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("poll", name=op.f("series_marks_pkey")),
    )


def downgrade() -> None:
    op.drop_table("series_marks")
    op.drop_table("series")
