"""Content of an event in words for readers: a form asks "you", and these words tell of another agency."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from nrmbus.desk.web.acts.around import Names
from nrmbus.desk.web.acts.fields import answers, label_of
from nrmbus.desk.web.acts.form import DATA, Field, form_of
from nrmbus.desk.web.shell import Visit
from nrmbus.events.model import Event

TOLD: Final = "told"
"""Context of words about what somebody else did."""
NO_EVENTS: Final[Mapping[str, str]] = MappingProxyType({})
_TO: Final = frozenset({"data.to", "data.withhold_from"})
"""Fields that say who is asked, or who must not hear of it."""
_OF_THE_WIRE: Final = frozenset({"/data/chunks"})
"""Fields that say nothing to a person."""


@dataclass(frozen=True, slots=True)
class Fact:
    """Label and value, of which each line is a text."""

    label: str
    lines: tuple[str, ...]


def facts(
    visit: Visit, fields: Iterable[Field], said: Mapping[str, Any], events: Mapping[str, str] = NO_EVENTS
) -> Iterator[Fact]:
    """Yield each of *fields* that *said* has, with its label and its value in words; *events* are the known ones, by id.

    A form asks the person who fills it in ("you"); here others read, so a few labels and codes have words of their own.
    """
    t = visit.t
    for of, text in answers(t, fields, said, Names(visit, events)):
        if of.pointer in _OF_THE_WIRE:
            continue
        label, family = t(of.label, ctx=TOLD), f"{TOLD}.{of.list}"
        if label == of.label:
            label = label_of(t, of, bare=True).partition(": ")[0]
        root, _, name = of.pointer[1:].partition("/")
        other = t(str(said[root][name]), ctx=family) if of.kind == "choice" else ""
        yield Fact(label, (other,) if other not in ("", said[root][name]) else tuple(text.split("\n")))


def asked(visit: Visit, event: Event) -> list[Fact]:
    """Return what *event* asks for, for a page of those who answer: everything in the clear but the agencies."""
    shown = (each for each in form_of(type(event.data)).clear if each.name not in _TO)
    return list(facts(visit, shown, {DATA: event.data.to_mapping()}))
