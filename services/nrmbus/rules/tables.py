"""A profile made ready: groups written out, rows found by type. Built once for each profile."""

from collections.abc import Mapping
from dataclasses import dataclass

from nrmbus.events.model import Part
from nrmbus.rules.calendar import Calendar
from nrmbus.rules.profile import DECIDERS, ClockRule, Profile, Row, Start, Transition, matches
from nrmbus.rules.records import Agency

Trigger = tuple[str, ClockRule, Start]


class Roles:
    """Roles by agency id, from the directory's agencies, which may grow. An unknown id has no role."""

    def __init__(self, agencies: Mapping[str, Agency]) -> None:
        self.agencies = agencies
        self._size = -1
        self._having: dict[str, tuple[str, ...]] = {}

    def of(self, agency: str | None) -> str:
        """Return the role of *agency*; empty if the directory does not know it."""
        known = self.agencies.get(agency) if agency else None
        return known.role if known else ""

    def supervisor(self, agency: str) -> str | None:
        """Return the supervisor of *agency*, or None."""
        known = self.agencies.get(agency)
        return known.supervisor if known else None

    def having(self, role: str) -> tuple[str, ...]:
        """Return all agencies of *role*, sorted."""
        if len(self.agencies) != self._size:
            self._size = len(self.agencies)
            self._having = {}
        if role not in self._having:
            self._having[role] = tuple(sorted(a.id for a in self.agencies.values() if a.role == role))
        return self._having[role]

    def having_any(self, roles: frozenset[str]) -> tuple[str, ...]:
        """Return all agencies of one of *roles*, sorted."""
        if len(roles) == 1:
            return self.having(next(iter(roles)))
        return tuple(sorted(agency for role in roles for agency in self.having(role)))


@dataclass(frozen=True, slots=True)
class Tables:
    """Lookup tables of a profile, by event type or by role."""

    profile: Profile
    calendar: Calendar
    publishers: Mapping[str, frozenset[str]]
    groups: Mapping[str, frozenset[str]]
    deciders: frozenset[str]
    """Roles that decide whether a person is a victim."""
    parts_of_role: Mapping[str, frozenset[Part]]
    parts_of_others: frozenset[Part]
    transitions: Mapping[str, tuple[Transition, ...]]
    permitted: Mapping[str, frozenset[str]]
    starts: Mapping[str, tuple[Trigger, ...]]
    ends: Mapping[str, frozenset[str]]
    classes: Mapping[str, str]
    """The class of retention of each type."""
    bound: Mapping[str, frozenset[str]]
    """The roles that a clock binds, for each clock that does not bind everybody."""
    returning: frozenset[str]
    """Codes of the duties whose end reaches the agency that owes them whatever an adult says of it: they come back with consent."""

    @classmethod
    def of(cls, profile: Profile) -> "Tables":
        """Write out *profile*."""
        parts: dict[str, frozenset[Part]] = {}
        for name, allowed in profile.referral_parts.items():
            for role in profile.expand((name,)):
                parts.setdefault(role, frozenset(allowed))
        return cls(
            profile=profile,
            calendar=Calendar.of(profile),
            publishers={name: profile.expand(row.by) for name, row in profile.types.items()},
            groups={name: profile.expand((name,)) for name in profile.roles},
            deciders=profile.expand((DECIDERS,)),
            parts_of_role=parts,
            parts_of_others=frozenset(profile.referral_parts.get("others", ())),
            transitions={
                name: tuple(row for row in profile.statuses.transitions if name in row.events) for name in profile.types
            },
            permitted={
                status: frozenset(
                    name
                    for name in profile.types
                    if any(matches(name, pattern) for pattern in (*only, *profile.statuses.always))
                )
                for status, only in profile.statuses.only.items()
            },
            starts={name: _starts(profile, name) for name in profile.types},
            ends={
                name: frozenset(
                    code for code, rule in profile.clocks.items() if any(name in end.events for end in rule.ends_by)
                )
                for name in profile.types
            },
            classes={name: profile.retention_class(name) for name in profile.types},
            bound={code: profile.expand(rule.binds) for code, rule in profile.clocks.items() if rule.binds is not None},
            returning=frozenset(code for code, rule in profile.clocks.items() if _is_end_heard(profile, rule)),
        )

    def row(self, name: str) -> Row | None:
        """Return the row of the type *name*, or None."""
        return self.profile.types.get(name)

    def may_open_of_referral(self, role: str) -> frozenset[Part]:
        """Return the parts of a referral that *role* may open at most."""
        return self.parts_of_role.get(role, self.parts_of_others)


def _is_end_heard(profile: Profile, rule: ClockRule) -> bool:
    """Return whether only the deciding body, a party to the request, or a word that reaches a barred agency ends the clock."""
    rows = [profile.types[name] for end in rule.ends_by for name in end.events if name in profile.types]
    deciders = profile.expand((DECIDERS,))
    return all(row.stops or row.party is not None or profile.expand(row.by) <= deciders for row in rows)


def _starts(profile: Profile, name: str) -> tuple[Trigger, ...]:
    return tuple(
        (code, rule, start) for code, rule in profile.clocks.items() for start in rule.starts if name in start.events
    )
