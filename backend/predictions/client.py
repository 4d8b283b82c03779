"""Predictions of tasks that no round has ranked, as the server sees them: asked of a process.

The process (backend/predictions/process.py) decodes media while an annotator waits. One that a file
killed, or that a file holds up for `decode_timeout`, is replaced at the next request; the file is a
suspect then, which no request touches until a round has found out (backend/media/quarantine.py).
"""

from __future__ import annotations

import contextlib
import itertools
import json
import queue
import subprocess
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import structlog

from backend.children import python_module
from backend.errors import EquipoiseError, UnusableCheckpoint
from backend.media.decode_log import DecodeLog

log = structlog.get_logger(__name__)
Json = dict[str, Any]
Results = list[list[Json]]
_STOP_SECONDS = 5


class Unranked:
    """Asks the process, and starts it where there is none. Thread-safe."""

    def __init__(self, decode_log: DecodeLog, decode_timeout: float) -> None:
        """Start nothing yet.

        Args:
            decode_log: tells what the process decodes.
            decode_timeout: seconds that a file may take before the process is killed.
        """
        self._decode_log = decode_log
        self._decode_timeout = decode_timeout
        self._process: _Process | None = None
        self._lock = threading.Lock()
        self._loaded: dict[int, tuple[str, Future[Results]]] = {}

    def ask(
        self, project: int, checkpoint: Path, tasks: Sequence[Json], label_config: str
    ) -> Future[Results]:
        """Ask for predictions; one result per task, in order.

        The answer raises UnusableCheckpoint where the model cannot be loaded, and EquipoiseError
        where the process could not do it or died. Cancelled, the work for it ends.
        """
        request = {
            "project": project,
            "checkpoint": str(checkpoint),
            "tasks": list(tasks),
            "label_config": label_config,
        }
        with self._lock:
            self._end_if_stuck()
            if self._process is None or self._process.has_ended:
                self._process = _Process()
                self._loaded.clear()
            process = self._process
        return process.ask(request)

    def load(self, project: int, checkpoint: Path) -> None:
        """Let the process load a model ahead of the first request; repeat it to hear how it went.

        Raises:
            UnusableCheckpoint: the process could not load it.
        """
        name, loading = self._loaded.get(project, ("", None))
        if loading is None or name != str(checkpoint):
            self._loaded[project] = str(checkpoint), self.ask(project, checkpoint, [], "")
        elif loading.done():
            error = loading.exception()
            if isinstance(error, UnusableCheckpoint):
                raise error
            if error is not None:  # the process died
                self._loaded.pop(project, None)

    def stop(self) -> None:
        """End the process."""
        with self._lock:
            if self._process is not None:
                self._process.stop()

    def _end_if_stuck(self) -> None:
        if self._process is None:
            return
        # Another process of the same number may have left a decode log before this one began.
        noted = self._decode_log.of(self._process.pid).values()
        begun = [since for since in noted if since >= self._process.started]
        if begun and time.monotonic() - min(begun) > self._decode_timeout:
            log.error("process killed: a file holds its decoder up", process=self._process.pid)
            self._process.kill()


class _Process:
    """One process, and who waits for its answers.

    Two threads do what may block, so that nobody who asks ever waits for a pipe.
    """

    def __init__(self) -> None:
        self._popen = subprocess.Popen(
            python_module("backend.predictions.process"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is for the server, whose end ends this
        )
        self.started = time.monotonic()
        self._numbers = itertools.count()
        self._asked: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._waiting: dict[int, Future[Results]] = {}
        self._lock = threading.Lock()
        self.has_ended = False
        for target in (self._write, self._read):
            threading.Thread(target=target, name="unranked", daemon=True).start()

    @property
    def pid(self) -> int:
        return self._popen.pid

    def ask(self, request: Json) -> Future[Results]:
        box: Future[Results] = Future()
        with self._lock:
            if self.has_ended:
                box.set_exception(self._why())
                return box
            number = next(self._numbers)
            self._waiting[number] = box
        box.add_done_callback(lambda ended: self._give_up(number) if ended.cancelled() else None)
        self._asked.put(json.dumps({"number": number, **request}).encode() + b"\n")
        return box

    def _give_up(self, number: int) -> None:
        """Tell it that nobody waits for an answer any more."""
        self._waiting.pop(number, None)
        self._asked.put(json.dumps({"given_up": number}).encode() + b"\n")

    def kill(self) -> None:
        """End it at once."""
        self._popen.kill()
        self._popen.wait()
        self.has_ended = True

    def stop(self) -> None:
        """Let it end."""
        self._asked.put(None)
        try:
            self._popen.wait(timeout=_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._popen.kill()

    def _write(self) -> None:
        assert self._popen.stdin is not None
        # OSError: it has ended, which _read tells.
        with contextlib.suppress(OSError), self._popen.stdin as to:
            while (line := self._asked.get()) is not None:
                to.write(line)
                to.flush()

    def _read(self) -> None:
        assert self._popen.stdout is not None
        with self._popen.stdout as answers, contextlib.suppress(ValueError):
            for line in answers:
                self._settle(json.loads(line))  # ValueError: it died in the middle of an answer
        self._popen.kill()
        self._popen.wait()
        with self._lock:
            self.has_ended = True
            left, self._waiting = self._waiting, {}
        self._asked.put(None)
        for box in left.values():
            if box.set_running_or_notify_cancel():
                box.set_exception(self._why())

    def _settle(self, answer: Json) -> None:
        box = self._waiting.pop(answer["number"], None)
        if box is None or not box.set_running_or_notify_cancel():
            return  # given up meanwhile
        if "results" in answer:
            box.set_result(answer["results"])
        elif "unusable" in answer:
            box.set_exception(UnusableCheckpoint(answer["unusable"]))
        else:
            box.set_exception(EquipoiseError(answer["error"]))

    def _why(self) -> EquipoiseError:
        return EquipoiseError(
            f"The process that decodes media ended with status {self._popen.returncode}."
        )
