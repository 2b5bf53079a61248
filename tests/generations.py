"""A release of an earlier generation: the same code, before the newest versions of some types were published."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import MappingProxyType

from nrmbus.events import registry


@contextmanager
def before_version(version: int) -> Iterator[None]:
    """Within the block, this process is a release that knows no type in *version* or a later one."""
    with _only(lambda _, each: each < version):
        yield


@contextmanager
def before_type(name: str) -> Iterator[None]:
    """Within the block, this process is a release that does not have the type *name*."""
    with _only(lambda each, _: each != name):
        yield


@contextmanager
def _only(knows: Callable[[str, int], bool]) -> Iterator[None]:
    types, by_type = registry.TYPES, registry._VERSIONS
    registry.TYPES = MappingProxyType({key: data for key, data in types.items() if knows(*key)})
    left = {name: {each: data for each, data in of.items() if knows(name, each)} for name, of in by_type.items()}
    registry._VERSIONS = MappingProxyType({name: MappingProxyType(of) for name, of in left.items() if of})
    try:
        yield
    finally:
        registry.TYPES, registry._VERSIONS = types, by_type
