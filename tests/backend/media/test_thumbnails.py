"""What the page shows of media: made anew, elsewhere and bounded, whatever the files are."""

from __future__ import annotations

import base64
import io
import os
import shutil
import threading
import time
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from backend.labelstudio.client import LabelStudio
from backend.media import thumbnails
from backend.media.decode_log import DecodeLog
from backend.media.shown import JPEG, SVG, TEXT, WAV
from backend.media.small import SECONDS, SIDE, sound, waveform
from backend.media.small_process import Decoder
from backend.media.task_media import MediaSource
from backend.media.thumbnails import Thumbnails, prune
from backend.settings import Settings
from model.sample import MediaError
from tests.backend.studio import FakeStudio

CONFIG = (
    '<View><Image name="i" value="$image"/><Audio name="a" value="$sound"/>'
    '<Video name="v" value="$clip"/><Text name="t" value="$text"/>'
    '<TimeSeries name="s" value="$series"/><HyperText name="h" value="$page"/>'
    '<Image name="several" valueList="$pictures"/>'
    '<Choices name="label" toName="i"><Choice value="A"/><Choice value="B"/></Choices></View>'
)
IMAGE, AUDIO, FRAMES, SOUND, WORDS, SERIES, PAGE, SEVERAL = range(8)
Shows = Any


def data_uri(content: bytes, kind: str = "application/octet-stream") -> str:
    return f"data:{kind};base64," + base64.b64encode(content).decode()


def png(width: int, height: int, colour: str = "red", **more: Any) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (width, height), colour).save(file, "PNG", **more)
    return file.getvalue()


def clip() -> bytes:
    """Return ten frames, the first one blue and the others red."""
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 320, 160, "yuv420p"
        for number in range(10):
            picture = np.zeros((160, 320, 3), np.uint8)
            picture[..., 2 if number == 0 else 0] = 250
            for packet in stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    return file.getvalue()


def tone(seconds: float, rate: int = 22_050) -> bytes:
    return sound(np.sin(np.arange(int(seconds * rate)) / 20).astype(np.float32), rate)


@pytest.fixture
def studio() -> Iterator[FakeStudio]:
    with FakeStudio(3) as running:
        running.data[1] = {
            "image": data_uri(png(1000, 500)),
            "sound": data_uri(tone(1.0)),
            "clip": data_uri(clip()),
            "text": "five words and many more " * 200,
            "series": {"x": [1, 2, 3], "y": [4, 5, 6]},
            "page": "<p>Hello <script>alert(1)</script><b>you</b></p>",
            "pictures": [data_uri(png(40, 40)), data_uri(png(40, 40, "blue"))],
        }
        yield running


@pytest.fixture
def shows(studio: FakeStudio, tmp_path: Path) -> Iterator[Shows]:
    """Return a function (task, place, play=False) -> Shown."""
    settings = Settings(label_studio_url=studio.url, api_key="key", data_dir=tmp_path)
    made = Thumbnails(settings)
    yield lambda task, place, play=False: made.of(1, task, CONFIG, place, play)
    made.stop()


def colour(content: bytes) -> list[int]:
    return np.asarray(Image.open(io.BytesIO(content))).mean(axis=(0, 1)).round(-2).tolist()


def test_pictures_and_first_frames_are_painted_anew(shows: Shows) -> None:
    picture = shows(1, IMAGE)
    assert (picture.reason, picture.media_type) == ("", JPEG)
    assert Image.open(io.BytesIO(picture.content)).size == (SIDE, SIDE // 2)
    assert colour(picture.content) == [300, 0, 0]
    frame = shows(1, FRAMES)
    assert frame.reason == ""
    assert colour(frame.content) == [0, 0, 200], "the first frame is the blue one"
    both = shows(1, SEVERAL)
    assert np.ptp(np.asarray(Image.open(io.BytesIO(both.content)))[..., 2]) > 200, "both colours"


def test_what_lies_in_a_picture_beside_its_pixels_stays_away(
    studio: FakeStudio, shows: Shows
) -> None:
    from PIL import PngImagePlugin

    note = PngImagePlugin.PngInfo()
    note.add_text("Comment", "<script>alert('hello')</script>")
    studio.data[2] = {"image": data_uri(png(9, 9, pnginfo=note))}
    assert b"script" in base64.b64decode(studio.data[2]["image"].partition(",")[2])
    shown = shows(2, IMAGE)
    assert shown.content.startswith(b"\xff\xd8")
    assert b"script" not in shown.content


def test_sounds_are_drawn_and_written_anew(shows: Shows) -> None:
    drawn = shows(1, AUDIO)
    assert drawn.media_type == SVG
    assert drawn.content.count(b"M") == 160
    played = shows(1, AUDIO, play=True)
    assert played.media_type == WAV
    with wave.open(io.BytesIO(played.content)) as file:
        assert file.getframerate() <= 16_000
        assert file.getnframes() / file.getframerate() == pytest.approx(1.0, abs=0.01)


def test_of_a_long_sound_the_middle_is_played(studio: FakeStudio, shows: Shows) -> None:
    studio.data[2] = {"sound": data_uri(tone(SECONDS + 30, 8000))}
    with wave.open(io.BytesIO(shows(2, AUDIO, play=True).content)) as file:
        assert file.getnframes() / file.getframerate() == pytest.approx(SECONDS, abs=0.01)


def test_silence_is_drawn_as_a_line() -> None:
    assert b"M1 23.5V24.5" in waveform(np.zeros(1000, np.float32))
    assert b"nan" not in waveform(np.zeros(1, np.float32))


def test_texts_are_shortened_and_sequences_described(shows: Shows) -> None:
    text = shows(1, WORDS)
    assert (text.media_type, len(text.content.decode())) == (TEXT, 2000)
    assert shows(1, PAGE).content == b"Hello you"
    assert shows(1, SERIES).content == b"A sequence of 3 steps with 2 values each."


@pytest.mark.parametrize(
    ("value", "place", "why"),
    [
        (data_uri(b"garbage"), IMAGE, "not an image"),
        (data_uri(png(50, 50)[:80]), IMAGE, "broken image"),
        ("data:image/png;base64,!!", IMAGE, "not base64"),
        ("http://169.254.169.254/latest", IMAGE, "is not allowed"),
        ("/data/upload/gone.png", IMAGE, "HTTP 404"),
        (data_uri(b"<svg xmlns='http://www.w3.org/2000/svg'/>"), IMAGE, "SVG"),
        (data_uri(b"RIFF....WAVE"), AUDIO, "not a sound"),
        (17, IMAGE, "no such value"),
    ],
)
def test_what_cannot_be_shown_has_a_reason(
    studio: FakeStudio, shows: Shows, value: Any, place: int, why: str
) -> None:
    studio.data[2] = {"image" if place == IMAGE else "sound": value}
    shown = shows(2, place)
    assert why in shown.reason
    assert shown.content == b""


def test_a_file_that_cannot_be_shown_is_not_tried_again_soon(
    studio: FakeStudio, shows: Shows, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[Any] = []
    made = Decoder.make

    def make(decoder: Decoder, *asked: Any) -> bytes:
        tried.append(asked)
        return made(decoder, *asked)

    monkeypatch.setattr(Decoder, "make", make)
    studio.data[2] = {"image": data_uri(b"GIF89a broken")}
    first = shows(2, IMAGE)
    assert first.reason
    assert [shows(2, IMAGE) for _ in range(3)] == [first] * 3
    assert len(tried) == 1
    monkeypatch.setattr(thumbnails, "_FRESH", 0.0)
    assert shows(2, IMAGE) == first
    assert len(tried) == 2, "what was refused may be readable by now"


def test_a_task_that_is_gone_or_a_label_studio_that_is_down_is_said(
    studio: FakeStudio, shows: Shows
) -> None:
    assert "has no task 77" in shows(77, IMAGE).reason
    studio.broken = 500
    assert "500" in shows(3, IMAGE).reason


def test_files_that_rounds_refuse_are_not_tried(
    studio: FakeStudio, shows: Shows, tmp_path: Path
) -> None:
    settings = Settings(label_studio_url=studio.url, api_key="key", data_dir=tmp_path)
    with LabelStudio.of(settings) as connected:
        source = MediaSource(connected, settings)
        key = source.reference(studio.data[1]["image"], {"id": 1}).key
    log = DecodeLog(settings.decoding)
    log.folder.mkdir()
    log.refuse(key, "crashed its decoder (status -11)")
    assert shows(1, IMAGE).reason == "crashed its decoder (status -11)"


def test_what_was_made_is_kept_and_survives_a_restart(
    studio: FakeStudio, shows: Shows, tmp_path: Path
) -> None:
    first = shows(1, IMAGE)
    asked = len(studio.requests)
    started = time.perf_counter()
    assert shows(1, IMAGE) == first
    assert time.perf_counter() - started < 1.0
    assert len(studio.requests) == asked, "the data were asked for again"
    again = Thumbnails(Settings(label_studio_url=studio.url, api_key="key", data_dir=tmp_path))
    assert again.of(1, 1, CONFIG, IMAGE, False) == first
    assert again._decoder._process is None, "it was decoded again"
    shutil.rmtree(again._folder)
    assert shows(1, IMAGE) == first
    assert any(again._folder.rglob("*.*")), "what somebody deleted is kept again"


def test_the_folder_is_bounded_and_the_longest_unused_go_first(tmp_path: Path) -> None:
    folder = tmp_path / "ab"
    folder.mkdir()
    for number in range(10):
        path = folder / f"{number}.jpg"
        path.write_bytes(b"x" * 100)
        os.utime(path, (number, number))
    assert prune(tmp_path, 350) == 300
    assert sorted(path.name for path in folder.iterdir()) == ["7.jpg", "8.jpg", "9.jpg"]


def test_what_is_made_stays_within_the_bound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(thumbnails, "MOST_BYTES", 1000)
    made = Thumbnails(Settings(data_dir=tmp_path))
    for number in range(9):
        made._keep(f"{number}{number}.jpg", b"x" * 300)
        path = made._folder / f"{number}{number}" / f"{number}{number}.jpg"
        if path.exists():
            os.utime(path, (number, number))
        assert sum(path.stat().st_size for path in made._folder.rglob("*.jpg")) <= 1000
    # Three quarters are left each time, so that not every new one costs a look at all.
    assert [made._kept(f"{n}{n}.jpg") is not None for n in range(9)] == [False] * 6 + [True] * 3
    made.stop()


REQUEST = {"label_config": CONFIG, "place": IMAGE, "play": False}


def test_the_process_knows_no_token_and_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EQUIPOISE_API_KEY", "secret-token")
    decoder = Decoder()
    decoder.make({**REQUEST, "data": {"image": "/a"}}, {"/a": png(9, 9)}, 60)
    assert decoder._process is not None
    home = Path(f"/proc/{decoder._process.pid}")
    assert b"secret-token" not in (home / "environ").read_bytes()
    limits = (home / "limits").read_text()
    assert str(4 * 2**30) in limits
    assert [line.split()[3] for line in limits.splitlines() if "Max file size" in line] == ["0"]
    decoder.stop()


def test_a_process_that_was_killed_is_replaced() -> None:
    decoder = Decoder()
    request = {**REQUEST, "data": {"image": "/a"}}
    first = decoder.make(request, {"/a": png(9, 9)}, 60)
    assert decoder._process is not None
    decoder._process.kill()
    assert decoder.make(request, {"/a": png(9, 9)}, 60) == first
    decoder.stop()


def test_a_process_that_answered_in_time_goes_on() -> None:
    decoder = Decoder()
    request = {**REQUEST, "data": {"image": "/a"}}
    first = decoder.make(request, {"/a": png(9, 9)}, 60)
    process = decoder._process
    assert process is not None
    assert decoder.make(request, {"/a": png(9, 9)}, 0.5) == first
    time.sleep(1)
    assert process.poll() is None
    assert decoder.make(request, {"/a": png(9, 9)}, 60) == first
    assert decoder._process is process
    decoder.stop()


@pytest.fixture(scope="module")
def slow() -> bytes:
    """Return a picture that takes a second to decode."""
    return png(9000, 9000)


def test_a_file_that_holds_its_decoder_up_costs_that_process(slow: bytes) -> None:
    decoder = Decoder()
    decoder.make({**REQUEST, "data": {"image": "/a"}}, {"/a": png(9, 9)}, 60)  # it runs
    with pytest.raises(MediaError, match=r"longer than 0\.1 s to decode"):
        decoder.make({**REQUEST, "data": {"image": "/a"}}, {"/a": slow}, 0.1)
    assert decoder.make({**REQUEST, "data": {"image": "/a"}}, {"/a": png(9, 9)}, 60)
    decoder.stop()


def test_a_file_that_ends_its_decoder_twice_is_given_up(slow: bytes) -> None:
    decoder, killed, over = Decoder(), [], threading.Event()

    def kill() -> None:
        while not over.wait(0.3):  # while it decodes
            if decoder._process is not None and decoder._process.poll() is None:
                decoder._process.kill()
                killed.append(decoder._process.pid)

    thread = threading.Thread(target=kill)
    thread.start()
    with pytest.raises(MediaError, match="crashed its decoder"):
        decoder.make({**REQUEST, "data": {"image": "/a"}}, {"/a": slow}, 60)
    over.set()
    thread.join()
    assert len(set(killed)) == 2
    decoder.stop()
