"""Step 7 of 7, show: who may see results that are not for everybody, and how that is proved."""

from __future__ import annotations

from typing import NamedTuple

from polling.core import ballots
from polling.core.errors import TokenWrong, ValidationError
from polling.core.polls import Poll


class Sight(NamedTuple):
    """What somebody has proved of a poll: that it is whoever made it, or that it has voted."""

    admin: bool = False
    voted: bool = False

    def sees(self, poll: Poll, closed: bool) -> bool:
        """Whether that is enough to see how the votes stand: anybody may once it is `closed`, its maker always."""
        visible = poll.results_visible
        return closed or self.admin or visible == "always" or (self.voted and visible == "after_vote")

    def and_more(self, other: Sight) -> Sight:
        """Both proofs together."""
        return Sight(self.admin or other.admin, self.voted or other.voted)


class Claim(NamedTuple):
    """What somebody shows: a vote id of the poll's, and the poll's admin token."""

    vote: str | None = None
    admin_token: str | None = None

    @property
    def empty(self) -> bool:
        return self.vote is None and self.admin_token is None

    def judge(self, poll: Poll) -> Sight:
        """What that proves.

        Raises:
            ValidationError: this poll never made that vote id.
            TokenWrong: it is not the poll's token.
        """
        if self.vote is not None and ballots.from_vote_id(poll.key, self.vote) is None:
            raise ValidationError.at("#/vote", "This poll has no such vote.")
        if self.admin_token is not None and not poll.admits(self.admin_token):
            raise TokenWrong
        return Sight(self.admin_token is not None, self.vote is not None)


NOBODY = Sight()
NOTHING = Claim()
