"""Small sets in the very layouts and byte formats of those that the papers use."""

from __future__ import annotations

import io
import json
import pickle
from pathlib import Path
from typing import Any

import av
import numpy as np
import soundfile
from PIL import Image

SPLIT = (("train", 24), ("test", 9))
CLASSES = ("bowling", "singing", "tap dancing")


def picture(label: int, seed: int, size: tuple[int, int] = (64, 48)) -> bytes:
    """Return a JPEG whose colour says its class."""
    rng = np.random.default_rng([label, seed])
    pixels = rng.integers(0, 90, (size[1], size[0], 3))
    pixels[..., label % 3] += 120
    stream = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).save(stream, "JPEG")
    return stream.getvalue()


def wave(label: int, seed: int, seconds: float = 1.0) -> np.ndarray:
    """Return a tone whose height says its class, in noise."""
    rng = np.random.default_rng([label, seed, 1])
    time = np.arange(int(16000 * seconds)) / 16000
    tone = np.sin(2 * np.pi * 300 * (label + 1) * time)
    return 0.3 * tone + 0.05 * rng.standard_normal(len(time))


def sound(path: Path, label: int, seed: int) -> None:
    """Write 16-bit mono WAV at 16 kHz, as BMMAL's ffmpeg call does."""
    soundfile.write(path, wave(label, seed), 16000, subtype="PCM_16", format="WAV")


def video(path: Path, label: int, seed: int, frames: int = 12) -> None:
    """Write a video file with a sound track."""
    container = av.open(str(path), "w")
    pictures = container.add_stream("mpeg4", rate=12)
    pictures.width, pictures.height, pictures.pix_fmt = 64, 48, "yuv420p"
    track = container.add_stream("mp3" if path.suffix == ".avi" else "aac", rate=16000)
    track.layout = "mono"
    for number in range(frames):
        image = Image.open(io.BytesIO(picture(label, seed + number)))
        container.mux(pictures.encode(av.VideoFrame.from_image(image)))
    samples = (wave(label, seed) * 32767).astype(np.int16)
    block = av.AudioFrame.from_ndarray(samples[None], format="s16", layout="mono")
    block.sample_rate = 16000
    container.mux(track.encode(block))
    for stream in (pictures, track):
        container.mux(stream.encode(None))
    container.close()


def food101(root: Path) -> Path:
    """Make images/{train,test}/DISH/DISH_N.jpg, texts_txt/DISH/DISH_N.txt and the titles."""
    dishes = ("apple_pie", "baklava", "sushi")
    (root / "texts").mkdir(parents=True)
    for part, count in SPLIT:
        titles = []
        for number in range(count):
            dish = dishes[number % 3]
            name = f"{dish}_{number + (0 if part == 'train' else 100)}"
            for place in (root / "images" / part / dish, root / "texts_txt" / dish):
                place.mkdir(parents=True, exist_ok=True)
            (root / "images" / part / dish / f"{name}.jpg").write_bytes(picture(number % 3, number))
            words = f"<h1>{dish}</h1>\nIngredients: sugar, {dish} {number}-spoons & salt."
            (root / "texts_txt" / dish / f"{name}.txt").write_text(words if number else "nothing")
            titles.append(f'{name}.jpg,"How to make {dish}, quickly",{dish}')
        (root / "texts" / f"{part}_titles.csv").write_text("\n".join(titles) + "\n")
    return root


def clips_as_frames(root: Path, order: str) -> Path:
    """Make a folder of ten frames and a WAV per clip, as BMMAL's scripts leave them.

    Args:
        root: where.
        order: `kineticssound` (train/video/...) or `vggsound` (frames/train/...).
    """
    for part, count in SPLIT:
        of = {"kineticssound": (f"{part}/video", f"{part}/audio")}
        seen, heard = of.get(order, (f"frames/{part}", f"audio/{part}"))
        for number in range(count):
            label, clip = CLASSES[number % 3], f"id{number:09d}_000001_000011"
            folder = root / seen / label / clip
            folder.mkdir(parents=True)
            (root / heard / label).mkdir(parents=True, exist_ok=True)
            for frame in range(10):
                data = picture(number % 3, number + frame)
                (folder / f"frame_{frame}.jpg").write_bytes(data)
            sound(root / heard / label / f"{clip}.wav", number % 3, number)
    return root


def clips_as_videos(root: Path) -> Path:
    """Make video/{train,test}/LABEL/CLIP.avi with my_train.txt, which leaves one clip out."""
    for part, count in SPLIT:
        listed = []
        for number in range(count):
            label, clip = CLASSES[number % 3], f"id{number:09d}_000001_000011"
            folder = root / "video" / part / label
            folder.mkdir(parents=True, exist_ok=True)
            video(folder / f"{clip}.avi", number % 3, number)
            listed += [f"{clip},10,{number % 3}"] if number else []
        (root / f"my_{part}.txt").write_text("\n".join(listed) + "\n")
    return root


def clips_flat(root: Path) -> Path:
    """Make video/ID_000030.mp4 and vggsound.csv, as VGGSound is published; a clip is gone."""
    (root / "video").mkdir(parents=True)
    lines = ['goneforever,30,"people marching, slowly",train']
    for part, count in SPLIT:
        for number in range(count):
            name = f"{part[0]}d{number:09d}"
            lines.append(f"{name},30,{CLASSES[number % 3]},{part}")
            video(root / "video" / f"{name}_000030.mp4", number % 3, number)
    (root / "vggsound.csv").write_text("\n".join(lines) + "\n")
    return root


def simsv2(file: Path, protocol: int = 4, **changes: Any) -> Path:
    """Make the published pickle: train, valid and test of padded arrays with lengths and labels.

    Each modality has a sentiment of its own; the whole's is their mean, so that some are at odds.
    """
    found = {}
    for seed, (part, count) in enumerate((*SPLIT, ("valid", 4))):
        rng = np.random.default_rng(seed)
        own = (rng.integers(-5, 6, (3, count)) / 5).astype(np.float32)
        whole = (np.round(own.mean(axis=0) * 5) / 5).astype(np.float32)
        sequences = {}
        for name, column, length, width in (("audio", 1, 30, 25), ("vision", 2, 12, 17)):
            values = rng.standard_normal((count, length, width)).astype(np.float32)
            values[..., 0] += 2 * own[column][:, None]
            values[0, 0, 1] = -np.inf
            sequences[name] = values
            sequences[f"{name}_lengths"] = rng.integers(3, length, count).tolist()
        text = rng.standard_normal((count, 6, 32)).astype(np.float32)
        text[:, 0, 0] = 2 * own[0]
        found[part] = {
            "raw_text": np.array(
                [f"这 {'好' if x > 0 else '坏'} {i}" for i, x in enumerate(own[0])]
            ),
            "id": [f"video_{i:04d}$_${i}" for i in range(count)],
            "text": text,
            "text_bert": rng.integers(0, 99, (count, 3, 6)),
            **sequences,
            "regression_labels": whole,
            "regression_labels_T": own[0],
            "regression_labels_A": own[1],
            "regression_labels_V": own[2],
        }
        found[part] = {k: v for k, v in (found[part] | changes).items() if v is not None}
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(pickle.dumps(found, protocol=protocol))
    return file


def cherma(root: Path) -> Path:
    """Make train.json, test.json and a .npy per sample and modality, as LFMIM's code reads them."""
    said = ("愤怒", "高兴", "平静")
    shapes = {"text": (80, 32), "audio": (20, 32), "visual": (16, 48)}
    keys = {"text": "txt_label", "audio": "audio_label", "visual": "visual_label"}
    for part, count in SPLIT:
        entries = []
        for number in range(count):
            rng = np.random.default_rng([number, len(part)])
            name, entry = f"{part}_{number}", {"video_label": said[number % 3]}
            entry |= {"audio_file": f"{name}.wav", "video_file": f"{name}.mp4"}
            for kind, shape in shapes.items():
                own = number % 3 if rng.random() < 0.8 else int(rng.integers(3))
                entry[keys[kind]] = said[own]
                values = rng.standard_normal(shape).astype(np.float32)
                values[:, own] += 3
                folder = root / kind / part
                folder.mkdir(parents=True, exist_ok=True)
                np.save(folder / f"{name}{'.mp4' if kind == 'visual' else ''}.npy", values)
            entries.append(entry)
        (root / f"{part}.json").write_text(json.dumps(entries, ensure_ascii=False))
    return root
