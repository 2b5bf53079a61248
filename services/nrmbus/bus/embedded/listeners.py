"""Addresses under which other machines reach the embedded broker, each a listener of its own with a fixed port.

The bus's own services use a listener on the loopback address, so no crowd at the others' listeners keeps them out.
Kafka counts connections, and has network threads, per listener.
"""

import socket
from collections.abc import Iterable
from ipaddress import ip_address
from typing import Final

from nrmbus.bus.embedded.ports import who_listens
from nrmbus.bus.errors import KafkaFailed, NoBus
from nrmbus.bus.folder import Listening
from nrmbus.bus.reach import is_address, parts

PORT: Final = 9093
"""The port where none is given: the usual one of Kafka over TLS."""
EVERYWHERE: Final = "0.0.0.0"  # noqa: S104 - only where a router passes connections on, and somebody said so
CONNECTIONS: Final = {"max.connections": 1000, "max.connection.creation.rate": 50}
"""Limits of each listener for other machines: thirty desks hold about two hundred connections."""


def listening(given: Iterable[str], *, forwarded: bool = False, brokers: int = 1) -> Listening:
    """Return what to listen on, from HOST or HOST:PORT as a person gives them.

    *forwarded* says that a router passes connections for these addresses on to this machine.
    Of several *brokers* the first has the port, and each other one the next port.

    Raises:
        NoBus: one is no address, or none of this machine, or two have one port; the message says what to give.
    """
    found = tuple((each if is_address(each) else f"{each}:{PORT}").lower() for each in given)
    for each in found:
        if each == f"none:{PORT}":
            raise NoBus("--listen none closes the bus to other machines: give it alone, or leave it out.")
        if not is_address(each) or "," in each:
            raise NoBus(
                f"--listen takes HOST or HOST:PORT, as other machines reach this one; without PORT it is {PORT}."
            )
    found = tuple(_with_port(each, more) for each in found for more in range(brokers))
    ports = [parts(each)[1] for each in found]
    if len(set(ports)) < len(ports):
        raise NoBus(
            "Each --listen needs a port of its own, and on a bus with three brokers three in a row: "
            "Kafka answers on a port with one name."
        )
    made = Listening(found, forwarded=forwarded)
    for each in found:
        bound(each, forwarded=forwarded)
    return made


def _with_port(address: str, more: int) -> str:
    return f"{address.rpartition(':')[0]}:{parts(address)[1] + more}"


def bound(address: str, *, forwarded: bool) -> str:
    """Return the address of this machine on which the listener for *address* (HOST:PORT) listens.

    Raises:
        NoBus: HOST cannot be resolved, is none of this machine, is a name that means the machine itself only, or is the
            unspecified address, which no other machine can reach.
    """
    host, port = parts(address)
    if forwarded:
        # No name is looked up: it may be the router's, known to other machines only. Kafka does not start with 0.0.0.0.
        if _is_unspecified(host):
            raise _unreachable(host)
        return EVERYWHERE
    try:
        found = [str(each[4][0]) for each in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
    except (OSError, UnicodeError):  # the latter for a name with an empty or too long label
        raise NoBus(
            f"{host} has no address here: check the name, or give --listen the machine's own address."
        ) from None
    ours = [each for each in found if _is_ours(each)]
    if not ours:
        raise NoBus(
            f"{host}{'' if host in found else f', which is {found[0]},'} is no address of this machine. If a router passes "
            "connections on from there, say --forwarded; otherwise give --listen an address of this machine."
        )
    if all(ip_address(each).is_unspecified for each in ours):
        raise _unreachable(host)
    reached = [each for each in ours if not ip_address(each).is_loopback]
    if not reached and host != "localhost" and host not in ours:
        raise NoBus(
            f"{host} means {ours[0]} here, where only this machine listens (see /etc/hosts): give --listen the address "
            "that other machines use."
        )
    return (reached or ours)[0]


def _is_unspecified(host: str) -> bool:
    try:
        return ip_address(host).is_unspecified
    except ValueError:  # a name
        return False


def _unreachable(host: str) -> NoBus:
    return NoBus(f"No other machine reaches this one at {host}: give --listen the name or address that they use.")


def settings(listens: Listening, protocol: str) -> tuple[dict[str, str], list[str], list[str]]:
    """Return Kafka's settings of the listeners, and their entries for ``listeners`` and ``advertised.listeners``.

    Raises:
        NoBus: an address is none of this machine any more.
        KafkaFailed: another program has one of the ports.
    """
    named, mine, told = dict[str, str](), list[str](), list[str]()
    protocols = [f"{protocol}:{protocol}", f"CONTROLLER:{protocol}"]
    for number, address in enumerate(listens.addresses, 1):
        name, place = f"AGENCIES{number}", bound(address, forwarded=listens.forwarded)
        _see_that_it_is_free(place, parts(address)[1])
        mine.append(f"{name}://{_bracketed(place)}:{parts(address)[1]}")
        told.append(f"{name}://{address}")
        protocols.append(f"{name}:{protocol}")
        named |= {f"listener.name.{name.lower()}.{key}": str(value) for key, value in CONNECTIONS.items()}
    return named | {"listener.security.protocol.map": ",".join(protocols)}, mine, told


def _is_ours(address: str) -> bool:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        try:
            probe.bind((address, 0))
        except OSError:
            return False
    return True


def _see_that_it_is_free(place: str, port: int) -> None:
    family = socket.AF_INET6 if ":" in place else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as Kafka does
        try:
            probe.bind((place, port))
        except PermissionError:
            raise KafkaFailed(f"This account may not listen on port {port}: give --listen a port above 1023.") from None
        except OSError:
            raise KafkaFailed(
                f"Another program listens on {place}:{port}: {who_listens()} shows it. End it, or give --listen another port "
                "and the agencies a new invitation."
            ) from None


def _bracketed(address: str) -> str:
    return f"[{address}]" if ":" in address else address
