"""The whole bus as AsyncAPI 3.0, ``schemas/asyncapi.yaml``, and a page of it for people, ``schemas/asyncapi.html``.

`document` fills ``frame.yaml`` from the topic files, the published types, the procedures and the Rules; `page` renders
the result. A new type, version, topic or line of a procedure needs no edit here.

``python -m nrmbus.published.asyncapi write`` writes both files; ``check`` prints the differences and exits 1.
"""

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Final

from nrmbus.events.schemas import FOLDER, write_or_check
from nrmbus.published import frozen
from nrmbus.published.asyncapi.document import document
from nrmbus.published.asyncapi.page import page

DOCUMENT: Final = "asyncapi.yaml"
PAGE: Final = "asyncapi.html"


@cache
def documents() -> Mapping[str, str]:
    """Return the text of both files, by path in the folder ``schemas``."""
    made = document()
    return {DOCUMENT: frozen.yaml_of(made), PAGE: page(made)}


def write(folder: Path = FOLDER) -> tuple[str, ...]:
    """Write the files that differ in *folder*; return their paths in it."""
    return frozen.write(documents(), folder)


def differences(folder: Path = FOLDER) -> Iterator[str]:
    """Yield a line for each place of the document in *folder* that differs from the code, and one for the page."""
    return frozen.differences(documents(), folder)


def main(arguments: list[str] | None = None) -> int:
    """Write or check both files; return the exit code."""
    return write_or_check("python -m nrmbus.published.asyncapi", main.__doc__, write, differences, arguments)
