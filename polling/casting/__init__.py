"""Step 1 of 7, accept: how a vote is cast. Shared by the API and the socket, so that both have the same rules."""

from polling.casting.casting import Acknowledgement, Cast, Casting, Paper, require_open
from polling.casting.memory import BallotMemory
from polling.casting.pollbook import PollBook
from polling.casting.waiting import CountedWaits

__all__ = ["Acknowledgement", "BallotMemory", "Cast", "Casting", "CountedWaits", "Paper", "PollBook", "require_open"]
