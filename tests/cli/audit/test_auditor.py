"""``nrmbus auditor``: users are added at a terminal, and nothing secret is printed."""

import json
from pathlib import Path

from typer.testing import CliRunner

from nrmbus.bus.folder import BusFolder
from nrmbus.cli.app import app

PASSWORD = "a long example password"


def test_a_user_is_added_listed_and_removed(tmp_path: Path) -> None:
    """The password is asked for twice and never shown; the number is shown, since it is in the history."""
    BusFolder(tmp_path).create(play=True)
    run = CliRunner()
    added = run.invoke(app, ["auditor", "user", "add", "leyla", "--data", str(tmp_path)], input=f"{PASSWORD}\n" * 2)
    assert added.exit_code == 0
    assert PASSWORD not in added.output
    actor = json.loads((tmp_path / "auditor" / "users.json").read_bytes())["users"]["leyla"]["actor"]
    assert f"under number {actor} in the history" in added.output

    run.invoke(app, ["auditor", "user", "remove", "leyla", "--data", str(tmp_path)])
    listed = run.invoke(app, ["auditor", "user", "list", "--data", str(tmp_path)])
    assert listed.output == f"{actor}  leyla  (may not sign in any more)\n"


def test_two_passwords_that_differ_add_nobody(tmp_path: Path) -> None:
    """The passwords are asked for again until they agree; a user who gives up is not added."""
    BusFolder(tmp_path).create(play=True)
    typed = f"{PASSWORD}\nanother example password\n"
    added = CliRunner().invoke(app, ["auditor", "user", "add", "leyla", "--data", str(tmp_path)], input=typed)
    assert added.exit_code != 0
    assert not (tmp_path / "auditor" / "users.json").exists()
