"""Rights of new certificates, where the broker was away when they were made."""

from pathlib import Path

import pytest

from nrmbus.bus.errors import KafkaFailed
from nrmbus.bus.folder import BusFolder
from nrmbus.bus.kafka.gate import Gate


def test_who_got_a_certificate_while_the_broker_was_away_gets_its_rights_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without them a service that starts again would be denied everything; and it is restarted once it has them."""
    folder = BusFolder(tmp_path)
    folder.create(bootstrap="127.0.0.1:1")
    gate, made, away, applied = Gate(folder), [frozenset({"ngo-a"})], [True], list[int]()

    def apply() -> None:
        applied.append(1)
        if away:
            raise KafkaFailed("The broker does not answer.")

    monkeypatch.setattr(gate, "equip", lambda _homes: made.pop() if made else frozenset())
    monkeypatch.setattr(gate, "apply", apply)
    with pytest.raises(KafkaFailed):
        gate.keep({})
    with pytest.raises(KafkaFailed):
        gate.keep({})
    away.clear()

    assert gate.keep({}) == {"ngo-a"}
    assert gate.keep({}) == frozenset()
    assert len(applied) == 3
