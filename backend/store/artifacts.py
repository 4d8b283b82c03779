"""Where the files of rounds are kept: a folder of this machine. One small interface, two places.

The other place is a bucket that several servers share (backend/store/bucket.py); it has the same
methods, and this folder is its cache. Names are paths inside `data_dir`: `projects/ID/ROUND` for a
round, `projects/ID/ROUND/FILE` for what is in it. No name is ever used again for something else.
"""

from __future__ import annotations

import shutil
from pathlib import Path


class Artifacts:
    """Files of rounds in a folder, which is all that a single machine needs."""

    def __init__(self, folder: Path) -> None:
        """Take a folder, the store's."""
        self.folder = folder

    @property
    def shared(self) -> bool:
        """Whether other machines see what is put here."""
        return False

    def put(self, name: str, content: bytes) -> None:
        """Show a file to every server of this store, all of it at once; it is not kept here."""

    def get(self, name: str) -> bytes | None:
        """Return the content of such a file; None: nobody has put it."""
        return None

    def publish(self, name: str) -> None:
        """Show a round's folder, written and whole, to every server of this store."""

    def bring(self, name: str) -> Path:
        """Return where a file or folder of a round lies here; it is missing if nobody has it."""
        return self.folder / name

    def has(self, name: str) -> bool:
        """Tell whether `bring` would find it."""
        return (self.folder / name).exists()

    def names(self, parent: str) -> set[str]:
        """Return the names of what lies directly in a folder, here or anywhere."""
        place = self.folder / parent
        return {f"{parent}/{entry.name}" for entry in place.iterdir()} if place.is_dir() else set()

    def remove(self, name: str) -> None:
        """Delete a folder, here and everywhere; it may be gone already."""
        shutil.rmtree(self.folder / name, ignore_errors=True)
