"""Places of processes that stand by for one another: no two have the same, whatever the environment says."""

import pytest

from nrmbus.bus.replicas import PLACES, place_of


@pytest.mark.parametrize("machine", [None, "north"])
def test_no_two_processes_have_one_place(machine: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a machine with a name of its own or none, then each process of a service has another place: Kafka knows it by that."""
    if machine:
        monkeypatch.setenv("NRMBUS_PLACE", machine)
    else:
        monkeypatch.delenv("NRMBUS_PLACE", raising=False)

    places = [place_of(number) for number in range(1, len(PLACES) + 1)]

    assert len(set(places)) == len(PLACES)
    assert places[0] == (machine or "a")
