"""Handwritten and spoken digits from a local archive, as files for the demo and the tests."""

from __future__ import annotations

import csv
import random
import tarfile
from pathlib import Path

from demo.digits import Digit, Digits

ARCHIVE = "avdigits_raw.tar.gz"


def unpack_avdigits(
    source: Path, folder: Path, *, train: int = 1200, held_out: int = 300, seed: int = 0
) -> Digits:
    """Unpack the avdigits archive into `folder`/avdigits and draw digits from its official split.

    Args:
        source: folder that holds `avdigits_raw.tar.gz`, or that file.
        folder: where `avdigits/` is unpacked.
        train: number of digits to annotate; at most 2,700.
        held_out: number of held-out digits; at most 300.
        seed: decides which are drawn, and in which order they come.

    Raises:
        FileNotFoundError: there is no such archive.
    """
    archive = find_archive(source)
    if not archive.is_file():
        raise FileNotFoundError(f"{archive} not found: give the folder that holds {ARCHIVE}.")
    with tarfile.open(archive) as tar:
        tar.extractall(folder, filter="data")
    home = folder / "avdigits"
    splits: dict[str, list[Digit]] = {"official_train": [], "official_test": []}
    with (home / "index.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            digit = Digit(home / row["png"], home / row["wav"], row["label"])
            splits[row["fsdd_official"]].append(digit)
    draw = random.Random(seed)
    return Digits(
        home,
        draw.sample(splits["official_train"], train),
        draw.sample(splits["official_test"], held_out),
    )


def find_archive(source: Path) -> Path:
    """Return the archive's path, given itself or its folder; it need not exist."""
    return source if source.is_file() else source / ARCHIVE
