"""Documents through pypdfium2: the first pages as one picture, and their text."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, TypeVar

from model.decoding.images import tiles
from model.decoding.limits import LIMITS, Limits, check_bytes
from model.sample import MediaError

PAGES = 9
_SIDE = 512
_T = TypeVar("_T")
_ONE_AT_A_TIME = threading.Lock()
"""PDFium must not be called from two threads at once."""


def page_pictures(data: bytes, limits: Limits = LIMITS) -> bytes:
    """Return the first pages side by side, as the bytes of one picture."""

    def read(document: Any) -> bytes:
        pictures = []
        for number in range(min(len(document), PAGES)):
            page = document[number]
            scale = _SIDE / max(*page.get_size(), 1.0)
            pictures.append(page.render(scale=scale).to_pil().convert("RGB"))
        return tiles(pictures)

    return _with_document(data, read, limits)


def page_text(data: bytes, limits: Limits = LIMITS) -> str:
    """Return the text of a document, as much of it as is read of any text."""

    def read(document: Any) -> str:
        parts: list[str] = []
        size = 0
        for number in range(len(document)):
            if size > limits.characters:
                break
            text = document[number].get_textpage().get_text_bounded()
            parts.append(text.replace("\r\n", "\n"))
            size += len(text)
        return "\n".join(parts)[: limits.characters]

    return _with_document(data, read, limits)


def _with_document(data: bytes, read: Callable[[Any], _T], limits: Limits) -> _T:
    import pypdfium2 as pdfium

    check_bytes(data, limits)
    with _ONE_AT_A_TIME:
        try:
            with pdfium.PdfDocument(data) as document:
                if not len(document):
                    raise MediaError("the document has no pages")
                return read(document)
        except pdfium.PdfiumError as error:
            raise MediaError(f"not a document that can be read: {error}") from error
