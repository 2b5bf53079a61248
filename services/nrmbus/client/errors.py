"""Errors of a desk's door: what happened, what to do, and whether another attempt can help."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from http import HTTPStatus
from typing import Any, ClassVar, Final, TypeVar

from nrmbus.events.errors import Problem

Read = TypeVar("Read")

LATER: Final = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS})
"""Refusals of the 400s that end after a while."""
INCOMPLETE: Final = "document_incomplete"
"""Code of a 409 that ends after a while: the chunks of a document come after its announcement."""
LONGEST_RETRY_AFTER: Final = 3600.0
"""Most seconds that a ``Retry-After`` can ask for."""
NOT_A_DESK: Final = "what answers there is no desk of this bus; start the desk again"


class DoorError(Exception):
    """The desk did not do what it was asked. The message says why and what to do, and repeats nothing that was sent.

    Attributes:
        code: one word for programs, of the desk's closed list.
        status: the HTTP status; 0 if no desk answered.
        sentence: what the code means and what to do.
        problems: fields that do not fit, each as (pointer, kind) in the words of the published schemas, with the values
            that are ``allowed`` there and the names ``nearest`` to the one that was sent.
        accepts: versions of the type that the desk knows, if it does not know the one that was sent.
        refusal, rule, article: code and basis of the registrar's refusal, if one stands behind the answer.
        retry_after: seconds to wait before another attempt, if the desk named them.
        retryable: whether the same request can succeed later.
    """

    retryable: ClassVar[bool] = False

    def __init__(
        self,
        code: str,
        message: str,
        status: int = 0,
        problems: tuple[Problem, ...] = (),
        accepts: tuple[int, ...] = (),
        sentence: str = "",
    ) -> None:
        super().__init__(message)
        self.sentence = sentence or message
        self.code, self.status, self.problems, self.accepts = code, status, problems, accepts
        self.refusal: str | None = None
        self.rule: str | None = None
        self.article: str | None = None
        self.retry_after: float | None = None


class Unreachable(DoorError):
    """No desk answers at this address now: it is away, starts again, or another program has its port."""

    retryable = True


class Unavailable(DoorError):
    """The desk cannot do it now, has had too many requests, or waits for chunks of the document: wait ``retry_after`` seconds, or a few, and ask again."""

    retryable = True


class TokenRefused(DoorError):
    """The token is missing, wrong, ended, or lacks the scope that this request needs."""


class RequestRefused(DoorError):
    """The desk would refuse the same request again: correct it, by ``code`` and ``problems``."""


def understood(read: Callable[..., Read], *answer: Any) -> Read:
    """Return what *read* makes of an *answer*.

    Raises:
        Unreachable: ``not_a_desk``: the answer has not the form of a desk's. The error repeats nothing of it.
    """
    with suppress(KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError):
        return read(*answer)
    raise Unreachable("not_a_desk", NOT_A_DESK)


def refused(body: Mapping[str, Any], status: int, retry_after: str | None = None) -> DoorError:
    """Return the error for the problem object *body* (RFC 9457): its message has what is wrong, then what to do."""
    code, sentence, title, detail = (_text(body.get(name)) for name in ("code", "sentence", "title", "detail"))
    problems, accepts = body.get("problems"), body.get("accepts")
    said = sentence or title or "the desk refused the request"
    error = _class_of(status, code)(
        code or "refused",
        said if not detail or said.lower().endswith(detail.lower()) else f"{said} {detail}",
        status,
        understood(lambda: tuple(map(_problem, problems))) if problems else (),
        understood(lambda: tuple(map(int, accepts))) if accepts else (),
        said,
    )
    error.refusal, error.rule, error.article = (_text(body.get(name)) for name in ("refusal", "rule", "article"))
    error.retry_after = _seconds(retry_after)
    return error


def _text(found: object) -> str | None:
    return found if isinstance(found, str) else None


def _problem(found: Mapping[str, Any]) -> Problem:
    return Problem(str(found["pointer"]), str(found["kind"]), found.get("allowed", ()), found.get("nearest", ()))


def _class_of(status: int, code: str | None) -> type[DoorError]:
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        return TokenRefused
    is_later = code == INCOMPLETE or status in LATER or status >= HTTPStatus.INTERNAL_SERVER_ERROR
    return Unavailable if is_later else RequestRefused


def _seconds(retry_after: str | None) -> float | None:
    """Return the seconds of a ``Retry-After``, bounded; None for a date, which no desk sends."""
    if retry_after is None or not retry_after.isascii() or not retry_after.isdecimal():
        return None
    return min(float(retry_after[:12]), LONGEST_RETRY_AFTER)
