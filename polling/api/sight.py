"""Step 1 of 7, accept: who asks for a poll's results, where not everybody may see them."""

from __future__ import annotations

from polling.api.base import Handler
from polling.api.routes import Parameter
from polling.core.errors import ResultsHidden
from polling.core.polls import Poll, Results
from polling.core.sight import Claim, Sight

VOTE = Parameter("vote", "query", "A vote id of yours, where the poll shows its results to those who have voted.")


def sight_of(handler: Handler, poll: Poll) -> Sight:
    """By the request's token, where the results are not for everybody, and the vote that its address names. Nothing is
    asked of any server. Raises as `Claim.judge`.
    """
    token = handler.bearer if poll.results_visible != "always" else None
    return Claim(handler.get_query_argument("vote", None), token).judge(poll)


def require_sight(handler: Handler, poll: Poll, results: Results) -> None:
    """Raises ResultsHidden where whoever asks may not see them now; else as `sight_of`."""
    if not sight_of(handler, poll).sees(poll, results.closed):
        raise ResultsHidden
