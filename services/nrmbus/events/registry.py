"""The lookup of published models by type and version. A class is published by being defined in a module of `MODULES`."""

from collections.abc import Mapping
from types import MappingProxyType, ModuleType

from nrmbus.events import (
    access,
    agency,
    breach,
    case,
    consent,
    deadline,
    delivery,
    document,
    erasure,
    fund,
    handover,
    identification,
    justice,
    payment,
    policy,
    provider,
    recovery,
    referral,
    returns,
    review,
    safeguard,
    shelter,
    stats,
    stay,
    support,
)
from nrmbus.events.errors import UnknownType, UnknownVersion
from nrmbus.events.model import Data

MODULES: tuple[ModuleType, ...] = (
    case,
    consent,
    referral,
    handover,
    identification,
    recovery,
    safeguard,
    shelter,
    support,
    payment,
    fund,
    stay,
    returns,
    review,
    justice,
    document,
    deadline,
    delivery,
    access,
    erasure,
    provider,
    agency,
    breach,
    stats,
    policy,
)
"""In the order of the mechanism."""


def _published(modules: tuple[ModuleType, ...]) -> Mapping[tuple[str, int], type[Data]]:
    types: dict[tuple[str, int], type[Data]] = {}
    for module in modules:
        for found in vars(module).values():
            if not (
                isinstance(found, type)
                and issubclass(found, Data)
                and found.__module__ == module.__name__
                and hasattr(found, "type")
            ):
                continue
            if (found.type, found.version) in types:
                message = f"{found.type} version {found.version} is defined twice"
                raise TypeError(message)
            types[found.type, found.version] = found
    return MappingProxyType(types)


TYPES: Mapping[tuple[str, int], type[Data]] = _published(MODULES)
"""Every published (type, version), types without the prefix ``nrm.``, in the order of the mechanism."""


def _by_type() -> Mapping[str, Mapping[int, type[Data]]]:
    found: dict[str, dict[int, type[Data]]] = {}
    for (name, version), data in sorted(TYPES.items()):
        found.setdefault(name, {})[version] = data
    return MappingProxyType({name: MappingProxyType(each) for name, each in found.items()})


_VERSIONS: Mapping[str, Mapping[int, type[Data]]] = _by_type()


def versions(name: str) -> Mapping[int, type[Data]]:
    """Return the models of the type *name* by version, lowest first; empty if there is no such type."""
    return _VERSIONS.get(name, MappingProxyType({}))


def data_type(name: str, version: int) -> type[Data]:
    """Return the model of the type *name* in *version*.

    Raises:
        UnknownType: there is no such type. The error does not repeat *name*, which a stranger may have written.
        UnknownVersion: the type has no such version.
    """
    if found := TYPES.get((name, version)):
        return found
    if known := versions(name):
        raise UnknownVersion(known)
    raise UnknownType
