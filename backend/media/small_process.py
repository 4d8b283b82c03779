"""The process that makes what the page shows of media: it decodes what it is sent, and no more.

It fetches nothing and is not told the token; what it may use is bounded. A request is a JSON line
and the bytes that it announces; so is an answer. Whoever asks is `Decoder`.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import select
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import replace
from typing import IO, Any

from backend.children import python_module
from backend.labelstudio.config import parse
from backend.media.values import sample_of
from model.sample import MediaError, Reference

Json = dict[str, Any]
_IDLE = 60.0
"""Seconds without a request after which the process ends."""
_MEMORY = 4 * 2**30
_PASSED_ON = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "TMPDIR", "TZ")
_TRIES = 2
"""A process may end for another reason once: because it was idle, or killed."""


class Decoder:
    """The process as the server sees it; started when it is needed. One request at a time."""

    def __init__(self) -> None:
        """Start nothing yet."""
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()

    def make(self, request: Json, files: Mapping[str, bytes], seconds: float) -> bytes:
        """Return what `small` makes of a task's value.

        Args:
            request: label_config, data, place (of the modality), play.
            files: address -> its content, for what the value names.
            seconds: that it may take.

        Raises:
            MediaError: it cannot be read, or it ended its decoder.
        """
        with self._lock:
            for _ in range(_TRIES):
                answer, late = self._ask(request, files, seconds)
                if late:
                    raise MediaError(f"took longer than {seconds:g} s to decode")
                if answer is not None:
                    return answer
        raise MediaError("crashed its decoder")

    def stop(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def _ask(
        self, request: Json, files: Mapping[str, bytes], seconds: float
    ) -> tuple[bytes | None, bool]:
        process = self._running()
        assert process.stdin is not None
        assert process.stdout is not None
        end = threading.Timer(seconds, process.kill)
        end.start()
        late = False
        try:
            sizes = [[address, len(content)] for address, content in files.items()]
            with contextlib.suppress(BrokenPipeError):
                process.stdin.write(json.dumps({**request, "files": sizes}).encode() + b"\n")
                for content in files.values():
                    process.stdin.write(content)
                process.stdin.flush()
            answer = _read_answer(process.stdout)
        finally:
            late = not end.is_alive()
            end.cancel()
        if answer is None:
            self.stop()
        return answer, late and answer is None

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None:
            kept = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
            self._process = subprocess.Popen(
                python_module("backend.media.small_process"),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env={**kept, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
                start_new_session=True,  # Ctrl-C is for the server, whose end ends this
            )
        return self._process


def _read_answer(stream: IO[bytes]) -> bytes | None:
    """Return what was made; None where the process has ended."""
    try:
        head = json.loads(stream.readline())
        if "error" in head:
            raise MediaError(head["error"])
        content = stream.read(head["size"])
    except ValueError:
        return None
    return content if len(content) == head["size"] else None


def _answer(request: Json, files: Mapping[str, bytes]) -> bytes:
    def refer(address: str) -> Reference:
        return Reference(address, lambda: files[address])

    config = parse(request["label_config"])
    modality = config.schema.modalities[request["place"]]
    only = replace(config, sources={modality.key: config.sources[modality.key]})
    value = sample_of(request["data"], only, refer)[modality.key]
    if value is None:
        raise MediaError("the task has no such value")
    from backend.media.small import small  # the decoders, which who asks must not load

    content = value.load() if isinstance(value, Reference) else value
    return small(modality.kind, content, request["play"])


def main() -> None:
    """Answer until nobody asks any more."""
    for what, most in ((resource.RLIMIT_AS, _MEMORY), (resource.RLIMIT_FSIZE, 0)):
        with contextlib.suppress(ValueError, OSError):  # it is bounded more tightly already
            resource.setrlimit(what, (most, most))
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what libraries print is no answer
    asked = sys.stdin.buffer
    while select.select([asked], [], [], _IDLE)[0] and (line := asked.readline()):
        request = json.loads(line)
        files = {address: asked.read(size) for address, size in request["files"]}
        try:
            content = _answer(request, files)
            head: Json = {"size": len(content)}
        except MediaError as error:
            content, head = b"", {"error": str(error)[:300]}
        except Exception as error:  # whatever a file makes a library raise
            content, head = b"", {"error": f"cannot be read: {type(error).__name__}"}
        answers.write(json.dumps(head).encode() + b"\n" + content)
        answers.flush()


if __name__ == "__main__":
    main()
