"""How a refusal looks from outside: one code, one rule, its basis. The wire's own refusals are rules of this project."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Self

from pydantic import TypeAdapter

from nrmbus.events.model import Part
from nrmbus.wire.errors import WireError
from nrmbus.wire.registration import Line, RuleId, Word

_WIRE_RULES: Final[Mapping[str, str]] = {
    "json_invalid": "W1", "json_duplicate": "W1", "unknown_field": "W1", "too_large": "W2", "header_not_allowed": "W2",
    "unknown_recipient": "W3", "time_in_future": "W3", "stale": "W3", "unknown_type": "W3", "unknown_version": "W3",
    "key_mismatch": "W3", "version_passed": "W4", "signature_profile": "W4", "signature_invalid": "W5", "weak_key": "W6",
    "letter_too_large": "W8", "letter_malformed": "W8", "suite_unknown": "W9", "letter_missing": "W9",
    "letter_digest_mismatch": "W9", "key_not_current": "W6", "agency_suspended": "W6", "id_reused": "W11",
}  # fmt: skip
"""The section of ``services/nrmbus/wire/README.md`` each refusal rests on."""

BASIS: Final = "[D]"
"""A rule of this project with no law behind it."""

_CARRIED: Final[TypeAdapter[tuple[Word, RuleId, Line]]] = TypeAdapter(tuple[Word, RuleId, Line])
"""Code, rule and article as a registration takes them."""


@dataclass(eq=False)  # an exception must stay writable: Python sets its traceback
class Refused(Exception):
    """Raised inside a shard when a submission is refused; becomes a numbered registration."""

    code: str
    rule: str
    article: str
    seal_to: dict[Part, tuple[str, ...]] | None = field(default=None)
    accepts: tuple[int, ...] | None = None
    because: str | None = None
    """The rule that applied, where *rule* is the one as which several read: for the history alone."""

    def __post_init__(self) -> None:
        """Raise ValueError for words of a profile that no registration takes, before anything gets a number."""
        _CARRIED.validate_python((self.code, self.rule, self.article))

    @classmethod
    def audience_changed(cls, seal_to: dict[Part, tuple[str, ...]]) -> Self:
        """The letter is sealed to others than may open it now; *seal_to* names them by part, the sender left out."""
        return cls("audience_changed", "W9", BASIS, seal_to)


def wire_refusal(error: WireError) -> Refused:
    """The wire's refusal as a registration says it."""
    accepts = error.safe.get("accepts")
    return Refused(
        error.code, _WIRE_RULES.get(error.code, "W2"), BASIS, accepts=accepts if isinstance(accepts, tuple) else None
    )
