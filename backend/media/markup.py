"""The text of HTML: tags, scripts and styles left out."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

_TAG = re.compile(r"<[^<>]*>?")


class _Text(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.parts: list[str] = []
        self._hidden = 0

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self._hidden += tag in ("script", "style")

    def handle_endtag(self, tag: str) -> None:
        self._hidden -= tag in ("script", "style") and self._hidden > 0

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.parts.append(data)


def plain_text(markup: str) -> str:
    """Return the text of an HTML fragment, tags, scripts and styles left out."""
    parser = _Text()
    try:
        parser.feed(markup)
        parser.close()
    except AssertionError:  # the parser gives up at some broken declarations: drop the tags only
        parser.parts = [_TAG.sub(" ", markup)]
    return " ".join(" ".join(parser.parts).split())
