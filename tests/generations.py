"""A release of an earlier generation: the same code, before the newest versions of some types were published."""

from collections.abc import Iterator
from contextlib import contextmanager
from types import MappingProxyType

import nrmbus.events


@contextmanager
def before_version(version: int) -> Iterator[None]:
    """Within the block, this process is a release that knows no type in *version* or a later one."""
    types, by_type = nrmbus.events.TYPES, nrmbus.events._VERSIONS
    nrmbus.events.TYPES = MappingProxyType({key: data for key, data in types.items() if key[1] < version})
    nrmbus.events._VERSIONS = MappingProxyType(
        {
            name: MappingProxyType({each: data for each, data in known.items() if each < version})
            for name, known in by_type.items()
        }
    )
    try:
        yield
    finally:
        nrmbus.events.TYPES, nrmbus.events._VERSIONS = types, by_type
