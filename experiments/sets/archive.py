"""A published archive of media with an index.csv, read into memory."""

from __future__ import annotations

import csv
import io
import tarfile
from collections.abc import Mapping
from pathlib import Path

from model.sample import Reference

Row = dict[str, str]


def unpacked(path: Path, root: str) -> tuple[list[Row], dict[str, bytes]]:
    """Return the rows of an archive's index and the bytes of its files by name.

    Args:
        path: a tar file, compressed or not.
        root: folder inside of it, with a slash at its end; the names are below it.
    """
    with tarfile.open(path) as archive:
        files = {
            member.name.removeprefix(root): file.read()
            for member in archive
            if (file := archive.extractfile(member)) is not None
        }
    return list(csv.DictReader(io.StringIO(files.pop("index.csv").decode()))), files


def reference(files: Mapping[str, bytes], name: str) -> Reference:
    """Return a file as a raw value that is identified by its name."""
    return Reference(name, lambda: files[name])
