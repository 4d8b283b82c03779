"""Names and addresses of hosts, as people write them."""

from __future__ import annotations

import pytest

from backend.hosts import bracketed, checked_url, fits_host, is_loopback, origin


@pytest.mark.parametrize(
    ("host", "pattern", "fits"),
    [
        ("media.example.org", "media.example.org", True),
        ("MEDIA.example.org", "media.Example.org", True),
        ("media.example.org", "example.org", False),
        ("media.example.org", "*.example.org", True),
        ("A.B.Example.org", "*.example.ORG", True),
        ("example.org", "*.example.org", False),
        ("notexample.org", "*.example.org", False),
        ("example.org.evil.net", "*.example.org", False),
    ],
)
def test_a_host_fits_its_name_or_what_it_lies_below(host: str, pattern: str, fits: bool) -> None:
    assert fits_host(host, pattern) is fits


@pytest.mark.parametrize(
    "url", ["http://a", "https://a:8080/ls", "http://[::1]:9090", "https://a.example/x?y=1"]
)
def test_addresses_lose_their_last_slash_only(url: str) -> None:
    assert checked_url(url) == checked_url(url + "/") == url


@pytest.mark.parametrize("url", ["", "a:80", "ftp://a", "http://", "http:///path", "//a/b"])
def test_what_names_no_host_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="must start with http:// or https:// and name a host"):
        checked_url(url)


@pytest.mark.parametrize("url", ["https://me:hunter2@a", "http://me@a/x"])
def test_passwords_in_addresses_are_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(ValueError, match="no user name and password") as refused:
        checked_url(url)
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("http://a", "http://a:80/x", True),
        ("https://A/x", "https://a:443", True),
        ("http://a", "http://a:443", False),
        ("https://a", "https://a:80", False),
        ("http://a", "https://a", False),
        ("http://a:8080", "http://a:8081", False),
        ("http://a", "http://b", False),
        ("http://[::1]", "http://[::1]:80/", True),
    ],
)
def test_the_usual_port_need_not_be_written(one: str, other: str, same: bool) -> None:
    assert (origin(one) == origin(other)) is same


@pytest.mark.parametrize(
    ("host", "written", "loopback"),
    [
        ("localhost", "localhost", True),
        ("127.0.0.1", "127.0.0.1", True),
        ("127.8.9.1", "127.8.9.1", True),
        ("::1", "[::1]", True),
        ("0.0.0.0", "0.0.0.0", False),
        ("10.0.0.1", "10.0.0.1", False),
        ("fd00::1", "[fd00::1]", False),
        ("localhost.example.org", "localhost.example.org", False),
    ],
)
def test_ipv6_is_written_in_brackets_and_loopback_is_recognised(
    host: str, written: str, loopback: bool
) -> None:
    assert bracketed(host) == written
    assert is_loopback(host) is loopback
