"""Named data sets: `avdigits`, `mvsa`, `mosi`, read from a folder the user has."""

from __future__ import annotations

import tarfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

from experiments.dataset import DataError, Dataset
from experiments.options import Value, parse
from experiments.sets import avdigits, mosi, mvsa

SETS: dict[str, Callable[[Path, Mapping[str, Value]], Dataset]] = {
    "avdigits": avdigits.read,
    "mvsa": mvsa.read,
    "mosi": mosi.read,
}


def named(spec: str, root: Path) -> Dataset:
    """Read a named set, e.g. `avdigits:split=speakers`.

    Args:
        spec: name with options.
        root: folder that holds the set's files, or a folder of that name with them.

    Raises:
        DataError: no such set, option or file.
    """
    name, options = parse(spec)
    if name not in SETS:
        raise DataError(f"no data set {name!r}; choose one of {', '.join(SETS)}")
    folder = root / name if (root / name).is_dir() else root
    try:
        return SETS[name](folder, options)
    except FileNotFoundError as error:
        raise DataError(f"{error.filename} is missing; point --root to the data") from error
    except (OSError, EOFError, KeyError, tarfile.TarError, zipfile.BadZipFile) as error:
        raise DataError(f"the files of {name} in {folder} are damaged: {error}") from error
