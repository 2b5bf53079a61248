"""Answers as JSON types."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from nrmbus.wire import times


def plain(value: Any) -> Any:
    """Return *value* in JSON types: fields that are None are left out, and times are written as on the wire."""
    if isinstance(value, Mapping):
        return {name: plain(each) for name, each in value.items() if each is not None}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    return times.write(value) if isinstance(value, datetime) else value
