"""One family of errors. Each class says what the caller should do; `code` is stable and machine readable.

`status` is the HTTP status the API answers with, `exit_code` what a command exits with. `detail` carries plain values
(numbers as strings) that explain the refusal; never secrets.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, TypedDict


class FieldProblem(TypedDict):
    """One wrong input field; `pointer` is a JSON pointer such as "#/amount"."""

    pointer: str
    code: str
    detail: str


class DomainError(Exception):
    """Base of all expected errors. The message is a full sentence a person can act on."""

    status: ClassVar[int] = 500
    exit_code: ClassVar[int] = 1
    default_code: ClassVar[str] = "error"

    def __init__(self, message: str, *, code: str = "", **detail: Any) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or self.default_code
        self.detail = detail

    def __str__(self) -> str:
        return self.message


class Invalid(DomainError):
    """The input is wrong. Correct it and send it again."""

    status = 400
    exit_code = 2
    default_code = "invalid"

    def __init__(
        self, message: str, *, code: str = "", errors: Sequence[FieldProblem] = (), **detail: Any
    ) -> None:
        super().__init__(message, code=code, **detail)
        self.errors: list[FieldProblem] = list(errors)


class InvalidNumber(Invalid, ValueError):
    """Not an exact finite number. Give a Decimal, an int or a decimal string."""

    default_code = "invalid-number"


class NotAuthenticated(DomainError):
    """Nobody is logged in, or the login failed. Log in (again)."""

    status = 401
    exit_code = 5
    default_code = "not-authenticated"


class NotFound(DomainError):
    """It does not exist, or you may not see it. Check the id."""

    status = 404
    exit_code = 4
    default_code = "not-found"


class Conflict(DomainError):
    """It contradicts the current state. Look at the state and decide again."""

    status = 409
    exit_code = 6
    default_code = "conflict"


class ConcurrentChange(Conflict):
    """Somebody else changed the row first. Read it again; never repeat blindly."""

    default_code = "concurrent-change"


class Refused(DomainError):
    """You may not do this. Ask somebody with the right role."""

    status = 403
    exit_code = 5
    default_code = "permission-denied"


class RiskRefused(DomainError):
    """A risk rule says no. Change the size or the limit, not the number of attempts."""

    status = 422
    exit_code = 5
    default_code = "risk-limit"


class Locked(DomainError):
    """The kill switch is engaged. A person has to release it first."""

    status = 423
    exit_code = 5
    default_code = "kill-switch-engaged"


class PreconditionFailed(DomainError):
    """The version you hold is old (If-Match). Read it again, merge, send the new ETag."""

    status = 412
    exit_code = 6
    default_code = "precondition-failed"


class PreconditionRequired(DomainError):
    """The request must say which version it changes (If-Match). Read first, then send the ETag."""

    status = 428
    exit_code = 2
    default_code = "precondition-required"


class RateLimited(DomainError):
    """Too many attempts. Wait `retry_after_s` seconds."""

    status = 429
    exit_code = 75
    default_code = "rate-limited"

    def __init__(self, message: str, *, retry_after_s: int, code: str = "", **detail: Any) -> None:
        super().__init__(message, code=code, **detail)
        self.retry_after_s = max(1, retry_after_s)


class Unavailable(DomainError):
    """A part we need does not answer. Try again later; for orders ask what happened first."""

    status = 503
    exit_code = 75
    default_code = "unavailable"
