"""P6: after every holder erased a case, the history still proves what happened, and nobody can read the letters."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from agencies import BUS, CASE, NOW
from auditor.evidence.given import Evidence, Lines, of_kind, read
from desk.given import FakeRegistrar, Given, consumed, desk_of
from nrmbus.auditor.evidence.file import evidence_of
from nrmbus.auditor.history.history import History
from nrmbus.auditor.reports.erasure_certificate import Certificate, certificate
from nrmbus.cli.audit import erasure
from nrmbus.desk.erasure import rounds
from nrmbus.desk.letters import case_keys
from nrmbus.events.erasure import AccessErasureConfirmed, AccessErasureDue
from nrmbus.events.model import Part
from nrmbus.registrar.shard import Decision
from nrmbus.wire import base64
from nrmbus.wire.envelope import decode
from nrmbus.wire.letter import Container, Place
from nrmbus.wire.record import Record
from registrar.given import Bus, as_record, to

CANARY = "CANARY Alina Example"
REFERRAL: dict[str, Any] = {
    "to": ["vac"],
    "mode": "referral",
    "reason": "AdditionalServicesRequired",
    "urgency": "urgent",
    "services": ["legal"],
}
PARTS: dict[Part, dict[str, Any]] = {"coded": {}, "contact": {}, "identity": {"name": CANARY}, "money": {}, "story": {}}
READERS: dict[Part, list[str]] = {
    "coded": ["vac", "statistics"], "contact": ["vac"], "identity": ["vac"], "story": ["vac"],
}  # fmt: skip


class Story:
    """A sealed referral on the bus of the evidence, a court, and the desk of the receiver."""

    def __init__(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Refer a woman to the assistance centre, and note each record for its inbox."""
        self.inbox: list[Record] = []
        decide = Bus.take

        def noted(bus: Bus, *about: Any, **more: Any) -> Decision:
            decision = decide(bus, *about, **more)
            self.inbox += [as_record(out) for out in to(decision, "vac")]
            return decision

        monkeypatch.setattr(Bus, "take", noted)
        self.evidence = Evidence(home)
        self.bus, self.shard = self.evidence.bus, self.evidence.bus.shard()
        for record in self.bus.history:
            self.shard.memory.fold(record)
        self.shard.memory.check_head(lambda _: self.bus.key.verify_key)
        event = self.bus.event("ngo-a", "referral.submitted", REFERRAL, referral="cd" * 16, legalbasis="CoM 123/2009")
        submitted = self.bus.signed(event, PARTS, READERS)
        letter = decode(submitted).letter()
        assert letter is not None
        self.letter, self.place = letter, Place(BUS, "ngo-a", event.id, CASE)
        self.take(submitted, "ngo-a", 0)

    def take(self, record: Record, owner: str, days: float) -> None:
        """Have the registrar decide, *days* later."""
        decision = self.bus.take(self.shard, record, owner=owner, now=NOW + timedelta(days=days))
        assert decision.outcome == "registered", decision.code

    def say(self, by: str, type_: str, data: dict[str, Any], days: float, **more: Any) -> str:
        """Register one event without a letter, and return its id."""
        event = self.bus.event(by, type_, data, at=NOW + timedelta(days=days), **more)
        self.take(self.bus.signed(event), by, days)
        return event.id

    def exported(self, name: str, *results: str) -> bytes:
        """Return the evidence as it is now, verified with the keys of log, witnesses and operator; *results* may occur."""
        evidence = self.evidence
        evidence.log = evidence.logged(self.bus, name)
        raw = evidence_of(CASE, evidence.source())
        verification = evidence.verified(raw)
        assert {line.result for line in verification.lines} == {"ok", *results}
        assert verification.verdict[0] == 0
        return raw

    def certificate(self) -> Certificate:
        """Return what the verified history proves of the erasure."""
        history = History(self.bus.directory)
        for record in self.bus.history:
            history.take(record, 0)
        history.verifier.check_last()
        return certificate(history.about(CASE))


async def settled(story: Story, vac: Given) -> None:
    """Carry records between registrar and desk until neither has more."""
    heard = len(await vac.rows("inbox"))
    while True:
        for offset, record in enumerate(story.inbox[heard:], start=heard):
            await vac.hear(consumed(record, to="vac", offset=offset))
        heard = len(story.inbox)
        said = await vac.out()
        for sent in said:
            story.take(sent, "vac", 9)
        if not said:
            return


async def erased(story: Story, home: Path) -> None:
    """Have the court end access; nobody objects for a week, and the desk of the receiver erases and confirms."""
    story.say("court", "access.terminated", {"body": "court", "scope": "case"}, 1, approver="S-2")
    assert story.bus.say_due(story.shard, AccessErasureDue.type).outcome == "registered"
    async with desk_of("vac", home, registrar=FakeRegistrar(story.bus)) as vac:
        vac.clock.time = NOW + timedelta(days=9)
        await settled(story, vac)
        with vac.desk.seat.ledger.read() as tx:
            secrets = case_keys.secrets_of(vac.desk.seat, tx, story.place)
        assert story.letter.open_with(secrets, story.place)["identity"] == {"name": CANARY}
        assert await rounds.erase_due(vac.desk) == (CASE,)
        await settled(story, vac)
        with vac.desk.seat.ledger.read() as tx:
            assert case_keys.secrets_of(vac.desk.seat, tx, story.place) == {}


def registered(lines: Lines) -> Lines:
    """Return the registrations without their proofs, which a larger tree changes."""
    return [{name: part for name, part in each.items() if name != "proof"} for each in of_kind(lines, "registration")]


async def test_p6_after_an_erasure_the_evidence_verifies_and_nothing_in_it_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Earlier registrations are the same afterwards, and the confirmation is registered with them."""
    story = Story(tmp_path, monkeypatch)
    before = registered(read(story.exported("before")))
    await erased(story, tmp_path / "vac-desk")
    raw = story.exported("after")
    after = registered(read(raw))

    assert any("envelope" in each for each in before)
    assert after[: len(before)] == before
    assert len(after) > len(before)
    assert story.letter.digest.encode() in raw


async def test_p6_no_evidence_and_no_file_of_the_desk_opens_the_letter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before the erasure the desk's ledger has the sealed letter (the sabotage); afterwards no file has."""
    story = Story(tmp_path, monkeypatch)
    home = tmp_path / "vac-desk"
    sealed = Container.parse(story.letter.copy_for("vac")).sealed
    pieces = [each.ct for each in sealed if not isinstance(each, bytes)]
    assert len(pieces) == len(READERS)
    async with desk_of("vac", home, registrar=FakeRegistrar(story.bus)) as vac:
        for offset, record in enumerate(story.inbox):
            await vac.hear(consumed(record, to="vac", offset=offset))
    held = b"".join(path.read_bytes() for path in home.iterdir())
    assert pieces[1][:90] in held
    for path in home.iterdir():
        path.unlink()

    await erased(story, home)

    for content in (b"".join(path.read_bytes() for path in home.iterdir()), story.exported("after")):
        assert CANARY.encode() not in content
        assert not any(piece[:90] in content for piece in pieces)
        assert not any(base64.encode(piece[:90]).encode() in content for piece in pieces)


async def test_the_certificate_says_who_confirmed_and_who_has_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The verified history alone decides; the horizon is known once every confirmation is there."""
    story = Story(tmp_path, monkeypatch)
    assert not story.certificate().confirmed
    await erased(story, tmp_path / "vac-desk")

    found = story.certificate()
    assert (found.ground, found.decided_by, found.complete, found.horizon) == ("decision", "court", False, None)
    assert [each.agency for each in found.confirmed] == ["vac"]
    assert found.missing == ("court", "ngo-a", "special-unit", "statistics"), "the statistics had the coded facts"
    lines = list(erasure.lines(CASE, found))
    assert any(line.startswith("NOT CONFIRMED by ngo-a") for line in lines)
    assert any(line.startswith("NOT CONFIRMED by statistics") for line in lines)
    for agency, day in (("court", 1), ("ngo-a", 2), ("special-unit", 3), ("statistics", 1)):
        horizon = f"2026-07-0{day}T00:00:00Z"
        story.say(agency, AccessErasureConfirmed.type, {"ground": "decision", "horizon": horizon}, 9)
    found = story.certificate()
    assert (found.complete, found.missing, found.horizon) == (True, (), datetime(2026, 7, 3, tzinfo=UTC))
    story.say(
        "special-unit", AccessErasureConfirmed.type, {"ground": "decision", "horizon": "2026-06-01T00:00:00Z"}, 10
    )
    assert story.certificate().horizon == datetime(2026, 7, 3, tzinfo=UTC), "what was said once is not taken back"
    assert erasure.mapping(CASE, found)["horizon"] == "2026-07-03T00:00:00Z"


async def test_a_confirmation_counts_for_one_decision_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second decision asks every holder again; until all have confirmed again, the certificate is not complete."""
    story = Story(tmp_path, monkeypatch)
    holders = ("court", "ngo-a", "special-unit", "statistics", "vac")
    word = {"ground": "decision", "horizon": "2026-07-03T00:00:00Z"}
    for day in (1, 20):
        story.say("court", "access.terminated", {"body": "court", "scope": "case"}, day, approver="S-2")
        assert story.bus.say_due(story.shard, AccessErasureDue.type).outcome == "registered"
        assert story.certificate().missing == holders
        for agency in holders:
            story.say(agency, AccessErasureConfirmed.type, word, day + 9)
        assert story.certificate().complete
