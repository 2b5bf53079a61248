"""YAML as plain data, read and written by libyaml where PyYAML was built with it: several times as fast."""

from typing import Any, Final

import yaml

_DUMPER: Final = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read(text: str) -> Any:
    """Return the values in *text*."""
    return yaml.load(text, _LOADER)  # noqa: S506 - both are safe loaders


def text_of(values: Any) -> str:
    """Return *values* as YAML."""
    return str(yaml.dump(values, Dumper=_DUMPER, sort_keys=False, allow_unicode=True))
