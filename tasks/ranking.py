"""Step 6 of 7, tell: the leaderboard, refreshed without taking all polls apart each second."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import psycopg

from polling.core.leaderboard import MAX_ENTRIES, Leaderboard
from polling.store.queries import query
from polling.store.rows import to_leaderboard

_ANY = 1


class Ranking:
    """Asks for the leaderboard again and again. One worker process has one.

    The votes of the last entry are a floor for the next question: no option of a poll with fewer votes in all can be
    among the first, and PostgreSQL passes over such a poll by one comparison. Votes can become fewer, and polls
    close: where the answer is not full down to the floor, the same is asked without one. So the answer is always
    that of all polls.
    """

    def __init__(self, entries: int = MAX_ENTRIES) -> None:
        self._entries = entries
        self._floor = _ANY

    def refresh(self, connection: psycopg.Connection[tuple[Any, ...]]) -> Leaderboard:
        """The leaderboard as it stands now."""
        board = self._ask(connection)
        if self._floor > _ANY and self._lowest(board) < self._floor:
            self._floor = _ANY
            board = self._ask(connection)
        self._floor = max(_ANY, self._lowest(board))
        return board

    def _ask(self, connection: psycopg.Connection[tuple[Any, ...]]) -> Leaderboard:
        asked = {"limit": self._entries, "floor": self._floor}
        return to_leaderboard(connection.execute(query("leaderboard"), asked).fetchall(), datetime.now(UTC))

    def _lowest(self, board: Leaderboard) -> int:
        """Votes of the last entry, 0 where there is room for more."""
        return board.entries[-1].votes if len(board.entries) >= self._entries else 0
