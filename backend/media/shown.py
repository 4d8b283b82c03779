"""What the page shows of media, by name: the server knows this much, and loads no decoder."""

from __future__ import annotations

from model.schema import ModalityKind

JPEG, SVG, WAV, TEXT = "image/jpeg", "image/svg+xml", "audio/wav", "text/plain; charset=utf-8"
SUFFIX = {JPEG: ".jpg", SVG: ".svg", WAV: ".wav", TEXT: ".txt"}


def media_type(kind: ModalityKind, play: bool) -> str:
    """Return what `small` makes of a kind of modality."""
    if kind is ModalityKind.AUDIO:
        return WAV if play else SVG
    return JPEG if kind in (ModalityKind.IMAGE, ModalityKind.VIDEO) else TEXT


def shortened(text: str, most: int) -> str:
    """Return the beginning of a text, with an ellipsis where it goes on."""
    text = text.strip()
    return text if len(text) <= most else text[: most - 1].rstrip() + "…"
