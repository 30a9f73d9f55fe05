"""Step 1 of 7, accept: who asks for a poll's results, where not everybody may see them."""

from __future__ import annotations

from typing import NamedTuple

from polling.api.base import Handler
from polling.api.routes import Parameter
from polling.core import ballots
from polling.core.errors import ResultsHidden, TokenWrong, ValidationError
from polling.core.polls import Poll, Results

VOTE = Parameter("vote", "query", "A vote id of yours, where the poll shows its results to those who have voted.")


class Sight(NamedTuple):
    """Who asks: whoever made the poll, or somebody who has voted in it."""

    admin: bool
    voted: bool


def sight_of(handler: Handler, poll: Poll) -> Sight:
    """By the request's token, and the vote that its address names; nothing is asked of any server.

    Raises:
        ValidationError: this poll never made that vote id.
        TokenWrong: the results are not for everybody, and that is not the poll's token.
    """
    vote = handler.get_query_argument("vote", None)
    if vote is not None and ballots.from_vote_id(poll.key, vote) is None:
        raise ValidationError.at("#/vote", "This poll has no such vote.")
    token = handler.bearer if poll.results_visible != "always" else None
    if token is not None and not poll.admits(token):
        raise TokenWrong
    return Sight(token is not None, vote is not None)


def require_sight(handler: Handler, poll: Poll, results: Results) -> None:
    """Raises ResultsHidden where whoever asks may not see them now; else as `sight_of`."""
    if not poll.shows_results(results.status == "closed", **sight_of(handler, poll)._asdict()):
        raise ResultsHidden
