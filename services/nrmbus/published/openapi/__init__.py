"""The door of a desk as OpenAPI 3.1, ``schemas/openapi.yaml``: frozen from the routes, and gated; and its page, ``schemas/openapi.html``.

`nrmbus.desk.http.document` makes the document; `breaks` finds what would break a client of the frozen one. Additions are
written; a change that breaks a client is refused.

``python -m nrmbus.published.openapi write`` writes both files; ``check`` prints the differences and exits 1.
"""

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

from nrmbus.desk.http.document import document
from nrmbus.desk.http.door import routed
from nrmbus.desk.http.page import page
from nrmbus.events.schemas import FOLDER, write_or_check
from nrmbus.published import frozen
from nrmbus.published.openapi.breaks import breaks

DOCUMENT: Final = "openapi.yaml"
PAGE: Final = "openapi.html"


@cache
def made() -> Mapping[str, Any]:
    """Return the document of the door as the code has it."""
    return document(routed())


@cache
def documents() -> Mapping[str, str]:
    """Return the text of both files, by path in the folder ``schemas``."""
    return {DOCUMENT: frozen.yaml_of(made()), PAGE: page(made())}


def refused(folder: Path = FOLDER) -> tuple[str, ...]:
    """Return a sentence for each change of the code that breaks a client of the document in *folder*."""
    file = folder / DOCUMENT
    return breaks(frozen.read(file.read_text(encoding="utf-8")), made()) if file.exists() else ()


def write(folder: Path = FOLDER) -> tuple[str, ...]:
    """Write the files that differ in *folder*, unless a client would break; return the paths of those that were written."""
    return () if refused(folder) else frozen.write(documents(), folder)


def differences(folder: Path = FOLDER) -> Iterator[str]:
    """Yield a sentence for each change that breaks a client; without any, a line for each place that differs."""
    found = refused(folder)
    yield from found or frozen.differences(documents(), folder)


def main(arguments: list[str] | None = None) -> int:
    """Write or check both files; return the exit code."""
    return write_or_check("python -m nrmbus.published.openapi", main.__doc__, write, differences, arguments)
