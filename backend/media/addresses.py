"""Which network addresses are on the public internet, whatever they are wrapped into."""

from __future__ import annotations

import ipaddress
import socket

from model.sample import MediaError

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_UNICAST = ipaddress.IPv6Network("2000::/3")
_DOCUMENTATION = ipaddress.IPv6Network("3fff::/20")


def checked_address(host: str, port: int | None, private: bool) -> str:
    """Return an address of a host, after all of them were found allowed.

    Args:
        host: name or address.
        port: where it is asked.
        private: whether addresses that are not public are allowed.

    Raises:
        MediaError: the name cannot be resolved, or an address is not allowed.
    """
    try:
        found = socket.getaddrinfo(host, port or 443, type=socket.SOCK_STREAM)
    except OSError as error:
        raise MediaError(f"host {host[:80]!r} cannot be resolved", passing=True) from error
    addresses = [str(entry[4][0]) for entry in found]
    for address in addresses:
        if not private and not is_public(ipaddress.ip_address(address.split("%")[0])):
            raise MediaError(f"host {host!r} resolves to a private address (media_private)")
    return addresses[0]


def is_public(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    """Tell whether an address is on the public internet, and what is packed into it as well."""
    packed: ipaddress.IPv4Address | None = None
    if isinstance(address, ipaddress.IPv6Address):
        packed = address.ipv4_mapped or address.sixtofour
        if packed is None and address in _NAT64:
            packed = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    if packed is not None:
        return is_public(packed)
    # Python counts as global what is not known to be private; of IPv6 an eighth is handed out.
    if address.version == 6 and (address not in _UNICAST or address in _DOCUMENTATION):
        return False
    return address.is_global and not address.is_multicast
