"""Judgement of an event by the rules of section 4, in the profile's order: the first rule that applies refuses it.

Pure and deterministic. A refusal cites code, rule and basis as the profile has them, and never what was put in.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from nrmbus.rules.judge import course, emergency, figures, parties, protection
from nrmbus.rules.judge.check import Check, Question
from nrmbus.rules.placed import placed
from nrmbus.rules.profile import Profile, ProfileError

OF_THE_ROW = "of the row"
UNKNOWN_TYPE: Final = "RULES.md#g-01 [D]"
"""The basis for a type without a row."""
CHECKS: Final[Mapping[str, Check]] = {
    check.rule: check
    for check in (*parties.CHECKS, *figures.CHECKS, *protection.CHECKS, *course.CHECKS, *emergency.CHECKS)
}
"""Every rule that is written, by its id."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why not: code and rule, the article or other basis as cited, and a sentence that says what to do.

    Of a type whose refusals all read alike, ``because`` is the rule that applied: for the history, never for the sender.
    """

    code: str
    rule: str
    article: str
    sentence: str
    because: str | None = None


@dataclass(frozen=True, slots=True)
class Judge:
    """The rules of one profile, ready to be asked about each type."""

    profile: Profile
    always: tuple[Check, ...]
    by_type: Mapping[str, tuple[Check, ...]]

    @classmethod
    def of(cls, profile: Profile) -> "Judge":
        """Return the rules of *profile*, in its order. Raise ProfileError for a rule without a function."""
        unknown = sorted(set(profile.refusals) - set(CHECKS))
        if unknown:
            message = f"no such rule is written: {', '.join(unknown)}"
            raise ProfileError(message)
        checks = tuple(CHECKS[rule] for rule in profile.refusals)
        return cls(
            profile=profile,
            always=tuple(check for check in checks if check.types is None),
            by_type={
                name: tuple(check for check in checks if check.types is None or name in check.types)
                for name in profile.types
            },
        )

    def refusal(self, question: Question) -> Refusal | None:
        """Return the refusal by the first rule that applies, or None if the event may be registered."""
        return next(self.refusals(question), None)

    def refusals(self, question: Question) -> Iterator[Refusal]:
        """Yield the refusals by all rules that apply, in their order."""
        kind = question.event.type
        for check in self.by_type.get(kind, self.always):
            if check.applies(question):
                yield self._refusal(check.rule, kind)

    def _refusal(self, rule: str, kind: str) -> Refusal:
        row = self.profile.types.get(kind)
        because = rule if row and row.refused_as else None
        rule = row.refused_as if row and row.refused_as else rule
        cited = self.profile.refusals[rule]
        basis = cited.basis if cited.basis != OF_THE_ROW else (row.basis if row else UNKNOWN_TYPE)
        return Refusal(
            code=cited.code, rule=rule, article=basis, sentence=placed(cited.says, self.profile), because=because
        )
