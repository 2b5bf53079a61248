"""What the head, the navigation and the foot of every page show: `templates/base.html.j2` reads it as `says`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from nrmbus.web.languages import Language

LANGUAGE: Final = "language"
"""Value of `go` in a form that only asks for its page in another language, with what stands in it: nothing is judged or done."""


@dataclass(frozen=True, slots=True)
class Place:
    """Entry of the navigation: a page, and how many things wait there."""

    text: str
    path: str
    is_here: bool
    count: int | None = None
    is_late: bool = False
    key: str = ""
    """Name of the list that is counted."""


@dataclass(frozen=True, slots=True)
class Says:
    """What the head and foot of every page say."""

    service: str
    agency: str
    root: str
    """Beginning of the address of every page, such as ``/app``; empty if the pages have the site to themselves."""
    languages: Mapping[Language, str]
    in_language: Callable[[str], str]
    notice: str = ""
    footer: str = ""
    session_seconds: int = 0
    """Seconds until the session ends if nothing happens; 0 without one."""
    navigation: tuple[Place, ...] = ()
    back: str = ""
    """Page to which the sign-in leads back, below `root`: a form's answer has no address of its own."""

    @property
    def home(self) -> str:
        """Address of the first page."""
        return f"{self.root}/"

    @property
    def static(self) -> str:
        """Address of styles and scripts."""
        return f"{self.root}/static"
