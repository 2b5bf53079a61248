"""The whole bus as AsyncAPI 3.0, ``schemas/asyncapi.yaml``, and a page of it for people, ``schemas/asyncapi.html``.

`document` fills ``frame.yaml`` from the topic files, the published types, the procedures and the Rules; `page` renders
the result. A new type, version, topic or line of a procedure needs no edit here.

``python -m nrmbus.published.asyncapi write`` writes both files; ``check`` prints the differences and exits 1.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from nrmbus.events.schemas import FOLDER, write_or_check
from nrmbus.published.asyncapi.document import document
from nrmbus.published.asyncapi.page import page

DOCUMENT: Final = "asyncapi.yaml"
PAGE: Final = "asyncapi.html"
_SHOWN: Final = 40
"""The largest number of differences that are printed."""


class _Dumper(yaml.SafeDumper):
    """YAML without aliases, and with text of several lines as a block."""

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002 - the library's signature
        return True


def _text_of(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text_of)


def documents() -> Mapping[str, str]:
    """Return the text of both files, by path in the folder ``schemas``."""
    made = document()
    text = yaml.dump(made, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)
    return {DOCUMENT: "# Made by `nrmbus schema freeze`; nothing here is written by hand.\n" + text, PAGE: page(made)}


def write(folder: Path = FOLDER) -> tuple[str, ...]:
    """Write the files that differ in *folder*; return their paths in it."""
    written = []
    for path, text in documents().items():
        file = folder / path
        if not file.exists() or file.read_text(encoding="utf-8") != text:
            file.write_text(text, encoding="utf-8")
            written.append(path)
    return tuple(written)


def differences(folder: Path = FOLDER) -> Iterator[str]:
    """Yield a line for each place of the document in *folder* that differs from the code, and one for the page."""
    for path, text in documents().items():
        file = folder / path
        if not file.exists():
            yield f"{path} is missing: nrmbus schema freeze"
        elif (found := file.read_text(encoding="utf-8")) != text:
            places = list(_places(yaml.safe_load(found), yaml.safe_load(text), "")) if path == DOCUMENT else []
            yield from (f"{path}{place}" for place in places[:_SHOWN])
            if len(places) > _SHOWN:
                yield f"{path}: and {len(places) - _SHOWN} more places"
            if not places:
                yield f"{path} is not as it would be made: nrmbus schema freeze"


def _places(found: Any, due: Any, at: str) -> Iterator[str]:
    if isinstance(found, dict) and isinstance(due, dict):
        for key in [*due, *(key for key in found if key not in due)]:
            pointer = f"{at}/{str(key).replace('~', '~0').replace('/', '~1')}"
            if key not in found:
                yield f"#{pointer} is missing"
            elif key not in due:
                yield f"#{pointer} is in no source"
            else:
                yield from _places(found[key], due[key], pointer)
    elif found != due:
        yield f"#{at} differs"


def main(arguments: list[str] | None = None) -> int:
    """Write or check both files; return the exit code."""
    return write_or_check("python -m nrmbus.published.asyncapi", main.__doc__, write, differences, arguments)
