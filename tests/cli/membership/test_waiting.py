"""``nrmbus agency admit --waiting``: its exit status says whether all that waited was signed."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from nrmbus.bus.folder import BusFolder
from nrmbus.cli.app import app
from nrmbus.cli.membership import agency
from nrmbus.cli.membership.waiting import Answered

SIGNED = Answered("ngo-a (rotated): leyla has signed; the operator enters it.")
REFUSED = Answered("ngo-b: One admitter signed twice: a second person has to sign.", refused=True)


@pytest.mark.parametrize(
    ("answers", "status"), [([SIGNED], 0), ([REFUSED], 1), ([SIGNED, REFUSED], 1)], ids=["all", "none", "some"]
)
def test_the_exit_status_is_1_where_something_was_not_signed(
    answers: list[Answered], status: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program that runs the command sees by the exit status that a person must look; every line is printed."""

    async def signed(*_: object) -> list[Answered]:
        return answers

    folder = BusFolder(tmp_path)
    folder.create()
    monkeypatch.setattr(agency, "signed", signed)
    shown = CliRunner().invoke(app, ["agency", "admit", "--waiting", "--data", str(tmp_path), "--keys-unprotected"])

    assert shown.exit_code == status, shown.output
    assert [answer.line in shown.stdout for answer in answers] == [True] * len(answers)
