"""Step 5 of 7, store: who sees a poll's results, and polls that were opened again."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"

_VISIBLE = "results_visible IN ('always', 'after_vote', 'after_close')"


def upgrade() -> None:
    op.add_column(
        "polls", sa.Column("results_visible", sa.Text(collation="C"), server_default="always", nullable=False)
    )
    op.add_column("polls", sa.Column("reopened", sa.Integer(), server_default="0", nullable=False))
    op.add_column("polls", sa.Column("gaps", postgresql.TSTZMULTIRANGE(), nullable=True))
    op.create_check_constraint(op.f("polls_results_visible_check"), "polls", _VISIBLE)


def downgrade() -> None:
    op.drop_constraint(op.f("polls_results_visible_check"), "polls")
    op.drop_column("polls", "gaps")
    op.drop_column("polls", "reopened")
    op.drop_column("polls", "results_visible")
