"""The two lists that an operator or an agency is handed as YAML: whatever they hold, a sentence with the line, at once."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from copies import NAME, SOCIAL_SERVICE_HOUSES, copied, known_here
from hostile import bounded, not_plain
from nrmbus.bus.errors import BusError
from nrmbus.cli.membership.admitting import disposals_of, newcomers_of
from nrmbus.rules import add_profiles

READERS: dict[str, Callable[[Path], Any]] = {
    "agencies": lambda path: newcomers_of(path, "az@2022-04-29"),
    "cases": disposals_of,
}
LAUGHS = "".join(f"{chr(98 + n)}: &{chr(98 + n)} [{', '.join([f'*{chr(97 + n)}'] * 9)}]\n" for n in range(9))

LISTS: dict[str, bytes] = {
    "a billion laughs": b"a: &a [x, x, x, x, x, x, x, x, x]\n" + LAUGHS.encode(),
    "a list that holds itself": b"&a [*a]",
    "an alias of nothing": b"*a",
    "keys merged in": b"a: &x {b: c}\nd:\n  <<: *x",
    "an object of Python's": b"a: !!python/object/apply:os.system [ls]",
    "bytes": b"a: !!binary AAAA",
    "a hundred thousand brackets": b"[" * 100_000,
    "five thousand levels": b"[" * 5000 + b"]" * 5000,
    "three thousand maps": b"{a: " * 3000 + b"}" * 3000,
    "an escape beyond Unicode": b'a: "\\UFFFFFFFF"',
    "a lone surrogate": b'a: "\\ud800"',
    "a zero byte": b"a: \0",
    "UTF-16": "a: b".encode("utf-16"),
    "another code page": b"a: \xff",
    "two documents": b"a: b\n---\nc: d",
    "a later YAML": b"%YAML 9.9\n---\na: b",
    "a key twice": b"a: 1\na: 2",
    "a key that is a list": b"? [a]\n: b",
    "a key that is nothing": b"~: x",
    "a number without an end": b"a: " + b"9" * 100_000,
    "infinity": b"a: .inf",
    "nothing": b"",
    "a text without an end": b'a: "' + b"x" * 100_000,
    "more than a country has": b"#" * 2_000_000,
}


@pytest.mark.thorough
@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("what", LISTS)
def test_an_invalid_list_is_refused_whole(what: str, reader: str, tmp_path: Path) -> None:
    """An invalid list is never read in part, and takes no time."""
    (tmp_path / "list.yaml").write_bytes(LISTS[what])

    with bounded(4), pytest.raises(BusError, match=r"list\.yaml"):
        READERS[reader](tmp_path / "list.yaml")


@pytest.mark.thorough
def test_an_agency_with_many_cases_can_list_them_all(tmp_path: Path) -> None:
    """Given 30,000 cases, some years of a deciding body, then the list with which it leaves the bus is read whole."""
    path = tmp_path / "cases.yaml"
    path.write_text("".join(f'"{number:032x}": deleted\n' for number in range(30_000)))

    assert len(disposals_of(path)) == 30_000


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("what", ["pipe", "folder", "device", "nothing"])
def test_a_pipe_or_device_is_refused(what: str, reader: str, tmp_path: Path) -> None:
    """Nobody waits for a pipe, and no memory is filled."""
    path = {**not_plain(tmp_path), "nothing": tmp_path / "nothing"}[what]

    with bounded(), pytest.raises(BusError, match="cannot be read"):
        READERS[reader](path)


def test_receivers_of_webhooks_are_read_as_a_desk_reads_them(tmp_path: Path) -> None:
    """A slip in `webhooks` is told with its line, and not by a desk that does not start."""
    path = tmp_path / "agencies.yaml"
    path.write_text("ngo-a:\n  role: ngo_outreach\n  webhooks: {networks: [10.1.0.0/16], http_on_loopback: true}\n")

    assert newcomers_of(path, "az@2022-04-29")["ngo-a"].webhooks == {
        "networks": ["10.1.0.0/16"],
        "http_on_loopback": True,
    }
    path.write_text("ngo-a:\n  role: ngo_outreach\n  webhooks: {network: [10.1.0.0/16]}\n")
    with pytest.raises(BusError, match=r"line 1: webhooks of ngo-a: `webhooks` in agency\.json does not have its form"):
        newcomers_of(path, "az@2022-04-29")


def test_a_shelter_of_the_profile_has_places(tmp_path: Path) -> None:
    """Given a role with places, then the list is refused unless the profile has that role among the shelters."""
    path = tmp_path / "list.yaml"
    path.write_text("house: {role: social_services, capacity: {women: 4}}\n")
    with known_here():
        add_profiles([copied(SOCIAL_SERVICE_HOUSES)])

        assert newcomers_of(path, NAME)["house"].capacity == {"women": 4}
        with pytest.raises(BusError, match="line 1: only a shelter has a capacity"):
            newcomers_of(path, "az@2022-04-29")
