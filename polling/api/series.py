"""Step 7 of 7, show: how a poll's votes grew."""

from __future__ import annotations

from datetime import UTC, datetime

from polling.api.answers import SeriesAnswer, SeriesPoint
from polling.api.base import Handler
from polling.api.routes import ADMIN, POLL_ID, Operation, Route
from polling.api.sight import VOTE, require_sight
from polling.core.errors import PollNotFound, ResultsHidden, StoreUnavailable, TokenWrong, ValidationError
from polling.core.polls import Poll, Results
from polling.core.series import assemble, step_of


class SeriesHandler(Handler):
    """`/api/polls/{id}/series`."""

    async def get(self, poll_id: str) -> None:
        poll = await self.services.book.get(poll_id)
        results = await self.services.results.get(poll)
        require_sight(self, poll, results)
        self.answer(200, await series_of(self, poll, results))


async def series_of(handler: Handler, poll: Poll, results: Results) -> SeriesAnswer:
    """A poll's series up to now. Raises StoreUnavailable."""
    now = datetime.now(UTC)
    step = step_of((now - poll.created_at).total_seconds())
    noted = await handler.services.series.get(poll, step)
    points = [SeriesPoint(*point) for point in assemble(poll, noted, results, now)]
    return SeriesAnswer(poll.id, step, points)


ROUTES = [
    Route(
        "/api/polls/{id}/series",
        SeriesHandler,
        (
            Operation(
                "get",
                "Read how the votes grew",
                {200: ("At most 500 points, the last one now", SeriesAnswer)},
                parameters=(POLL_ID, VOTE, ADMIN),
                errors=(PollNotFound, TokenWrong, ResultsHidden, ValidationError, StoreUnavailable),
            ),
        ),
    )
]
