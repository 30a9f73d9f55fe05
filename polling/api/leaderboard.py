"""Step 1 of 7, accept: the options with the most votes over all open, listed polls."""

from __future__ import annotations

from polling.api.base import Handler
from polling.api.routes import Operation, Parameter, Route
from polling.core.errors import StoreUnavailable, ValidationError
from polling.core.leaderboard import MAX_ENTRIES, Leaderboard


class LeaderboardHandler(Handler):
    """`/api/leaderboard`."""

    async def get(self) -> None:
        limit = self.whole_number("limit", 1, MAX_ENTRIES, default=10)
        self.answer(200, await self.services.leaderboards.top(limit), Cache_Control="no-cache")


ROUTES = [
    Route(
        "/api/leaderboard",
        LeaderboardHandler,
        (
            Operation(
                "get",
                "Read the leaderboard",
                {200: ("The options with the most votes over all open, listed polls", Leaderboard)},
                parameters=(
                    Parameter("limit", "query", "How many.", {"type": "integer", "minimum": 1, "maximum": 100}, 10),
                ),
                errors=(ValidationError, StoreUnavailable),
            ),
        ),
    )
]
