"""Names and addresses of hosts, as settings have them."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

_PORTS = {"http": 80, "https": 443}


def fits_host(host: str, pattern: str) -> bool:
    """Tell whether a host is the one named, or below the domain of `*.domain`."""
    if pattern.startswith("*."):
        return host.lower().endswith(pattern[1:].lower())
    return host.lower() == pattern.lower()


def checked_url(value: str) -> str:
    """Return an HTTP address without its last slash.

    Raises:
        ValueError: it is none, or holds a password.
    """
    parts = urlsplit(value)  # what is wrong with it is not repeated: it may hold a password
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("must start with http:// or https:// and name a host")
    if "@" in parts.netloc:
        raise ValueError("must hold no user name and password")
    return value.rstrip("/")


def origin(url: str) -> tuple[str, str, int]:
    """Return scheme, host and port of an address, whether or not it writes the usual port.

    Raises:
        ValueError: its host or port is none.
    """
    parts = urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port or _PORTS.get(parts.scheme, 0)


def bracketed(host: str) -> str:
    """Return a host as addresses have it: IPv6 in brackets."""
    return f"[{host}]" if ":" in host else host


def is_loopback(host: str) -> bool:
    """Tell whether a name or address is this machine's own."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
