"""Two releases on one bus: in any order of upgrades, and back, the woman's case goes through with the same recipients."""

import base64
import json
import os
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nrmbus.bus.folder import BusFolder
from nrmbus.client.door import Door
from nrmbus.desk.store import schema
from nrmbus.desk.store.place import on_tables
from nrmbus.directory.admission import home_of
from nrmbus.events.casting import Cast, cast
from nrmbus.events.registry import versions
from nrmbus.host import supervisor
from nrmbus.host.spawn import WARM, Started, Warm
from nrmbus.play.bus import BusStage
from nrmbus.play.player import play
from nrmbus.play.reader import parse
from nrmbus.play.stage import Outcome, Words
from nrmbus.wire.names import AUDITOR, REGISTRAR, TIMEKEEPER
from play.stories import WOMAN, text_of
from released import RELEASES, THIS, unpack

pytestmark = pytest.mark.broker

NEW = {"referral.submitted": 2, "identification.status_decided": 2}
SEED = 7


class TwoReleases:
    """Starter that runs each service in one of two releases: *behind* has those that are not upgraded yet.

    The last release runs from its own tree. Of desks in *older*, it is one from before the second versions of types.
    """

    def __init__(self, released: Path, behind: set[str], older: set[str]) -> None:
        self._behind, self._older = behind, older
        tables = (released / "nrmbus" / "desk" / "store" / "schema.py").read_text("utf-8")
        (self._revision,) = re.findall(r'^REVISION: Final = "(\d+)"', tables, re.MULTILINE)
        tests = Path(__file__).parents[1]
        self._newer = Warm()
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("PYTHONPATH", os.pathsep.join(map(str, (released, tests))))
            self._last, self._before = Warm(), Warm(("older_release", *WARM))

    def spawn(self, name: str, folder: Path) -> Started:
        """Start the service *name*; before the last release starts again, the ledger is taken back to what it reads."""
        ledger = home_of(BusFolder(folder), name) / "ledger.sqlite"
        if name in self._behind and ledger.exists():
            on_tables(ledger, lambda tables: schema.undo(tables, self._revision))
        last = self._before if name in self._older else self._last
        return (last if name in self._behind else self._newer).spawn(name, folder)

    def close(self) -> None:
        """Start no more."""
        for each in (self._newer, self._last, self._before):
            each.close()


class Agencies(BusStage):
    """A stage whose services are of two releases: a desk that stands still before a new version is upgraded then.

    *changes* are further services, one at a time: upgraded, or back in the last release if they had been upgraded.
    """

    def __init__(
        self,
        folder: BusFolder,
        behind: set[str],
        older: set[str],
        speaks: dict[str, dict[str, int]],
        changes: Iterator[str],
    ) -> None:
        super().__init__(folder)
        self._behind, self._older, self._speaks, self._chance = behind, older, speaks, random.Random(SEED)
        self._changes, self._spoken = changes, 0
        self.said: set[int] = set()
        """Versions in which something of the types that have two was registered."""
        self.parked: set[str] = set()
        """Return the agencies whose desk stopped at an unknown version."""

    def _door(self, name: str, home: Path) -> Door:
        return Door.of(home, speaks={} if name in self._older else self._speaks.get(name, {}))

    def publish(self, words: Words) -> Outcome:
        """Say *words* in the version that their agency speaks; then upgrade who stands still, and others, in any order."""
        words = self._said(words)
        outcome = super().publish(words)
        if outcome.registered and words.type in NEW:
            self.said.add(self._version(words))
        stuck = {name for name in self._older if self._stands_still(name)}
        self.parked |= stuck
        if stuck:  # then others may upgrade as well, and in whichever order
            stuck |= {name for name in self._older if self._chance.random() < 1 / 8}
        for name in self._chance.sample(sorted(stuck), len(stuck)):
            self._older.discard(name)
            self._behind.discard(name)
            self.restart(name)
        self._spoken += 1
        if self._spoken % 3 == 0 and (name := next(self._changes, "")):
            self._behind ^= {name}
            self.restart(name)
        return outcome

    def _version(self, words: Words) -> int:
        return 1 if words.by in self._older else self._speaks.get(words.by, {}).get(words.type, 1)

    def _said(self, words: Words) -> Words:
        found = cast(versions(words.type), 1, self._version(words), words.data, words.sealed or {})
        return Words(
            **{name: getattr(words, name) for name in words.__slots__}
            | {"data": found.data, "sealed": None if words.sealed is None else found.letter}
        )

    def _stands_still(self, name: str) -> bool:
        return any(row.get("unknown") for row in self.rows(name))

    def rows(self, name: str) -> list[dict[str, Any]]:
        """Return the inbox of *name* as its system reads it now."""
        return self._run(self._rows(name))

    async def _rows(self, name: str) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = []
        while page := (await self._doors[name].inbox(after=rows[-1]["row"] if rows else 0))["events"]:
            rows += page
        return rows


MIXES = {
    "some older": {"ngo-a", "special-unit", "ngo-l"},
    "the others older": {"vac", "fund", "shelter", "migration"},
}
"""Agencies that begin with the older release. Of the referrals, ngo-a's goes to the special unit, vac's to ngo-l and to the fund:
so older is heard by older and by newer, and newer by both."""
OLD_WORDS = {"special-unit", "shelter"}
"""Agencies whose system goes on in the first version though their desk is of the newer release."""


CHANGES = (REGISTRAR, "shelter", AUDITOR, REGISTRAR, TIMEKEEPER, "shelter", REGISTRAR)
"""Services that change their release on the way: the registrar is upgraded, goes back, and is upgraded again."""


@pytest.mark.parametrize("release", RELEASES or (THIS,))
@pytest.mark.parametrize("mix", ["some older", pytest.param("the others older", marks=pytest.mark.slow)])
def test_the_first_story_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mix: str, release: str) -> None:
    """P8: scenario 1, every expectation, while services of two releases hand her on and change in any order."""
    scenario = parse(text_of(WOMAN), "woman.yaml")
    older = set(MIXES[mix])
    assert older < set(scenario.agencies)
    behind = older | {REGISTRAR, TIMEKEEPER, AUDITOR}
    speaks = {name: NEW for name in scenario.agencies if name not in OLD_WORDS}
    folder = BusFolder(tmp_path / "bus")
    folder.create(play=True)
    released, changes = unpack(release, tmp_path / "released"), iter(CHANGES)
    monkeypatch.setattr(supervisor, "spawner", lambda **_: TwoReleases(released, behind, older))
    with supervisor.Supervisor(folder), Agencies(folder, behind, older, speaks, changes) as stage:
        report = play(scenario, stage)
        handed = {name: [row for row in stage.rows(name) if row["type"] in NEW] for name in scenario.agencies}
        wanted = {name: {} if name in older else speaks.get(name, {}) for name in handed}

    assert [str(failure) for failure in report.failures] == []
    assert next(changes, None) is None
    assert behind == older
    for name in ("special-unit", "ngo-l", "fund"):
        assert handed[name]
    for name, rows in handed.items():
        for row in rows:
            version = wanted[name].get(row["type"], 1)
            said = told(row, version)
            assert (row["version"], row["data"], row.get("lost", [])) == (version, said.data, listed(said))
    assert {row["published"] for rows in handed.values() for row in rows} == stage.said == {1, 2}
    assert stage.parked <= MIXES[mix]
    assert stage.parked or mix != "some older"


def told(row: dict[str, Any], version: int) -> Cast:
    """Return the signed event in *row*, cast to *version*."""
    data = json.loads(base64.b64decode(row["original"]["value"]))
    return cast(versions(row["type"]), row["published"], version, data)


def listed(found: Cast) -> list[dict[str, Any]]:
    """Return the pointers that the door reports as lost in a cast."""
    return [{"version": each.version, "pointer": each.pointer} for each in found.lost]
