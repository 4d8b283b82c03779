"""Named data sets, read from a folder the user has.

`avdigits`, `mvsa` and `mosi` are small; `food101`, `kineticssound`, `vggsound`, `simsv2` and
`cherma` are those of BMMAL and GRACE, in the form they are published in.
"""

from __future__ import annotations

import re
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

from experiments.dataset import DataError, Dataset
from experiments.options import Value, parse
from experiments.sets import avdigits, cherma, clips, food101, mosi, mvsa, sims

Read = Callable[[Path, Mapping[str, Value]], Dataset]
SETS: dict[str, Read] = {
    "avdigits": avdigits.read,
    "mvsa": mvsa.read,
    "mosi": mosi.read,
}
PUBLISHED: dict[str, Read] = {
    "food101": food101.read,
    "kineticssound": clips.kineticssound,
    "vggsound": clips.vggsound,
    "simsv2": sims.read,
    "cherma": cherma.read,
}
"""Sets of the papers, whose place is part of their name: `food101:ROOT`."""
_OPTIONS = re.compile(r"(?:^|\+)[a-z_]+=[^+/]*(?:\+[a-z_]+=[^+/]*)*$")


def is_published(spec: str) -> bool:
    """Tell whether a text names one of the papers' sets, with or without its place."""
    return spec.partition(":")[0] in PUBLISHED


def named(spec: str, root: Path | None) -> Dataset:
    """Read a named set, e.g. `avdigits:split=speakers` or `food101:/data/UPMC_Food101+text=titles`.

    Args:
        spec: name with options; of a paper's set with its place before them.
        root: folder that holds the set's files, or a folder of that name with them; where the
            text says the place, it is not read.

    Raises:
        DataError: no such set, option or file.
    """
    if is_published(spec):
        name, place, options = _split(spec)
        root = Path(place) if place else root
    else:
        name, options = parse(spec)
    if name not in SETS and name not in PUBLISHED:
        raise DataError(f"no data set {name!r}; choose one of {', '.join([*SETS, *PUBLISHED])}")
    if root is None:
        raise DataError(f"where is {name}? Write {name}:FOLDER, or pass --root")
    folder = root / name if (root / name).is_dir() else root
    try:
        return (SETS | PUBLISHED)[name](folder.expanduser(), options)
    except FileNotFoundError as error:
        raise DataError(f"{error.filename} is missing; point --root to the data") from error
    except (OSError, EOFError, KeyError, tarfile.TarError, zipfile.BadZipFile) as error:
        raise DataError(f"the files of {name} in {folder} are damaged: {error}") from error


def _split(spec: str) -> tuple[str, str, dict[str, Value]]:
    """Split `name:PLACE+key=value` into its parts; a place may hold colons and plus signs."""
    name, _, rest = spec.partition(":")
    options = _OPTIONS.search(rest)
    place = rest[: options.start()] if options else rest
    return name, place, parse(f"{name}:{rest[len(place) :].lstrip('+')}")[1]
