"""Files of a data set on disk as raw values: paths and stamps in memory, never the content."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from experiments.dataset import DataError
from model.sample import MediaError, Reference
from strategies.pool import IntArray


def stamp(path: Path) -> str:
    """Return what changes with a file: its address, size and time of change."""
    found = path.stat()
    return f"{path}|{found.st_size}:{found.st_mtime_ns}"


def stored(path: Path) -> Reference:
    """Return a file as a raw value; it is read when it is decoded."""
    return Reference(_digest(stamp(path)), path.read_bytes)


def frames(folder: Path) -> Reference:
    """Return a folder of pictures, frame_0.jpg and so on, as the frames of one video."""
    found = folder.stat()
    return Reference(_digest(f"{folder}|{found.st_mtime_ns}"), partial(_pictures, folder))


def row(array: npt.NDArray, number: int, length: int, named: str) -> Reference:
    """Return the first steps of one row of a large array (N, T, D) as a raw value.

    Args:
        array: may be mapped from a file; only this row is read, when it is decoded.
        number: of the row.
        length: steps that are real.
        named: identifies the array's content.
    """
    return Reference(f"{named}|{number}:{length}", partial(_npy, array, number, length))


def folders(place: Path) -> list[Path]:
    """Return the folders in a folder, by name."""
    return sorted(one for one in place.iterdir() if one.is_dir() and one.name[0] != ".")


def inside(place: Path, endings: Iterable[str]) -> Iterator[Path]:
    """Yield the files of a folder with one of some endings, by name."""
    wanted = tuple(endings)
    yield from sorted(one for one in place.iterdir() if one.suffix.lower() in wanted)


def place_of(root: Path, choices: Iterable[str]) -> Path | None:
    """Return the first of some folders below a root that exists."""
    return next((root / one for one in choices if (root / one).is_dir()), None)


def classes_of(labels: Iterable[str], name: str) -> tuple[tuple[str, ...], IntArray]:
    """Return the class names in order, and each sample's index into them."""
    said = list(labels)
    if not said:
        raise DataError(f"{name}: there is no sample in it")
    known, index = np.unique(said, return_inverse=True)
    return tuple(str(one) for one in known), index.astype(np.int64)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()


def _pictures(folder: Path) -> list[bytes]:
    found = sorted(folder.glob("frame_*.jpg"), key=_number)
    if not found:
        raise MediaError("its folder holds no frame_0.jpg, frame_1.jpg, ...")
    return [path.read_bytes() for path in found]


def _number(path: Path) -> int:
    number = path.stem.removeprefix("frame_")
    return int(number) if number.isdigit() else -1


def _npy(array: npt.NDArray, number: int, length: int) -> bytes:
    stream = io.BytesIO()
    np.save(stream, np.asarray(array[number][:length], np.float32), allow_pickle=False)
    return stream.getvalue()
