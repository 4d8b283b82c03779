"""Which addresses are Label Studio's own, however tasks write them."""

from __future__ import annotations

import posixpath
from collections.abc import Sequence
from urllib.parse import unquote, urlsplit

from backend.hosts import origin


class Addresses:
    """The addresses of one Label Studio server."""

    def __init__(self, url: str, aliases: Sequence[str] = ()) -> None:
        """Remember where the server is.

        Args:
            url: base URL as it is reached, a sub-path included, without a slash at its end.
            aliases: other base URLs of the same server, as tasks may name it.
        """
        self._url = url
        self._bases = [url, *(alias.rstrip("/") for alias in aliases)]

    def own(self, url: str) -> str | None:
        """Return an absolute URL as this server is reached; None where it is not on this server.

        It is where scheme, host and port are the same, and its path is below Label Studio's own:
        other applications on the host are not to see the token.
        """
        theirs, place = urlsplit(url), origin(url)
        for known in self._bases:
            base = urlsplit(known)
            if origin(known) != place:
                continue
            # As it is written, too: what is cut off below is the base itself, not as many letters.
            if all(_is_below(base.path, path) for path in (theirs.path, _clean(theirs.path))):
                below = theirs._replace(scheme="", netloc="", path=theirs.path[len(base.path) :])
                return self._url + below.geturl()
        return None

    def absolute(self, path: str) -> str:
        """Return the address of a path that a task holds, with Label Studio's sub-path or not."""
        base = urlsplit(self._url)
        if base.path and _clean(urlsplit(path).path).startswith(base.path + "/"):
            return f"{base.scheme}://{base.netloc}{path}"
        return self._url + path


def _is_below(base: str, path: str) -> bool:
    return path == base or path.startswith(base + "/")


def _clean(path: str) -> str:
    """Return a path without `..`, however it is written."""
    cleaned = posixpath.normpath("/" + unquote(path).replace("\\", "/").lstrip("/"))
    return cleaned + ("/" if path.endswith("/") and cleaned != "/" else "")
