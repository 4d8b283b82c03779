"""KineticsSound and VGGSound: clips of pictures and sound, by what is heard.

Both are read as video files, or as BMMAL's code lays them out: a folder of frames and a WAV each.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from experiments.dataset import DataError, Dataset
from experiments.options import Value, checked
from experiments.sets.files import classes_of, folders, frames, inside, place_of, stored
from model.sample import Sample
from model.schema import Modality, ModalityKind, Schema, Target
from strategies.pool import TargetKind

_PARTS = ("train", "test")
_VIDEO = (".mp4", ".avi", ".mkv", ".webm", ".mov")
_ID = 11
"""Characters of a YouTube id, which the names of files begin with."""


@dataclass(frozen=True)
class _Clip:
    label: str
    sample: Sample


def read(name: str, title: str, folder: Path, options: Mapping[str, Value]) -> Dataset:
    """Read one of the two sets.

    A folder of frames and a WAV each (P is train or test): P/video/LABEL/CLIP/frame_0.jpg with
    P/audio/LABEL/CLIP.wav, or frames/P/LABEL/CLIP/frame_0.jpg with audio/P/LABEL/CLIP.wav. Video
    files: P/LABEL/CLIP.mp4 or video/P/LABEL/CLIP.mp4; my_P.txt, where it is there, lists the clips
    that count. Or video/ID_000012.mp4 with vggsound.csv (id, start second, label, train or test).
    """
    checked(name, options, {})
    flat = _flat(folder)
    found = {part: list(flat[part] if flat else _clips(name, folder, part)) for part in _PARTS}
    for part in _PARTS:
        if not found[part]:
            raise DataError(f"{name}: {folder} holds no clip of the {part} part")
    clips = [clip for part in _PARTS for clip in found[part]]
    classes, index = classes_of([clip.label for clip in clips], name)
    rows, count = np.arange(len(clips), dtype=np.int64), len(found["train"])
    keys = ("clip", "clip") if "clip" in clips[0].sample else ("video", "audio")
    modalities = (
        Modality("video", ModalityKind.VIDEO, keys[0]),
        Modality("audio", ModalityKind.AUDIO, keys[1]),
    )
    return Dataset(
        name,
        title,
        tuple(clip.sample for clip in clips),
        {"sound": index},
        Schema(modalities, (Target("sound", TargetKind.CLASSIFICATION, classes),)),
        rows[:count],
        rows[count:],
    )


kineticssound = partial(read, "kineticssound", "What is heard in clips (KineticsSound)")
vggsound = partial(read, "vggsound", "What is heard in clips (VGGSound)")


def _clips(name: str, root: Path, part: str) -> Iterator[_Clip]:
    sounds = place_of(root, (f"{part}/audio", f"audio/{part}"))
    if sounds is not None:
        yield from _of_frames(name, root, sounds, part)
        return
    videos = place_of(root, (f"video/{part}", f"{part}/video", part))
    if videos is None:
        raise DataError(
            f"{name}: {root} has none of {part}/audio, audio/{part}, video/{part} and {part}; "
            "see docs/papers.md for the layouts that are read"
        )
    listed = _listed(root / f"my_{part}.txt")
    for label in folders(videos):
        for path in inside(label, _VIDEO):
            if listed is None or path.name[:_ID] in listed:
                yield _Clip(label.name, {"clip": stored(path)})


def _of_frames(name: str, root: Path, sounds: Path, part: str) -> Iterator[_Clip]:
    pictures = place_of(root, (f"{part}/video", f"frames/{part}"))
    if pictures is None:
        raise DataError(f"{name}: {sounds} is there, but no folder {part}/video or frames/{part}")
    for label in folders(sounds):
        for path in inside(label, (".wav",)):
            clip = pictures / label.name / path.stem
            if not clip.is_dir():
                raise DataError(f"{name}: {path} has no frames; {clip} is missing")
            yield _Clip(label.name, {"video": frames(clip), "audio": stored(path)})


def _listed(path: Path) -> set[str] | None:
    if not path.is_file():
        return None
    with path.open(newline="", encoding="utf-8") as file:
        return {line[0][:_ID] for line in csv.reader(file) if line}


def _flat(root: Path) -> dict[str, list[_Clip]] | None:
    """Read the published list of VGGSound, where all videos lie in one folder."""
    table = root / "vggsound.csv"
    home = place_of(root, ("video", "videos"))
    if not table.is_file() or home is None or any((home / part).is_dir() for part in _PARTS):
        return None
    found: dict[str, list[_Clip]] = {part: [] for part in _PARTS}
    there = {path.stem: path for path in inside(home, _VIDEO)}
    with table.open(newline="", encoding="utf-8") as file:
        for line in csv.reader(file):
            if len(line) != 4 or line[3] not in found or not line[1].isdigit():
                raise DataError(f"{table}: {line} is not id, start second, label, train or test")
            path = there.get(f"{line[0]}_{int(line[1]):06d}")
            if path is not None:  # many of the clips are gone from where they were published
                found[line[3]].append(_Clip(line[2], {"clip": stored(path)}))
    return found
