"""How a host is reached: by which proxy, trusting which certificates."""

from __future__ import annotations

import ipaddress
import ssl
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

from backend.errors import EquipoiseError
from backend.settings import Settings, fits_host


def client(settings: Settings, url: str, *, timeout: float) -> httpx.Client:
    """Return a client for one host, which nothing but the settings tells how to reach it.

    Args:
        settings: `ca_file`, `proxy`, `no_proxy`.
        url: an address on the host.
        timeout: seconds for one request.

    Raises:
        EquipoiseError: `ca_file` holds no certificates.
    """
    options: dict[str, Any] = {"timeout": timeout, "trust_env": False, "follow_redirects": False}
    if settings.ca_file is not None:
        options["verify"] = _trusted(settings.ca_file)
    if proxy_for(settings, url) is not None:
        options["proxy"] = proxy_for(settings, url)
    return httpx.Client(**options)


def proxy_for(settings: Settings, url: str) -> str | None:
    """Return the proxy on the way to an address; loopback and `no_proxy` are reached directly."""
    host = (urlsplit(url).hostname or "").lower()
    if settings.proxy is None or _is_here(host):
        return None
    if any(fits_host(host, pattern) for pattern in settings.no_proxy):
        return None
    return settings.proxy.get_secret_value()


@cache
def _trusted(path: Path) -> ssl.SSLContext:
    """Trust the usual authorities (certifi's) and those of a file."""
    context = httpx.create_ssl_context(trust_env=False)
    try:
        context.load_verify_locations(path)
    except (OSError, ssl.SSLError) as error:
        raise EquipoiseError(
            f"No certificates can be read from {path} (ca_file): {error}"
        ) from None
    return context


def _is_here(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
