"""Sealed messages: a person's words open for the hotline alone, an answer for the code's holder and the hotline.

They are letters of the bus (`wire/letter`), with the hotline as their sender and the person's reference as their case.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from nrmbus.events.model import Part
from nrmbus.intake.codes import Holder
from nrmbus.wire import letter
from nrmbus.wire.keys.keys import SealingKey, SealTo

HOLDER: Final = "code-holder"
"""Name of the code's holder among the readers of an answer; no hotline may have this id."""

MOST_CHARACTERS: Final = 4000
"""Longest text of a message: with the other fields it fits into 16 KiB, so that one long message is like another."""

ForWhom = Literal["myself", "somebody_i_know", "something_i_saw", ""]
Reach = Literal["code", "phone", "email", "other"]


@dataclass(frozen=True, slots=True)
class Written:
    """Message of a person, as it was typed."""

    text: str
    language: str
    for_whom: ForWhom = ""
    reach: Reach = "code"
    """How she can be reached: by nothing but the code, or at `contact`."""
    contact: str = ""
    safe_times: str = ""

    @property
    def parts(self) -> dict[Part, dict[str, Any]]:
        """Return the fields by the part of the letter that they belong to."""
        return {
            "coded": {"language": self.language, "for_whom": self.for_whom},
            "contact": {"reach": self.reach, "contact": self.contact, "safe_times": self.safe_times},
            "story": {"text": self.text},
        }

    @classmethod
    def of_parts(cls, parts: Mapping[Part, Mapping[str, Any]]) -> "Written":
        """Undo `parts`."""
        return cls(**{name: value for part in parts.values() for name, value in part.items()})


@dataclass(frozen=True, slots=True)
class Hotline:
    """The agency that a message is for, on its bus."""

    bus: str
    agency: str

    def seal(self, written: Written, to: SealTo, *, id: str, ref: str) -> bytes:
        """Seal what a person wrote to the hotline's key *to* alone. Raises ``letter_too_large``."""
        return self._sealed(written.parts, [(self.agency, to)], id, ref)

    def seal_answer(self, text: str, own: SealTo, holder: SealTo, *, id: str, ref: str) -> bytes:
        """Seal an answer to the code's *holder*, and to the hotline's *own* key for the next worker."""
        if self.agency == HOLDER:
            raise ValueError("a hotline of that name could not be told from the person")
        return self._sealed({"story": {"text": text}}, [(self.agency, own), (HOLDER, holder)], id, ref)

    def opened(self, raw: bytes, keys: Mapping[str, SealingKey], *, id: str, ref: str) -> dict[Part, dict[str, Any]]:
        """Open a message or an answer with the hotline's *keys*. Raises LetterClosed."""
        return letter.Container.parse(raw).open(self.agency, keys, bus=self.bus, source=self.agency, id=id, subject=ref)

    def opened_by(self, holder: Holder, raw: bytes, *, id: str) -> str:
        """Return the text of an answer, opened by the code's *holder*. Raises LetterClosed."""
        parts = letter.Container.parse(raw).open(
            HOLDER, holder.key, bus=self.bus, source=self.agency, id=id, subject=holder.ref
        )
        return str(parts["story"]["text"])

    def wrapped_again(self, raw: bytes, keys: Mapping[str, SealingKey], to: SealTo, *, id: str, ref: str) -> bytes:
        """Return a message or an answer that the hotline opens with its next key *to*. Raises LetterClosed.

        Only the hotline's own wraps are replaced. The process that serves the public page can write the file, so no
        reader is taken from there: its intruder could have put a key of his own into it.
        """
        whole, place = letter.Container.parse(raw), letter.Place(self.bus, self.agency, id, ref)
        secrets = whole.unwrap(self.agency, keys, place)

        def wrapped(part: letter.Sealed | bytes) -> letter.Sealed | bytes:
            if not isinstance(part, letter.Sealed) or part.name not in secrets:
                return part
            sealed = to.wrap(secrets[part.name], place.info(part.name, self.agency, to.kid))
            by = part.by | {self.agency: letter.Wrap(self.agency, to.kid, sealed)}
            wraps = tuple(by[each.to] if isinstance(each, letter.Wrap) else each for each in part.wraps)
            return letter.Sealed(part.name, part.iv, part.ct, part.commit, wraps)

        return letter.Container(tuple(map(wrapped, whole.sealed))).encoded()

    def _sealed(
        self, parts: Mapping[Part, Mapping[str, Any]], readers: list[tuple[str, SealTo]], id: str, ref: str
    ) -> bytes:
        audience = dict.fromkeys(parts, readers)
        return letter.seal(parts, audience, bus=self.bus, source=self.agency, id=id, subject=ref)
