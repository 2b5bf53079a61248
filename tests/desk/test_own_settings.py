"""What a desk refuses in its agency.json before it opens its door."""

from pathlib import Path
from typing import Any

import pytest

from intake.public_page import SETTING
from nrmbus.bus.agency_folder import AgencyFolder
from nrmbus.bus.errors import BusError
from nrmbus.bus.private_files import write_json
from nrmbus.desk.own_settings import port_of

PORT = 20123


def listen(address: str, port: int = PORT) -> dict[str, Any]:
    """Return a setting `listen`."""
    return {"address": address, "port": port, "names": ["desk.example.org"]}


def home_with(path: Path, **more: Any) -> AgencyFolder:
    """Return the folder of an agency that sets the port of its door, and *more*."""
    home = AgencyFolder(path)
    write_json(home.agency_json, {"agency": "hotline", "role": "hotline", "port": PORT, **more})
    return home


@pytest.mark.parametrize(
    ("member", "more"),
    [
        ("public.port", {"public": SETTING | {"port": PORT}}),
        ("listen.port", {"listen": listen("0.0.0.0")}),  # noqa: S104 - every address, as a person may set it
        ("listen.port", {"listen": listen("::")}),
        ("listen.port", {"listen": listen("127.0.0.1")}),
        ("public.listen.port", {"public": SETTING | {"listen": listen("::")}}),
    ],
)
def test_two_ports_that_are_one_are_refused(tmp_path: Path, member: str, more: dict[str, Any]) -> None:
    """Given a second member with the door's port on 127.0.0.1, when the desk starts, then the message names both members.

    Else the one that starts second moves, and a web server in front of the public page shows the desk to everybody.
    """
    home = home_with(tmp_path, **more)

    with pytest.raises(BusError, match=rf"`port` and `{member}` in \S+agency\.json are one port of this machine"):
        port_of(home)


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"listen": listen("10.1.2.3")},
        {"listen": listen("0.0.0.0", PORT + 1), "public": SETTING | {"port": PORT + 2}},  # noqa: S104 - as above
        {"public": "no setting"},
        {"public": {"listen": {"port": PORT}}},
    ],
)
def test_the_same_number_at_another_address_is_the_desks_choice(tmp_path: Path, more: dict[str, Any]) -> None:
    """Given no other member with the port on 127.0.0.1, then the door has the port; a wrong `public` is the page's to refuse."""
    assert port_of(home_with(tmp_path, **more)) == PORT
