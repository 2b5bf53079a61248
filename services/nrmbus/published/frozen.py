"""Documents that the code makes and `schemas/` keeps: written, and compared place by place."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import yaml

_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""The loader of libyaml where PyYAML was built with it: a document of 800 KB is read in 0.2 s instead of 1."""
_SHOWN: Final = 40
"""The largest number of differences that are printed."""


class _Dumper(yaml.SafeDumper):
    """YAML without aliases, and with text of several lines as a block."""

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002 - the library's signature
        return True


def _text_of(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text_of)


def yaml_of(document: Mapping[str, Any]) -> str:
    """Return the text of the file for *document*."""
    text = yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)
    return "# Made by `nrmbus schema freeze`; nothing here is written by hand.\n" + text


def read(text: str) -> Any:
    """Return the document in *text*."""
    return yaml.load(text, _LOADER)  # noqa: S506 - both are safe loaders


def write(made: Mapping[str, str], folder: Path) -> tuple[str, ...]:
    """Write the files of *made* that differ in *folder*; return their paths in it."""
    written = []
    for path, text in made.items():
        file = folder / path
        if not file.exists() or file.read_text(encoding="utf-8") != text:
            file.write_text(text, encoding="utf-8")
            written.append(path)
    return tuple(written)


def differences(made: Mapping[str, str], folder: Path) -> Iterator[str]:
    """Yield a line for each place of a document in *folder* that differs from *made*, and one for a page."""
    for path, text in made.items():
        file = folder / path
        if not file.exists():
            yield f"{path} is missing: nrmbus schema freeze"
        elif (found := file.read_text(encoding="utf-8")) != text:
            places = list(_places(read(found), read(text), "")) if path.endswith(".yaml") else []
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
