"""Step 1 of 7, accept: the family of errors that the outside sees.

PollingError
├── BadRequest            400 malformed_json
├── TokenMissing          401 token_missing
├── Forbidden
│   ├── TokenWrong        403 token_wrong
│   ├── ResultsHidden     403 results_hidden
│   └── OriginForbidden   403 origin_forbidden
├── Missing
│   ├── NotFound          404 not_found
│   ├── PollNotFound      404 poll_not_found
│   └── VoteNotFound      404 vote_not_found
├── MethodNotAllowed      405 method_not_allowed
├── Conflict
│   ├── PollClosed        409 poll_closed
│   ├── PollHasVotes      409 poll_has_votes
│   ├── PollFinal         409 poll_final
│   └── AlreadyVoted      409 already_voted
├── BodyTooLarge          413 body_too_large
├── UnsupportedMediaType  415 unsupported_media_type
├── Unprocessable
│   ├── ValidationError   422 validation_error
│   ├── UnknownOption     422 unknown_option
│   └── IdempotencyKeyReused 422 idempotency_key_reused
├── RateLimited           429 rate_limited
├── InternalError         500 internal_error
└── Unavailable
    ├── LogUnavailable    503 log_unavailable
    └── StoreUnavailable  503 store_unavailable

Each class knows its status, its stable `code`, its title, and the sentence shown where the
raiser gives no better one. Nothing of `str(exception)` of other libraries reaches the outside.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar


class PollingError(Exception):
    """Something the caller is told about. `detail` is public; `extra` joins the problem document."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal_error"
    title: ClassVar[str] = "Internal error"
    sentence: ClassVar[str] = "Something went wrong here. The request may be sent again."

    def __init__(self, detail: str | None = None, **extra: Any) -> None:
        self.detail = detail or self.sentence
        self.extra = extra
        super().__init__(self.detail)

    @property
    def headers(self) -> dict[str, str]:
        """Response headers that belong to this error."""
        return {}

    def problem(self) -> dict[str, Any]:
        """The RFC 9457 problem document of this error."""
        return {
            "type": f"/docs#{self.code}",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "code": self.code,
            **self.extra,
        }


class InternalError(PollingError):
    """A fault of ours. The log has the trace, the answer has none."""


class BadRequest(PollingError):
    status, code, title = 400, "malformed_json", "Malformed JSON"
    sentence = "The body is not valid JSON in UTF-8."


class TokenMissing(PollingError):
    status, code, title = 401, "token_missing", "Token missing"
    sentence = "Send the poll's admin token as `Authorization: Bearer <admin_token>`."

    @property
    def headers(self) -> dict[str, str]:
        return {"WWW-Authenticate": "Bearer"}


class Forbidden(PollingError):
    status = 403


class TokenWrong(Forbidden):
    code, title = "token_wrong", "Token wrong"
    sentence = "This is not the admin token of this poll."


class ResultsHidden(Forbidden):
    code, title = "results_hidden", "Results hidden"
    sentence = "This poll does not show its results to you now: to voters, or to all once it is closed."


class OriginForbidden(Forbidden):
    code, title = "origin_forbidden", "Origin forbidden"
    sentence = "This origin may not use this browser's cookie here."


class Missing(PollingError):
    status = 404


class NotFound(Missing):
    code, title, sentence = "not_found", "Not found", "There is nothing at this address."


class PollNotFound(Missing):
    code, title, sentence = "poll_not_found", "Poll not found", "There is no such poll."


class VoteNotFound(Missing):
    code, title, sentence = "vote_not_found", "Vote not found", "This poll has no such vote."


class MethodNotAllowed(PollingError):
    """`allow` lists the methods that this address takes, as in `GET, POST`."""

    status, code, title = 405, "method_not_allowed", "Method not allowed"

    def __init__(self, allow: str) -> None:
        super().__init__(f"This address takes {allow}.")
        self.allow = allow

    @property
    def headers(self) -> dict[str, str]:
        return {"Allow": self.allow}


class Conflict(PollingError):
    status = 409


class PollClosed(Conflict):
    code, title, sentence = "poll_closed", "Poll closed", "This poll takes no more votes."


class PollHasVotes(Conflict):
    code, title, sentence = "poll_has_votes", "Poll has votes", "Options stay as they are once a vote is counted."


class PollFinal(Conflict):
    code, title, sentence = "poll_final", "Poll final", "The result is final: this poll cannot be opened again."


class AlreadyVoted(Conflict):
    """Carries the `vote_id` of the vote that stands."""

    code, title = "already_voted", "Already voted"
    sentence = "This voter has voted, and this poll does not allow a change."

    def __init__(self, vote_id: str) -> None:
        super().__init__(vote_id=vote_id)


class BodyTooLarge(PollingError):
    """`limit` is in the unit that `detail` names (bytes or lines)."""

    status, code, title = 413, "body_too_large", "Body too large"

    def __init__(self, limit: int, unit: str = "bytes") -> None:
        super().__init__(f"The body may have {limit:,} {unit} at most.", limit=limit)


class UnsupportedMediaType(PollingError):
    status, code, title = 415, "unsupported_media_type", "Unsupported media type"

    def __init__(self, expected: str) -> None:
        super().__init__(f"Send {expected}.")


class Unprocessable(PollingError):
    status = 422


class ValidationError(Unprocessable):
    """`errors` has one entry a fault: `{"pointer": "#/options/0", "detail": "…"}`."""

    code, title = "validation_error", "Validation error"

    def __init__(self, errors: list[dict[str, str]]) -> None:
        super().__init__(" ".join(error["detail"] for error in errors), errors=errors)

    @classmethod
    def at(cls, pointer: str, detail: str) -> ValidationError:
        """One fault at one place."""
        return cls([{"pointer": pointer, "detail": detail}])


class UnknownOption(Unprocessable):
    code, title, sentence = "unknown_option", "Unknown option", "This poll has no such option."


class IdempotencyKeyReused(Unprocessable):
    """Carries the `vote_id` of the vote that was cast first with this key."""

    code, title = "idempotency_key_reused", "Idempotency key reused"
    sentence = "This Idempotency-Key was sent before with another option."

    def __init__(self, vote_id: str) -> None:
        super().__init__(vote_id=vote_id)


class RateLimited(PollingError):
    """`retry_after` in whole seconds; `fields` are headers that say more of the limit."""

    status, code, title = 429, "rate_limited", "Too many requests"
    sentence = "Too many requests from this address or voter. Wait, then send it again."

    def __init__(self, retry_after: int, fields: Mapping[str, str] | None = None) -> None:
        super().__init__()
        self.retry_after = retry_after
        self._fields = fields or {}

    @property
    def headers(self) -> dict[str, str]:
        return {"Retry-After": str(self.retry_after), **self._fields}


class Unavailable(PollingError):
    status = 503

    @property
    def headers(self) -> dict[str, str]:
        return {"Retry-After": "2"}


class LogUnavailable(Unavailable):
    code, title = "log_unavailable", "Vote log unavailable"
    sentence = "The vote was not acknowledged, so whether it counts is unknown. Send it again with the same key."


class StoreUnavailable(Unavailable):
    code, title, sentence = (
        "store_unavailable",
        "Store unavailable",
        "This answer needs the database, which is away.",
    )
