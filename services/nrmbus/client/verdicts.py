"""Verdicts on a published event: registered, refused, or none yet."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    id: str
    case: str
    answer: Mapping[str, Any] = field(repr=False)
    """The desk's whole answer in JSON types; ``events`` has one state for each receiver of a consent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Registered(_Answer):
    """The event is part of its case and on its way to its receivers."""

    number: int
    """Number in the history of the case's partition."""
    receipt: str
    """Digest of the registrar's signed registration."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused(_Answer):
    """The event, or one of the events for several receivers, was refused and reached nobody; `registered_for` has the others.

    ``sentence`` says why and what to do, and repeats no content. ``id`` is that of the refused event.
    """

    code: str
    sentence: str
    rule: str | None = None
    """Rule of the profile, as ``G-32``; None if the refusal comes before the Rules."""
    article: str | None = None
    """Article of a law, or place in ``RULES.md``, that the rule rests on."""
    accepts: tuple[int, ...] = ()
    """Versions that the registrar knows, for the code ``unknown_version``."""

    @property
    def registered_for(self) -> tuple[str, ...]:
        """Return the receivers for which the same request was registered: they have it, so do not publish to them again."""
        others = [each for each in self.answer.get("events") or () if each.get("verdict") == "registered"]
        return tuple(agency for each in others for agency in each.get("receivers", ()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Pending(_Answer):
    """The desk keeps the event and sends it; the verdict is not there yet. Ask for it by ``id`` (`AsyncDesk.verdict`)."""


Verdict: TypeAlias = Registered | Refused | Pending


def verdict_of(answer: Mapping[str, Any]) -> Verdict:
    """Return the verdict in a desk's *answer*."""
    named: dict[str, Any] = {"id": answer["id"], "case": answer["case"], "answer": answer}
    match answer["verdict"]:
        case "registered":
            return Registered(**named, number=answer["number"], receipt=answer["receipt"])
        case "pending":
            return Pending(**named)
        case _:
            named |= {"rule": answer.get("rule"), "article": answer.get("article")}
            accepts = tuple(answer.get("accepts", ()))
            return Refused(**named, code=answer["code"], sentence=answer["sentence"], accepts=accepts)
