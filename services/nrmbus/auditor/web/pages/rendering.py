"""Templates of the auditor's pages and of a replay's HTML file: the same macros, with links to a server or without."""

from collections.abc import Callable, Iterable
from functools import cache, partial
from pathlib import Path, PurePath
from typing import Any, Final

from jinja2 import Environment

from nrmbus.packed import packed
from nrmbus.web import look
from nrmbus.web.words import Words

FOLDER: Final = Path(__file__).parent
_TYPES: Final = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8"}


@cache
def environment(*, one: bool, links: bool) -> Environment:
    """Return the templates; *one*: there is one partition, *links*: a server answers at the addresses of events.

    ``place_of`` writes where a registration stands.
    """
    made = look.environment(FOLDER / "templates")
    made.globals |= {"place_of": place_of(one=one), "links": links, "options": _options}
    return made


def place_of(*, one: bool) -> Callable[[Any], str]:
    """Return a function that writes the number of a registration, after its partition unless there is *one*."""
    return partial(_place, one=one)


@cache
def static(name: str) -> tuple[bytes, str]:
    """Return content and media type of a style or script, the auditor's own or the kit's. Raises KeyError if there is none."""
    own = {path.name: path for path in packed("auditor/web/pages/static").iterdir()}
    kind = PurePath(name).suffix
    return (own[name].read_bytes(), _TYPES[kind]) if name in own and kind in _TYPES else look.static(name)


def _place(each: Any, *, one: bool) -> str:
    """Return the place of *each*: a row, a point, an entry's registration or a record."""
    partition, number = (each["partition"], each["number"]) if isinstance(each, dict) else (each.partition, each.number)
    return str(number) if one else f"{partition}/{number}"


def _options(t: Words, family: str, codes: Iterable[str], chosen: str, none: str = "") -> list[dict[str, Any]]:
    """Return the items of a select: *codes* with the words of *family*, or as they are; *none* stands for no choice."""
    first = [{"value": "", "text": none}] if none else []
    return first + [
        {"value": each, "text": t.code(family, each) if family else each, "selected": each == chosen} for each in codes
    ]
