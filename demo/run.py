"""The demo from start to end: a real Label Studio, rounds started by webhook, and what they won."""

from __future__ import annotations

import contextlib
import fcntl
import shutil
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import NoReturn

from demo.avdigits import ARCHIVE, find_archive, unpack_avdigits
from demo.background import free_port
from demo.curve import plot
from demo.digits import Digits, synthesise
from demo.equipoise import Equipoise
from demo.installation import LABEL_STUDIO_VERSION, DemoError, Installation
from demo.judge import Judge
from demo.labelstudio import LabelStudio
from demo.play import Play
from demo.screen import Screen
from strategies import STRATEGIES

MARKER = "made-by-equipoise-demo"
SEED = 0
TASKS = 1200
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@dataclass(frozen=True)
class Options:
    """What can be asked of the demo.

    Attributes:
        once: stop the servers at the end instead of waiting for Ctrl-C.
        data: folder of the avdigits archive; None: the built-in digits and keypad tones.
        strategy: how the pool is ranked.
        rounds: rounds of training.
        labels: labels per round.
        orders: random orders that are replayed for comparison.
        port: Label Studio's port; 0: 8080 or any free one.
        folder: where everything is kept; its former content is replaced.
    """

    once: bool = False
    data: Path | None = None
    strategy: str = "auto"
    rounds: int = 5
    labels: int = 20
    orders: int = 5
    port: int = 0
    folder: Path = Path(".demo")


def run(options: Options) -> None:
    """Run the demo.

    Raises:
        DemoError: a part failed; the message says which and what to do.
    """
    _check(options)
    with contextlib.ExitStack() as stack:
        screen = stack.enter_context(Screen())
        stack.enter_context(_interruptible())
        folder = stack.enter_context(workspace(options.folder))
        studio = stack.enter_context(_label_studio(options, folder, screen))
        screen.tell(f"Label Studio {LABEL_STUDIO_VERSION} runs on {studio.url}")
        started = time.monotonic()
        digits = _digits(options, studio.media, screen)
        backend = stack.enter_context(
            Equipoise(
                folder / "equipoise",
                studio,
                strategy=options.strategy,
                retrain_after=options.labels,
                say=screen.say,
            )
        )
        screen.tell(f"Equipoise runs on {backend.url}")
        judge = Judge(digits, folder / "evaluation", screen.say)
        play = Play(studio, backend, digits, judge, screen)
        for number in range(1, options.rounds + 1):
            play.round(number, options.labels)
        comparison = play.compare(options.strategy, options.orders)
        plot(comparison, folder / "learning-curve.png")
        screen.rest()
        screen.tell(f"\n{comparison.verdict()}")
        screen.tell(f"Curve: {folder / 'learning-curve.png'}")
        screen.tell(f"Played in {time.monotonic() - started:.0f} s.")
        _summary(screen, studio, backend, play.project)
        if not options.once:
            _stay(studio, backend, screen)
        screen.tell("Stopping both servers.")


def _check(options: Options) -> None:
    if options.strategy not in STRATEGIES:
        raise DemoError(
            f"No strategy {options.strategy!r}; choose one of {', '.join(sorted(STRATEGIES))}."
        )
    if options.orders < 1:
        raise DemoError("The comparison needs at least 1 random order.")
    if options.data is not None and not find_archive(options.data).is_file():
        raise DemoError(f"{options.data} holds no {ARCHIVE}; give the folder that does.")
    if options.rounds < 2:
        raise DemoError("A curve needs at least 2 rounds.")
    if options.rounds * options.labels > TASKS:
        raise DemoError(f"There are only {TASKS} tasks to label; ask for fewer rounds.")


@contextlib.contextmanager
def workspace(folder: Path) -> Iterator[Path]:
    """Give an empty folder that no other demo uses; only a demo's own folder is ever emptied."""
    if folder.exists() and any(folder.iterdir()) and not (folder / MARKER).exists():
        raise DemoError(f"{folder} holds something that no demo made; name another folder.")
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (folder / MARKER).open("w") as marker:
        try:
            fcntl.flock(marker, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DemoError(f"Another demo runs in {folder}; stop it first.") from None
        for item in folder.iterdir():
            if item.is_dir():
                shutil.rmtree(item)
            elif item.name != MARKER:
                item.unlink()
        yield folder.resolve()


@contextlib.contextmanager
def _interruptible() -> Iterator[None]:
    """Treat a request to terminate like Ctrl-C, so that the servers are stopped, too.

    Ctrl-C itself is set as well: a process that a script starts in the background ignores it.
    Only the first request counts (uv passes Ctrl-C on, so it may come twice): the next ones must
    not keep the servers from being stopped.
    """

    def interrupt(signum: int, frame: FrameType | None) -> NoReturn:
        for number in STOP_SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in STOP_SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _label_studio(options: Options, folder: Path, screen: Screen) -> LabelStudio:
    port = options.port or free_port(8080)
    return LabelStudio(
        folder / "label-studio",
        media=folder / "media",
        port=port,
        installation=Installation(say=screen.say),
        say=screen.say,
    )


def _digits(options: Options, media: Path, screen: Screen) -> Digits:
    if options.data is None:
        screen.say("Drawing digits and dialling their tones")
        return synthesise(media, train=TASKS, seed=SEED)
    screen.say(f"Unpacking {options.data}")
    return unpack_avdigits(options.data, media, train=TASKS, seed=SEED)


def _summary(screen: Screen, studio: LabelStudio, backend: Equipoise, project: int) -> None:
    user = studio.credentials
    screen.tell(f"""
[bold]Label Studio[/bold]  {studio.url}/projects/{project}/data
              user {user.username}, password {user.password}
[bold]Equipoise[/bold]     {backend.url}""")


def _stay(studio: LabelStudio, backend: Equipoise, screen: Screen) -> None:
    screen.tell("Both servers stay up; label some yourself. [bold]Ctrl-C[/bold] stops them.")
    with contextlib.suppress(KeyboardInterrupt):
        while studio.runs and backend.runs:
            time.sleep(1)
        raise DemoError("A server ended by itself; see the logs in the demo's folder.")
