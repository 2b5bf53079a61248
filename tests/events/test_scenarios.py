"""The acceptance scenarios speak the published language: every step's fields are a model's fields."""

from pathlib import Path
from typing import Any

import pytest

import nrmbus
import plain_yaml
from nrmbus.events.registry import data_type

FILES = sorted((Path(nrmbus.__file__).parent / "play" / "scenarios").glob("*.yaml"))


def _steps() -> list[Any]:
    found = []
    for file in FILES:
        for number, step in enumerate(plain_yaml.read(file.read_text(encoding="utf-8"))["steps"], 1):
            if "event" in step and not step.get("again"):
                found.append(pytest.param(step, id=f"{file.stem[:2]}-{number}-{step['event']}"))
    return found


def _on_the_wire(step: dict[str, Any]) -> list[dict[str, Any]]:
    """The data of a step as a desk's door writes them: one event a receiver, references filled in."""
    data = {name: value for name, value in step.get("data", {}).items() if name != "legal_basis"}
    data |= {"to": sorted(step["to"])} if "to" in step else {}
    data |= {"decision": "01930000-0000-7000-8000-000000000001"} if "decision" in step else {}
    return [data | {"receivers": [one]} for one in data["receivers"]] if "receivers" in data else [data]


def test_the_scenarios_are_here() -> None:
    """The stories that come with nrmbus are read, so that the tests below are about something."""
    found = [file.stem[:2] for file in FILES]
    assert found == sorted(set(found)), "each story has a number of its own"
    assert {"01", "02", "03", "04", "05", "06", "09", "10", "11", "12"} <= set(found)


@pytest.mark.thorough
@pytest.mark.parametrize("step", _steps())
def test_every_step_is_written_in_published_fields(step: dict[str, Any]) -> None:
    """Every event of a scenario, in the clear and sealed, fits version 1 of its type."""
    published = data_type(step["event"], 1)

    for data in _on_the_wire(step):
        said = {**data, "digest": data.get("digest", "e" * 64)} if step["event"] == "policy.profile_activated" else data
        assert published.from_mapping(said).to_mapping() == said
    if "sealed" in step:
        assert published.letter is not None
        assert published.letter.from_mapping(step["sealed"]).to_mapping() == step["sealed"]
