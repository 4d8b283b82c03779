"""UPMC Food101: pictures of dishes, and the recipe or the title of the page that shows each."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from experiments.dataset import DataError, Dataset
from experiments.options import Value, checked
from experiments.sets.files import classes_of, folders, inside, stored
from model.sample import Sample
from model.schema import Modality, ModalityKind, Schema, Target
from strategies.pool import TargetKind

WORDS = 100
_PARTS = ("train", "test")
_MARKS = str.maketrans(dict.fromkeys("<>/\\+=-_[]{}'\":;.,()*&^%$#@!~`|", " "))
_ENDINGS = (".jpg", ".jpeg", ".png")


def read(folder: Path, options: Mapping[str, Value]) -> Dataset:
    """Read images/{train,test}/LABEL/LABEL_N.jpg and the texts that belong to them.

    Options: text=recipe|titles. `recipe`: the 100 words after "ingredients" in
    texts_txt/LABEL/LABEL_N.txt; pictures whose text lacks that word are left out (BMMAL).
    `titles`: the second column of texts/{train,test}_titles.csv, or of the same file in the root.
    """
    chosen = checked("food101", options, {"text": ("recipe", "titles")})
    samples: list[Sample] = []
    labels: list[str] = []
    counts: list[int] = []
    for part in _PARTS:
        place = folder / "images" / part
        if not place.is_dir():
            raise DataError(f"food101: {place} is missing; it holds a folder of pictures per dish")
        titles = _titles(folder, part) if chosen["text"] == "titles" else None
        before = len(samples)
        for dish in folders(place):
            for picture in inside(dish, _ENDINGS):
                text = _recipe(folder, picture) if titles is None else titles.get(picture.name)
                if text is not None:
                    samples.append({"text": text or None, "image": stored(picture)})
                    labels.append(dish.name)
        counts.append(len(samples) - before)
        if not counts[-1]:
            raise DataError(f"food101: no picture in {place} has a text ({_where(folder, titles)})")
    classes, index = classes_of(labels, "food101")
    rows = np.arange(len(samples), dtype=np.int64)
    modalities = (
        Modality("text", ModalityKind.TEXT, "text"),
        Modality("image", ModalityKind.IMAGE, "image"),
    )
    return Dataset(
        "food101" if chosen["text"] == "recipe" else "food101-titles",
        f"Dishes by picture and {chosen['text']} (UPMC Food101, the published split)",
        tuple(samples),
        {"dish": index},
        Schema(modalities, (Target("dish", TargetKind.CLASSIFICATION, classes),)),
        rows[: counts[0]],
        rows[counts[0] :],
    )


def ingredients(text: str) -> str | None:
    """Return the 100 words after the last kind of word with "ingredients" in it; None without."""
    words = re.sub(r"\s+", " ", text.translate(_MARKS)).lower().split()
    if "ingredients" not in words:
        return None
    last = [word for word in words if "ingredients" in word][-1]
    start = words.index(last) + 1
    return " ".join(words[start : start + WORDS])


def _recipe(folder: Path, picture: Path) -> str | None:
    number = re.search(r"_([\d-]+)$", picture.stem)
    dish = picture.parent.name
    path = folder / "texts_txt" / dish / f"{dish}_{number[1] if number else ''}.txt"
    try:
        return ingredients(path.read_text(encoding="utf-8", errors="replace"))
    except FileNotFoundError:
        return None


def _titles(folder: Path, part: str) -> dict[str, str]:
    name = f"{part}_titles.csv"
    path = next((p for p in (folder / "texts" / name, folder / name) if p.is_file()), None)
    if path is None:
        raise DataError(f"food101: {folder / 'texts' / name} is missing; or use text=recipe")
    with path.open(newline="", encoding="utf-8", errors="replace") as file:
        return {line[0]: line[1] for line in csv.reader(file) if len(line) > 1}


def _where(folder: Path, titles: dict[str, str] | None) -> str:
    texts = folder / "texts_txt"
    return "in its titles" if titles is not None else f"with the word ingredients, in {texts}"
