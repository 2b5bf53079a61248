"""A bus has a canary if it is set; one that a registrar of an earlier release registers falls silent."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiokafka import ConsumerRecord
from aiokafka.errors import KafkaTimeoutError

from nrmbus.bus.errors import NoBus
from nrmbus.bus.folder import CANARY_SECONDS, BusFolder
from nrmbus.bus.vitals import RELEASE
from nrmbus.canary.app import Canary
from nrmbus.canary.hand_overs import SENDER, HandOvers
from nrmbus.host.services import services_of
from nrmbus.wire.names import CANARY
from nrmbus.wire.record import REGISTRATION


def test_a_bus_has_a_canary_only_if_it_is_set(tmp_path: Path) -> None:
    """Given a folder without the setting, then there is no canary; `nrmbus up` sets one a minute, and keeps what was set."""
    folder = BusFolder(tmp_path)
    assert (folder.canary_seconds, CANARY in services_of(folder)) == (0, False)
    folder.send_canary(None)
    assert (folder.canary_seconds, CANARY in services_of(folder)) == (CANARY_SECONDS, True)
    folder.send_canary(0)
    folder.send_canary(None)
    assert (folder.canary_seconds, CANARY in services_of(folder)) == (0, False)
    (tmp_path / "canary.json").write_text("{")
    with pytest.raises(NoBus, match=r"canary\.json cannot be read"):
        folder.canary_seconds  # noqa: B018 - raises


async def test_a_hand_over_that_was_registered_is_not_repeated_every_minute() -> None:
    """Given a registrar that does not know test hand-overs, and registers one as refused, then no other follows within the hour."""
    began = list[object]()
    canary = object.__new__(Canary)
    canary._again_at = 0.0

    def begin(*_: object) -> tuple[()]:
        began.append(1)
        return ()

    canary._hand_overs = cast("Any", SimpleNamespace(begin=begin))
    await canary._begin()
    await canary._take(SENDER, cast("ConsumerRecord[Any, Any]", SimpleNamespace(headers=((REGISTRATION, b"{}"),))))
    await canary._begin()

    assert began == [1]


async def test_a_directory_that_does_not_answer_ends_no_canary() -> None:
    """Given an answer under a key that is not known, while the directory does not answer, then the answer counts as none."""
    canary = object.__new__(Canary)
    canary._directory = cast("Any", SimpleNamespace(registrar_key=None))
    asked = list[str]()

    async def catch_up() -> None:
        asked.append("directory")
        raise KafkaTimeoutError

    canary._reader = cast("Any", SimpleNamespace(catch_up=catch_up))

    assert await canary._answer(b"no statement") is None
    assert asked == ["directory"]


async def test_it_tells_its_release() -> None:
    """Given an upgrade, then `nrmbus upgrade --check` compares the canary with it as every other service."""
    canary = object.__new__(Canary)
    canary._seconds, canary._hand_overs = 60.0, HandOvers("b", 1, {}, began=0.0)

    assert (await canary.health())["release"] == RELEASE
