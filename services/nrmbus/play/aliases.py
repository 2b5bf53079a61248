"""Meanings of a scenario's aliases in one play: random ids, minted at their first use."""

from collections.abc import Mapping

from nrmbus.wire.ids import new_ref


class Aliases:
    """The ids behind the aliases of one play."""

    def __init__(self) -> None:
        """Begin with none."""
        self._cases: dict[str, str] = {}
        self._incidents: dict[str, str] = {}
        self._staff: dict[str, str] = {}
        self._refs: dict[str, str] = {}
        self._refs_per_case: dict[tuple[str, str | None], str] = {}
        self._events: dict[tuple[str, str | None], dict[str | None, str]] = {}

    @property
    def cases(self) -> Mapping[str, str]:
        """Every case so far, by alias."""
        return self._cases

    def case(self, alias: str) -> str:
        """Return the case that *alias* means."""
        return self._cases.setdefault(alias, new_ref())

    def incident(self, alias: str) -> str:
        """Return the incident that *alias* means."""
        return self._incidents.setdefault(alias, new_ref())

    def staff(self, alias: str) -> str:
        """Return the number of a member of staff, whose meaning only the agency would know."""
        return self._staff.setdefault(alias, f"S-{int(new_ref()[:12], 16)}")

    def ref(self, alias: str, case: str | None, *, one_of_several: bool = False) -> str:
        """Return the referral, bed, hold, payment, service or review that *alias* means on *case* (an alias too).

        An alias first used with one case keeps the same meaning in every case. First used with *one_of_several*, the
        alias has a separate meaning per case.
        """
        if alias in self._refs:
            return self._refs[alias]
        if (alias, case) not in self._refs_per_case:
            if not one_of_several and all(known != alias for known, _ in self._refs_per_case):
                return self._refs.setdefault(alias, new_ref())
            self._refs_per_case[alias, case] = new_ref()
        return self._refs_per_case[alias, case]

    def alias_of_ref(self, ref: str) -> str:
        """Return the alias of *ref* in the file, or a generated word for a reference that a service made."""
        known = {each: alias for alias, each in self._refs.items()}
        known |= {each: alias for (alias, _), each in self._refs_per_case.items()}
        return known.get(ref, "one without an alias")

    def name(self, alias: str, case: str | None, receiver: str | None, event: str) -> None:
        """Give *event* the *alias* of its step's ``as``; a consent with several receivers is a set of events."""
        self._events.setdefault((alias, case), {})[receiver] = event

    def events(self, alias: str, case: str | None) -> tuple[str, ...]:
        """Return all events of *alias* on *case*, or on its only case."""
        return tuple(self._set(alias, case).values())

    def covering(self, alias: str, case: str | None, to: tuple[str, ...]) -> tuple[str, ...]:
        """Return the members of the set *alias* that concern the recipients *to*, or the whole set if none does.

        A consent that covers no agency in *to* is still named, so that the Rules can refuse the event.
        """
        named = self._set(alias, case)
        return tuple(event for receiver, event in named.items() if receiver in to) or tuple(named.values())

    def _set(self, alias: str, case: str | None) -> Mapping[str | None, str]:
        sets = {of: events for (name, of), events in self._events.items() if name == alias}
        return sets.get(case) or next(iter(sets.values()), {})
