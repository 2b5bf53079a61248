"""Load with letters: referrals whose parts are sealed to the readers that the Rules name, or the same without a letter."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from throughput import Load

from nrmbus.directory import Directory
from nrmbus.events.model import Event, Part
from nrmbus.events.referral import ReferralSubmitted
from nrmbus.play.load import POLICY, Agency, Submission
from nrmbus.rules import Rules
from nrmbus.wire import ids, letter
from nrmbus.wire.envelope import encode, with_letter
from nrmbus.wire.keys.keys import SealTo

FROM: Final = ("ngo-a", "ngo-l", "vac")
TO: Final = "special-unit"
PARTS: Final[Mapping[Part, Mapping[str, Any]]] = {
    "coded": {"interpreter": "rus"},
    "contact": {"contact": {"method": "phone", "value": "+994000000000"}},
    "identity": {"name": "Example", "birth_date": "2000-01-01"},
    "money": {},
    "story": {"facts": "A" * 2_000},
}
"""Content of a referral: each part is padded to 1 KiB, the story to 4 KiB."""


@dataclass(frozen=True, slots=True)
class Sealer:
    """Maker of referrals on the bus *bus*, by its directory and rules; without *letters*, of the same events bare."""

    bus: str
    directory: Directory
    rules: Rules
    letters: bool

    def say(self, agency: Agency, subject: str, now: datetime) -> Submission:
        """Return the referral of *subject*, as the desk of *agency* sends it."""
        sequence = agency.sequences[subject] = agency.sequences.get(subject, 0) + 1
        data = ReferralSubmitted(
            to=(agency.receiver,), mode="referral", reason="FormalIdentification", urgency="emergency", services=()
        )
        fields: dict[str, Any] = {
            "id": ids.new_event_id(), "source": agency.identity.agency, "type": data.type, "version": data.version,
            "subject": subject, "time": now, "recordedtime": now, "sequence": sequence, "actor": "S-0001", "policy": POLICY,
            "data": data, "referral": ids.new_ref(), "legalbasis": "CoM 21/2008 art. 7",
        }  # fmt: skip
        event = Event(**fields)
        if self.letters:
            sealed = self._seal(event, now)
            event = Event(**fields, sealeddigest=letter.Container.parse(sealed).digest)
            record = with_letter(encode(event, agency.identity.signing), sealed)
        else:
            record = encode(event, agency.identity.signing)
        return Submission(event.source, event.id, subject, sequence, ids.partition_of(subject, 1), record)

    def _seal(self, event: Event, now: datetime) -> bytes:
        opens = self.rules.audience(self.rules.start(event.subject), event).opens
        audience = {part: [(each, self._key(each, now)) for each in (event.source, *opens[part])] for part in PARTS}
        return letter.seal(PARTS, audience, bus=self.bus, source=event.source, id=event.id, subject=event.subject)

    def _key(self, agency: str, now: datetime) -> SealTo:
        key = self.directory.seal_to(agency, now)
        assert key is not None, f"{agency} has no key to seal to"
        return key


def load(sealer: Sealer, agencies: Sequence[Agency], now: datetime, count: int, singles: int) -> Load:
    """Return the load: for each case signal and consent first, then *count* referrals in turn, then *singles* more of other cases."""
    start = now - timedelta(seconds=1)
    cases = list(_in_turn(agencies, count + singles))
    before = [agency.submit(subject, start, 1) for agency, subject in cases for _ in ("signal", "consent")]
    asked = [sealer.say(agency, subject, start) for agency, subject in cases]
    return Load(before, asked[:count], asked[count:])


def _in_turn(agencies: Sequence[Agency], count: int) -> Iterator[tuple[Agency, str]]:
    for turn in range(count):
        agency = agencies[turn % len(agencies)]
        yield agency, agency.cases[turn // len(agencies)]
