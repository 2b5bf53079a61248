"""The event loop of a desk: Ctrl-C ends it as Ctrl-C, whatever fails in the same moment."""

import asyncio
import os
import signal
from pathlib import Path

import pytest

from agencies import BUS
from nrmbus.desk.errors import DeskError
from nrmbus.desk.store.address import Address
from nrmbus.desk.store.ledger import Ledger
from nrmbus.desk.store.place import run
from patience import interruptible


async def _told(error: Exception) -> None:
    """Press Ctrl-C, and fail with *error* when the desk is told to end."""
    os.kill(os.getpid(), signal.SIGINT)
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        raise error from None


async def _failing(error: Exception) -> None:
    raise error


@pytest.mark.parametrize("port", ["abc", "99999999", "0"])
def test_a_misspelt_port_is_an_unfit_address(port: str) -> None:
    """Given a slip in `ledger`, then a sentence names it, as for every other slip there."""
    with pytest.raises(DeskError) as caught:
        Address.parse(f"postgresql://nrm@127.0.0.1:{port}/ledger")

    assert caught.value.code == "ledger_unfit"
    right = "postgresql://nrm@127.0.0.1:5433/ledger"
    assert Address.parse(right).url == right


@pytest.mark.parametrize("member", ["sslrootcert", "sslcert", "sslkey", "passfile"])
def test_a_file_in_an_address_has_an_absolute_path(member: str) -> None:
    """Given a relative path, which is another file for each folder that the desk is started in, then the address is unfit."""
    with pytest.raises(DeskError, match="ledger_unfit"):
        Address.parse(f"postgresql://nrm@127.0.0.1/ledger?sslmode=verify-full&{member}=ca.pem")

    right = f"postgresql://nrm@127.0.0.1/ledger?sslmode=verify-full&{member}=/etc/ssl/ca.pem"
    assert Address.parse(right).url == right


@pytest.mark.parametrize("slip", ["nrm@127.0.0.1:1/ledger?sslmode=requir", "nrm@db..example.org/ledger"])
def test_an_address_with_a_slip_is_not_waited_for(slip: str) -> None:
    """Given a member or a host that can never be right, when the ledger is opened, then the address is unfit and no server is away."""
    place = Address.parse(f"postgresql://{slip}")

    with pytest.raises(DeskError, match="ledger_unfit"):
        run(Ledger.open(place, bus=BUS, agency="vac", patience=0.0), place)


@pytest.mark.parametrize("mode", ["verify-ca", "verify-full"])
def test_a_right_address_waits_for_the_authoritys_certificate(
    mode: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given an address without a slip, and no certificate of the authority in the home folder yet, then the desk waits as for a server."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("PGSSLROOTCERT", raising=False)
    place = Address.parse(f"postgresql://nrm@127.0.0.1:1/ledger?sslmode={mode}")

    with pytest.raises(DeskError, match="ledger_away"):
        run(Ledger.open(place, bus=BUS, agency="vac", patience=0.0), place)


def test_an_error_in_the_moment_of_ctrl_c_is_no_other_end(tmp_path: Path) -> None:
    """Given a request that times out while a person ends the desk, then the desk was ended by the person."""
    with interruptible(), pytest.raises(KeyboardInterrupt):
        run(_told(TimeoutError()), tmp_path / "ledger.sqlite")


def test_an_error_of_its_own_is_raised_as_it_is(tmp_path: Path) -> None:
    """Given nobody who ends the desk, then its error says why it ended."""
    with pytest.raises(TimeoutError):
        run(_failing(TimeoutError()), tmp_path / "ledger.sqlite")
