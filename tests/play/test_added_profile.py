"""A profile of a country's own, added to a bus that runs, and put in force by two people: no service is started again."""

import re
from collections.abc import Iterator, Mapping
from datetime import date, datetime
from pathlib import Path
from typing import Final

import pytest

from copies import NAME, RECOVERY_OF_45_DAYS, REFER_IN_36_HOURS, Change, copied, known_here
from nrmbus.auditor.history.whole import audited_in_jobs
from nrmbus.auditor.reports.rejudge import otherwise
from nrmbus.bus.folder import BusFolder
from nrmbus.cli.operate import rules
from nrmbus.host.supervisor import Supervisor
from nrmbus.play.bus import BusStage
from nrmbus.play.player import play
from nrmbus.play.reader import parse
from nrmbus.rules import load_profile
from patience import until
from play.stories import text_of

pytestmark = [pytest.mark.broker, pytest.mark.slow]

SOCIAL_SERVICE_DECIDES: Final[Change] = ("DECIDERS: [special_unit]", "DECIDERS: [social_services]")
LOOK_BACK_IN_30_DAYS: Final[Change] = ("length: {days: 20}", "length: {days: 30}")
CHANGES: Final = Path("13-the-rules-change")
DAY: Final = date(2026, 3, 2)
EVERYBODY: Final = {"registrar", "timekeeper", "auditor", "ngo-a", "special-unit", "coordinator"}


@pytest.fixture(autouse=True)
def _forgotten() -> Iterator[None]:
    with known_here():
        yield


def known_by(folder: BusFolder, digest: str) -> set[str]:
    """Return the services whose log says that they know the profile of *digest*."""
    line = re.compile(rf'"event": ?"profile_known".*{digest}|{digest}.*"event": ?"profile_known"')
    return {path.stem for path in folder.logs.glob("*.log") if line.search(path.read_text())}


class Adding(BusStage):
    """Stage on which the operator adds the profile in *file* once the second day of the story has come."""

    def __init__(self, folder: BusFolder, file: Path) -> None:
        super().__init__(folder)
        self._home, self._file = folder, file
        self.known_by: set[str] = set()

    def advance(self, at: datetime) -> None:
        """Go on to *at*; on the second day every service takes the profile first, and none is started again."""
        if at.date() > DAY and not self.known_by:
            rules.add(self._file, data=self._home.path)
            digest = load_profile(NAME).digest
            until("everybody knows the profile", lambda: known_by(self._home, digest) >= EVERYBODY)
            self.known_by = known_by(self._home, digest)
        super().advance(at)


def starts(folder: BusFolder) -> Mapping[str, int]:
    """Return how often each service has begun, by its log."""
    return {path.stem: path.read_text().count("starts here, and says below") for path in folder.logs.glob("*.log")}


def test_one_case_goes_on_under_the_old_profile_and_the_next_begins_under_the_added_one(tmp_path: Path) -> None:
    """The operator adds a file; registrar, timekeeper, auditor and desks take it, and the story of a change of the Rules holds."""
    folder, file = BusFolder(tmp_path / "bus"), tmp_path / "draft.yaml"
    file.write_text(copied(SOCIAL_SERVICE_DECIDES, REFER_IN_36_HOURS, *RECOVERY_OF_45_DAYS, LOOK_BACK_IN_30_DAYS))
    folder.create(play=True)
    text = text_of(CHANGES).replace("osce-generic@2022-01-01", NAME)
    with Supervisor(folder), Adding(folder, file) as stage:
        report = play(parse(text, CHANGES.name), stage)
        seen = audited_in_jobs(folder)

    assert [str(failure) for failure in report.failures] == []
    assert {entry.registration.policy.name for entry in seen.history.entries} == {"az@2022-04-29", NAME}
    assert list(otherwise(seen.history.entries, seen.rules, seen.directory)) == []
    often = {name for name, count in starts(folder).items() if count > 1}
    assert often == {"registrar"}, "the story stops it once, after the activation"
