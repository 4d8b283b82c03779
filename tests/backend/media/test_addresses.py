"""Which addresses are public: a table, with what is packed into addresses of other kinds."""

from __future__ import annotations

import ipaddress

import pytest

from backend.media.addresses import is_public

PUBLIC = [
    "8.8.8.8",
    "1.1.1.1",
    "93.184.216.34",
    "9.255.255.255",  # the neighbours of private networks
    "11.0.0.0",
    "126.255.255.255",
    "128.0.0.0",
    "100.63.255.255",
    "100.128.0.0",
    "169.253.255.255",
    "169.255.0.0",
    "172.15.255.255",
    "172.32.0.0",
    "192.167.255.255",
    "192.169.0.0",
    "223.255.255.255",
    "2606:4700:4700::1111",
    "2001:4860:4860::8888",
    "2a00:1450:4001:80e::200e",
    "::ffff:8.8.8.8",
    "2002:808:808::1",  # 6to4 of 8.8.8.8
    "64:ff9b::8.8.8.8",
    "64:ff9b::808:808",
]
NOT_PUBLIC = [
    # this host, this network, private networks, carriers' networks
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.0",
    "10.255.255.255",
    "100.64.0.0",
    "100.127.255.255",
    "127.0.0.1",
    "127.255.255.255",
    "169.254.169.254",
    "172.16.0.0",
    "172.31.255.255",
    "192.168.0.0",
    "192.168.255.255",
    "::",
    "::1",
    "fc00::808:808",
    "fd12:3456:789a::1",
    "fdff:ffff::808:808",
    "fe80::808:808",
    "febf::1",
    "fec0::808:808",  # site-local, as was
    # protocols, benchmarks, documentation, reserved, groups
    "192.0.0.1",
    "192.0.2.1",
    "198.18.0.1",
    "198.19.255.255",
    "198.51.100.1",
    "203.0.113.1",
    "240.0.0.1",
    "255.255.255.255",
    "224.0.0.1",
    "239.255.255.255",
    "100::1",
    "2001:2::1",
    "2001:db8::808:808",
    "3fff::808:808",
    "ff02::1",
    "ff0e::808:808",
    "5f00::1",
    "4000::1",
    # packed: mapped, compatible, 6to4, Teredo, both kinds of NAT64
    "::ffff:10.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "::127.0.0.1",
    "::8.8.8.8",
    "2002:a00:1::1",
    "2002:7f00:1::1",
    "2002:a9fe:a9fe::808:808",
    "2001:0:808:808::1",
    "64:ff9b::10.0.0.1",
    "64:ff9b::127.0.0.1",
    "64:ff9b::169.254.169.254",
    "64:ff9b::7f00:1",
    "64:ff9b::1:808:808",  # beyond the /96
    "64:ff9b:1::808:808",
    "64:ff9b:1::10.0.0.1",
    "64:ff9a::808:808",
]


@pytest.mark.parametrize("text", PUBLIC)
def test_public(text: str) -> None:
    assert is_public(ipaddress.ip_address(text))


@pytest.mark.parametrize("text", NOT_PUBLIC)
def test_not_public(text: str) -> None:
    assert not is_public(ipaddress.ip_address(text))


def test_what_is_packed_is_read_from_the_last_four_bytes_only() -> None:
    for inner in ("10.1.2.3", "172.16.0.1", "192.168.0.1", "127.0.0.1", "169.254.1.1"):
        packed = int(ipaddress.ip_address("64:ff9b::")) + int(ipaddress.ip_address(inner))
        assert not is_public(ipaddress.ip_address(packed)), inner
    for inner in ("8.0.0.8", "1.2.3.4", "200.0.0.200"):
        packed = int(ipaddress.ip_address("64:ff9b::")) + int(ipaddress.ip_address(inner))
        assert is_public(ipaddress.ip_address(packed)), inner
