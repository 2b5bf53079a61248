"""A profile for tests that every process of a bus can load: the one in force, with other values.

Profiles lie in the package and are never written there by a test: a `sitecustomize` on the path of each new process says
what one more reads like.
"""

from collections.abc import Callable
from pathlib import Path

import pytest

from nrmbus.rules import profile_files, profile_text

NAME = "az@2026-01-01"
_CUSTOM = """\
from pathlib import Path
from nrmbus.rules import profile_files
_told, _text = profile_files.profile_text, Path({path!r}).read_text()
profile_files.profile_text = lambda name: _text if name == {name!r} else _told(name)
"""


def with_profile(home: Path, patch: pytest.MonkeyPatch, change: Callable[[str], str]) -> str:
    """Have the profile in force, after *change* of its text, be there as `NAME` in this process and in each that it starts."""
    text = change(profile_text("az@2022-04-29")).replace("name: az@2022-04-29", f"name: {NAME}", 1)
    path = home / "profile.yaml"
    path.write_text(text)
    (home / "sitecustomize.py").write_text(_CUSTOM.format(path=str(path), name=NAME))
    told = profile_files.profile_text
    patch.setattr(profile_files, "profile_text", lambda name: text if name == NAME else told(name))
    patch.setenv("PYTHONPATH", str(home))
    return NAME


def years(text: str) -> str:
    """Everything is kept for a year."""
    return text.replace("years: null", "years: 1")
