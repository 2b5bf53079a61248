"""Time zones as the release has them, by the package ``tzdata``: a machine's own files may be years old."""

from functools import cache
from importlib import resources
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError


@cache
def zone_of(name: str) -> ZoneInfo:
    """Return the time zone of a name of the IANA's list, such as ``Asia/Baku``.

    A deadline must be the same at registrar, desk and auditor, so the zone files of the machine are not asked.
    Such a zone cannot be pickled, so no view of a case may hold one: the registrar pickles cases.

    Raises:
        ZoneInfoNotFoundError: The list has no such name.
    """
    if name not in _names():
        message = f"no time zone {name}"
        raise ZoneInfoNotFoundError(message)
    with (resources.files("tzdata") / "zoneinfo").joinpath(*name.split("/")).open("rb") as file:
        return ZoneInfo.from_file(file, key=name)


@cache
def _names() -> frozenset[str]:
    return frozenset((resources.files("tzdata") / "zones").read_text("ascii").split())
