"""The guard of what a desk sends to: public addresses by https, and what the administrator allows."""

from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address, ip_network
from pathlib import Path

import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st

from nrmbus.desk.errors import DeskError
from nrmbus.desk.webhooks import egress
from nrmbus.desk.webhooks.egress import Egress

CLOSED = [
    "127.0.0.1", "127.8.9.1", "0.0.0.1", "0.1.2.3", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "100.64.0.1",
    "100.100.100.200", "169.254.169.254", "169.254.170.2", "168.63.129.16", "192.0.0.192", "192.0.2.1", "198.18.0.1",
    "198.51.100.1", "203.0.113.1", "192.88.99.1", "224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255",
    "::", "::1", "::ffff:127.0.0.1", "::ffff:8.8.8.8", "::7f00:1", "fe80::1", "fe80::1%eth0", "fec0::1", "fc00::1", "fd00:ec2::254",
    "ff02::1", "64:ff9b::7f00:1", "64:ff9b:1::1", "2002:7f00:1::", "2002:a9fe:a9fe::1", "2001::1", "2001:db8::1", "3fff::1",
    "5f00::1", "100::1", "4000::1", "localhost", "", "1.2.3.4.5",
]  # fmt: skip
OPEN = ["8.8.8.8", "1.1.1.1", "172.32.0.1", "100.128.0.1", "192.0.1.1", "2a00:1450:4001:80b::200e", "2600::1"]


@pytest.mark.parametrize("address", CLOSED)
def test_an_address_that_is_not_public_is_refused(address: str) -> None:
    """This machine, private and shared networks, every cloud's metadata, and addresses that contain another one."""
    assert not Egress().allows(address)


@pytest.mark.parametrize("address", OPEN)
def test_a_public_address_is_allowed(address: str) -> None:
    """Neighbours of the closed networks too."""
    assert Egress().allows(address)


@given(st.ip_addresses(v=4) | st.ip_addresses(v=6), st.sampled_from(["10.1.0.0/16", "fd12::/32", "127.0.0.0/8"]))
def test_the_administrator_opens_that_very_network_and_no_other(
    address: IPv4Address | IPv6Address, network: str
) -> None:
    """An allowed network changes nothing for an address outside it."""
    opened, named = Egress((ip_network(network),)), ip_network(network)
    within = address.version == named.version and address in named

    assert opened.allows(str(address)) == (within or Egress().allows(str(address)))
    assert not Egress().allows(str(address), plain=True)


def test_plain_http_is_for_this_machine_alone() -> None:
    """Only an explicit setting allows http, and then only to loopback in an allowed network."""
    tests = Egress((ip_network("127.0.0.0/8"), ip_network("10.0.0.0/8")), plain_on_loopback=True)

    assert tests.allows("127.0.0.1", plain=True)
    assert not tests.allows("10.0.0.1", plain=True)
    assert not tests.allows("8.8.8.8", plain=True)
    assert not Egress(plain_on_loopback=True).allows("127.0.0.1", plain=True)


@pytest.mark.parametrize(
    "url",
    [
        "http://example.org/", "ftp://example.org/", "https://", "https:///x", "https://user@example.org/", "https://u:p@example.org/",
        "https://example.org/#part", "https://example.org:0/", "https://example.org:99999/", "https://exa mple.org/",
        "https://example.org\\@127.0.0.1/", "https://example.org/\n", "https://[::1", "https://[v1.x]/", "example.org", "",
        "https://example.org/" + "x" * 2048, "https://" + "a" * 70 + ".org/", "https://exämple.org/",
    ],
)  # fmt: skip
def test_a_url_that_is_no_plain_https_address_is_refused(url: str) -> None:
    """No other scheme, no user, no fragment, no second reading."""
    with pytest.raises(DeskError) as refused:
        Egress().parsed(url)

    assert refused.value.code == "webhook_address_refused"


@given(st.text(max_size=60).map("https://".__add__) | st.text(max_size=60))
def test_no_url_ends_in_another_error(url: str) -> None:
    """A URL is read or refused."""
    with suppress(DeskError):
        found = Egress().parsed(url)
        assert found.scheme == "https"
        assert found.host


def test_one_forbidden_address_among_several_refuses_the_name() -> None:
    """A name with a public and a private address could be connected to either."""
    url = Egress().parsed("https://example.org:8443/hook?key=1")

    assert (url.host, url.port, url.target, url.name) == ("example.org", 8443, "/hook?key=1", "example.org:8443")
    assert Egress().checked(url, ["8.8.8.8", "1.1.1.1", "8.8.8.8"]) == ("8.8.8.8", "1.1.1.1")
    for addresses in (["8.8.8.8", "10.0.0.1"], []):
        with pytest.raises(DeskError):
            Egress().checked(url, addresses)


def test_the_setting_is_read_or_refused(tmp_path: Path) -> None:
    """A misspelt setting stops the start: the desk would otherwise be more open, or more closed, than its file says."""
    ca = tmp_path / "ca.pem"
    trustme.CA().cert_pem.write_to_path(ca)
    garbage = tmp_path / "garbage.pem"
    garbage.write_text("no certificate")
    whole = {"networks": ["10.1.0.0/16", "fd00::/8"], "http_on_loopback": True, "ca": str(ca)}

    assert Egress.read(None) == Egress()
    assert Egress.read(whole) == Egress(
        (ip_network("10.1.0.0/16"), ip_network("fd00::/8")), plain_on_loopback=True, authorities=ca
    )
    wrong: object
    for wrong in (
        [1],
        {"network": []},
        {"networks": ["10.1.0.1/16"]},
        {"networks": 5},
        {"http_on_loopback": "yes"},
        {"ca": "/absent"},
        {"ca": str(garbage)},
    ):
        with pytest.raises(DeskError) as refused:
            Egress.read(wrong)
        assert refused.value.code == "webhooks_unfit"
    assert len(set(egress.CLOSED)) == len(egress.CLOSED)
