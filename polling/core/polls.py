"""Step 1 of 7, accept: what a poll is, and the rules that a new one must keep."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import unicodedata
from datetime import UTC, datetime, timedelta
from typing import Literal

import msgspec

from polling.core.errors import ValidationError

MAX_QUESTION = 500
MIN_OPTIONS, MAX_OPTIONS = 2, 100
MAX_OPTION = 200
MAX_VOTER = 200
MAX_IDEMPOTENCY_KEY = 255
MAX_BODY = 64 * 1024
MAX_BATCH_BODY = 1024 * 1024
MAX_BATCH_LINES = 10_000
MAX_FRAME = 64 * 1024

OneVotePer = Literal["browser", "voter"]
Status = Literal["open", "closed"]
ResultsVisible = Literal["always", "after_vote", "after_close"]

_ID_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"


class CreatePoll(msgspec.Struct, forbid_unknown_fields=True):
    """The body of `POST /api/polls`. Texts as sent; `check` trims and judges them."""

    question: str
    options: list[str]
    closes_at: datetime | None = None
    one_vote_per: OneVotePer | None = None
    allow_change: bool = True
    listed: bool = True
    results_visible: ResultsVisible = "always"


class Poll(msgspec.Struct, frozen=True):
    """What the door knows of a poll: all but its votes.

    `number` is PostgreSQL's short name for it. `options` in their order; option ids are "1", "2", ….
    `key` is the poll's own secret, from which its ballots are made. `closed` tells that it was closed by hand;
    `closes_at` is then its cut-off. `reopened` is how often it was opened again after it had closed.
    """

    number: int
    id: str
    question: str
    options: tuple[str, ...]
    one_vote_per: OneVotePer | None
    allow_change: bool
    listed: bool
    created_at: datetime
    closes_at: datetime | None
    closed: bool
    deleted: bool
    key: bytes
    admin_token_hash: bytes
    results_visible: ResultsVisible = "always"
    reopened: int = 0

    @property
    def last_wins(self) -> bool:
        """Whether the last cast of a ballot counts; otherwise the first does."""
        return self.one_vote_per is not None and self.allow_change

    def is_open(self, now: datetime) -> bool:
        """Open until the cut-off, the cut-off's own moment included."""
        return not self.closed and (self.closes_at is None or now <= self.closes_at)

    def option_number(self, text_or_id: str) -> int | None:
        """The number (from 1) of the option that this text names, or this id; the exact text wins."""
        # Options are stored clean: most texts that name one are so already.
        wanted = text_or_id if text_or_id in self.options else clean(text_or_id)
        if wanted in self.options:
            return self.options.index(wanted) + 1
        if text_or_id.isascii() and text_or_id.isdecimal() and text_or_id[0] != "0" and len(text_or_id) <= 3:
            number = int(text_or_id)
            if number <= len(self.options):
                return number
        return None

    def option(self, number: int) -> dict[str, str]:
        """An option as every answer shows it."""
        return {"id": str(number), "text": self.options[number - 1]}

    def admits(self, admin_token: str) -> bool:
        """Whether this is the poll's admin token, compared in constant time."""
        return hmac.compare_digest(self.admin_token_hash, hash_token(admin_token))


class Results(msgspec.Struct, frozen=True):
    """How a poll stands at one revision: a whole, consistent snapshot. `counts` in the options' order.

    Not `settled`: the poll's time came, and its revision has not been raised for that yet.
    """

    poll_id: str
    revision: int
    counts: tuple[int, ...]
    status: Status
    final: bool
    settled: bool = True

    @property
    def total(self) -> int:
        return sum(self.counts)

    @property
    def closed(self) -> bool:
        return self.status == "closed"

    def of_options(self, poll: Poll) -> list[tuple[str, str, int, float]]:
        """Each option's id, text, votes and share, in their order."""
        total = self.total
        return [
            (str(number), text, votes, share(votes, total))
            for number, (text, votes) in enumerate(zip(poll.options, self.counts, strict=True), 1)
        ]


def clean(text: str) -> str:
    """Trimmed, and in Unicode normalisation form C (UAX 15): what texts are stored and compared as."""
    return unicodedata.normalize("NFC", text.strip())


def check(request: CreatePoll, now: datetime) -> CreatePoll:
    """The request with clean texts.

    Raises:
        ValidationError: with every fault, not the first alone.
    """
    faults = Faults()
    question = faults.question(request.question)
    options = faults.options(request.options)
    closes_at = faults.closes_at(request.closes_at, now)
    faults.check()
    return msgspec.structs.replace(request, question=question, options=options, closes_at=closes_at)


class Faults:
    """Gathers what is wrong with a request about a poll. Each method judges one field, and answers it clean."""

    def __init__(self) -> None:
        self._errors: list[dict[str, str]] = []

    def add(self, pointer: str, detail: str) -> None:
        self._errors.append({"pointer": pointer, "detail": detail})

    def check(self) -> None:
        """Raises ValidationError where anything is wrong."""
        if self._errors:
            raise ValidationError(self._errors)

    def question(self, text: str) -> str:
        question = clean(text)
        if flaw := text_flaw(question, MAX_QUESTION):
            self.add("#/question", f"A question {flaw}.")
        return question

    def options(self, texts: list[str]) -> list[str]:
        options = [clean(option) for option in texts]
        if not MIN_OPTIONS <= len(options) <= MAX_OPTIONS:
            self.add("#/options", f"A poll has {MIN_OPTIONS} to {MAX_OPTIONS} options.")
        seen: dict[str, int] = {}
        for index, option in enumerate(options[: MAX_OPTIONS + 1]):
            if flaw := text_flaw(option, MAX_OPTION):
                self.add(f"#/options/{index}", f"An option {flaw}.")
            elif option in seen:
                self.add(f"#/options/{index}", f"This option is the same as option {seen[option] + 1}.")
            seen.setdefault(option, index)
        return options

    def closes_at(self, closes_at: datetime | None, now: datetime) -> datetime | None:
        if closes_at is None:
            return None
        if closes_at.tzinfo is None:
            self.add("#/closes_at", "A time needs an offset from UTC, as in 2030-01-31T12:00:00Z.")
        elif closes_at <= now:
            self.add("#/closes_at", "A poll closes in the future.")
        else:
            try:
                return _to_millisecond(closes_at.astimezone(UTC))
            except OverflowError:
                self.add("#/closes_at", "This time is out of range.")
        return closes_at


def text_flaw(text: str, limit: int) -> str | None:
    """What is wrong with a clean text, as the end of a sentence, or None."""
    if not text:
        return "may not be empty"
    if len(text) > limit:
        return f"has {limit} characters at most"
    if "\0" in text:
        return "may not contain the character NUL"
    if any("\ud800" <= character <= "\udfff" for character in text):
        return "may not contain half of a surrogate pair"
    return None


def share(votes: int, total: int) -> float:
    """An option's part of all votes, from 0 to 1; 0 where there are none."""
    return votes / total if total else 0.0


def new_id() -> str:
    """A poll id: 100 random bits in 20 characters that are safe in a URL and hard to misread."""
    return "".join(secrets.choice(_ID_ALPHABET) for _ in range(20))


def new_token() -> str:
    """An admin token: 192 random bits."""
    return secrets.token_urlsafe(24)


def hash_token(token: str) -> bytes:
    """What is stored of an admin token. It is random and long, so that one round of SHA-256 is enough."""
    return hashlib.sha256(token.encode(errors="surrogatepass")).digest()


def _to_millisecond(time: datetime) -> datetime:
    """Rounded up, as the log's own clock counts milliseconds."""
    rest = -time.microsecond % 1000
    return time + timedelta(microseconds=rest)
