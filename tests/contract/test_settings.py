"""deploy/SETTINGS.md: one page has every setting, and it is as new as the code."""

import importlib.util
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from contract.tree import ROOT, files, lay
from nrmbus import environment

ONLY = Path("nrmbus/environment.py")
"""The module that reads the environment."""
READS = re.compile(r"\benviron\b(?!ment)|\bgetenv\b|\bBaseSettings\b")


@pytest.fixture(name="generator", scope="module")
def _generator() -> Any:
    spec = importlib.util.spec_from_file_location("settings_page", ROOT / ".ci" / "settings.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def readers(services: Path) -> list[str]:
    """Return each module under *services* that reads the environment and is not `ONLY`."""
    found = [path for path in files(services) if path.suffix == ".py" and READS.search(path.read_text("utf-8"))]
    return [str(name) for path in found if (name := path.relative_to(services)) != ONLY]


def test_the_page_is_as_new_as_the_code(generator: Any) -> None:
    """A setting that was added, changed or removed is on the page: make settings."""
    assert generator.page() == generator.PAGE.read_text(encoding="utf-8"), "deploy/SETTINGS.md is old: make settings"


def test_one_module_reads_the_environment() -> None:
    """A variable that is read elsewhere would be missing from the page: declare it in services/nrmbus/environment.py."""
    assert readers(ROOT / "services") == []


@pytest.mark.parametrize(
    "code", ["os.environ['A']", "environ.get('A')", "os.getenv('A')", "class S(BaseSettings): ..."]
)
def test_another_reader_is_found(tmp_path: Path, code: str) -> None:
    """Sabotage: each way to read a variable outside the module is noticed."""
    lay(tmp_path, {"nrmbus/environment.py": code, "nrmbus/bus/a.py": code, "nrmbus/bus/b.py": "environment(one=1)"})

    assert readers(tmp_path) == ["nrmbus/bus/a.py"]


def test_a_new_setting_makes_the_page_old(generator: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sabotage: a new variable is on the page, with its default and meaning, for each of those who set it."""
    new = environment.Variable("NRMBUS_NEW", by="operator, agency", default="7", does="Is new.")
    monkeypatch.setattr(environment, "NEW", new, raising=False)

    assert generator.page().count("| `NRMBUS_NEW` | 7 | environment | Is new. |") == 2


@dataclass
class _Undescribed:
    first: int
    """The first."""
    second: int


def test_a_setting_without_a_description_is_refused(generator: Any) -> None:
    """Sabotage: a field without a docstring, and a command that nobody is known to give, end the generator with a sentence."""
    with pytest.raises(SystemExit, match=r"_Undescribed\.second is a setting"):
        generator.described(_Undescribed)
    with pytest.raises(SystemExit, match="who gives nrmbus dance"):
        generator.by_whom("dance")
