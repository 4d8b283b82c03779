"""Rounds of a large project on a real Label Studio: requests, seconds, memory.

python -m benchmarks.large [--tasks 10000 ...] [--later 2] [--folder FOLDER] [--postgresql] [--flag]
    [--json FILE]

It starts a Label Studio, imports made text tasks, labels 60, connects Equipoise and waits for its
first round; then labels 20 and waits until the next queue serves, and again. All that Equipoise
asks Label Studio passes a proxy that notes it. A folder is used again: its server need not be set
up then. --flag sets the variable of Label Studio's environment that makes it store predictions
without recounting all tasks.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import numpy as np

from backend.queue.checks import SPARED
from benchmarks._watched import Asked, Watched
from demo import postgresql
from demo.background import Background, free_port
from demo.labelstudio import LabelStudio

CONFIG = (
    '<View><Text name="t" value="$text"/><Choices name="label" toName="t">'
    '<Choice value="A"/><Choice value="B"/></Choices></View>'
)
_COMMAND = (sys.executable, "-m", "backend.commands.main")
_CHUNK = 5000
_LONGEST = 3600.0


def texts(count: int) -> list[str]:
    """Return made texts; the words of even ones differ a little from those of odd ones."""
    rng = np.random.default_rng(0)
    words = rng.integers(0, 400, (count, 24))
    words[:, :4] += 400 * (1 + np.arange(count) % 2)[:, None]
    return [" ".join(f"w{word}" for word in row) for row in words.tolist()]


class Memory:
    """The highest resident memory (MB) of the server and of its rounds, while it is watched."""

    def __init__(self) -> None:
        self.server = 0.0
        self.round = 0.0
        self._stop = threading.Event()

    def watch(self, server: int) -> None:
        """Look again and again, in a thread, until `stop`."""

        def look() -> None:
            while not self._stop.wait(0.2):
                self.server = max(self.server, _peak(server))
                rounds = [p for p in _children(server) if _name(p) == "equipoise-round"]
                self.round = max([self.round, *map(_peak, rounds)])

        threading.Thread(target=look, daemon=True).start()

    def stop(self) -> None:
        """Look no longer."""
        self._stop.set()


def _status(process: int) -> dict[str, str]:
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except OSError:
        return {}
    return dict(line.split(":", 1) for line in lines if ":" in line)


def _peak(process: int) -> float:
    return int(_status(process).get("VmHWM", "0").split()[0]) / 1024


def _name(process: int) -> str:
    return _status(process).get("Name", "").strip()


def _children(process: int) -> list[int]:
    try:
        tasks = Path(f"/proc/{process}/task").iterdir()
        found = [int(p) for t in tasks for p in (t / "children").read_text().split()]
    except OSError:
        return []
    return found + [inner for child in found for inner in _children(child)]


class Project:
    """One project of made texts, and a person who labels it."""

    def __init__(self, client: httpx.Client, tasks: int) -> None:
        self._client = client
        body = {"title": f"{tasks} texts", "label_config": CONFIG}
        self.id = int(self._asked("POST", "/api/projects/", body)["id"])
        made = [{"text": text} for text in texts(tasks)]
        self.ids: list[int] = []
        for start in range(0, tasks, _CHUNK):
            path = f"/api/projects/{self.id}/import?return_task_ids=true"
            self.ids += self._asked("POST", path, made[start : start + _CHUNK])["task_ids"]
        self._labelled = 0

    def _asked(self, method: str, path: str, body: Any = None) -> Any:
        answer = self._client.request(method, path, json=body, timeout=900)
        answer.raise_for_status()
        return answer.json()

    def label(self, count: int) -> None:
        """Label the next tasks with their classes."""
        for row in range(self._labelled, self._labelled + count):
            value = {"choices": ["AB"[row % 2]]}
            found = {"from_name": "label", "to_name": "t", "type": "choices", "value": value}
            path = f"/api/tasks/{self.ids[row]}/annotations/"
            self._asked("POST", path, {"result": [found], "lead_time": 5})
        self._labelled += count


def _wait(happens: Callable[[], bool]) -> None:
    end = time.monotonic() + _LONGEST
    while not happens():
        if time.monotonic() > end:
            raise SystemExit(f"not within {_LONGEST:.0f} s")
        time.sleep(0.5)


def _report(name: str, wall: float, asked: list[Asked], status: dict[str, Any]) -> dict[str, Any]:
    beside = [one for one in asked if one.what.startswith("DELETE /api/predictions")]
    mine = [one for one in asked if one not in beside]
    theirs = sum(one.seconds for one in mine)
    counts = dict(Counter(one.what for one in mine).most_common())
    seconds = Counter[str]()
    for one in mine:
        seconds[one.what] += one.seconds
    print(
        f"{name}: {len(mine)} requests, {wall:.1f} s, of which Label Studio's {theirs:.1f}; "
        f"phases {status['durations']}; published {status['published']}; "
        f"beside it {len(beside)} old predictions deleted"
    )
    for what, count in counts.items():
        print(f"    {count:4d} x {what:50s} {seconds[what]:7.2f} s")
    return {
        "round": name,
        "requests": len(mine),
        "seconds": round(wall, 2),
        "label_studio": round(theirs, 2),
        "durations": status["durations"],
        "asked": counts,
    }


def play(studio: LabelStudio, tasks: int, folder: Path, later: int) -> dict[str, Any]:
    """Play a first round and later ones, and return what they took."""
    with studio.client() as client, Watched(studio.url) as proxy:
        project = Project(client, tasks)
        project.label(60)
        port = free_port()
        env = {
            **os.environ,
            "EQUIPOISE_LABEL_STUDIO_URL": proxy.url,
            "EQUIPOISE_API_KEY": studio.api_key,
            "EQUIPOISE_PORT": str(port),
            "EQUIPOISE_DATA_DIR": str(folder / f"data-{tasks}-{project.id}"),
            "EQUIPOISE_POLL_SECONDS": "3600",  # webhooks start the rounds
            "EQUIPOISE_PRESET": "quick",  # what is encoded is not measured here
        }
        server = Background("Equipoise", folder / "serve.log")
        server.start([*_COMMAND, "serve"], env)
        memory = Memory()
        try:
            url = f"http://127.0.0.1:{port}"
            server.wait_until_up(f"{url}/health", 120, lambda _: None)
            memory.watch(server._process.pid)  # type: ignore[union-attr]

            def status() -> dict[str, Any]:
                answer = httpx.get(f"{url}/api/projects/{project.id}/status", trust_env=False)
                found: dict[str, Any] = answer.json() if answer.is_success else {}
                return found

            def idle(version: str) -> bool:
                now = status()
                return now.get("state") == "idle" and (now.get("version") or "") > version

            started = time.monotonic()
            subprocess.run(
                [*_COMMAND, "connect", "--project", str(project.id)],
                env=env,
                check=True,
                capture_output=True,
            )
            _wait(lambda: idle("equipoise-r0000"))
            rounds = []
            now = time.monotonic()
            asked = proxy.between(started, now)
            rounds.append(_report("first round", now - started, asked, status()))
            for number in range(2, 2 + later):
                time.sleep(12)  # a process for the next round loads meanwhile
                before = str(status()["version"])
                project.label(20)
                started = time.monotonic()
                _wait(lambda: idle(before))  # noqa: B023
                serves = time.monotonic()
                asked = proxy.between(started, serves)
                rounds.append(_report(f"round {number}", serves - started, asked, status()))
        finally:
            memory.stop()
            server.stop()
    print(f"memory: server {memory.server:.0f} MB, round {memory.round:.0f} MB at most")
    return {
        "tasks": tasks,
        "rounds": rounds,
        "server_mb": round(memory.server),
        "round_mb": round(memory.round),
    }


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, nargs="+", default=[10_000])
    parser.add_argument("--later", type=int, default=2, help="rounds after the first")
    parser.add_argument("--folder", type=Path, help="where Label Studio keeps its data")
    parser.add_argument("--postgresql", action="store_true", help="in place of SQLite")
    parser.add_argument("--flag", action="store_true", help=f"{SPARED}=true in Label Studio")
    parser.add_argument("--json", type=Path, help="also write the numbers to this file")
    chosen = parser.parse_args()
    with ExitStack() as stack:
        folder = chosen.folder or Path(stack.enter_context(TemporaryDirectory()))
        extra = {SPARED: "true"} if chosen.flag else {}
        if chosen.postgresql:
            extra |= postgresql.for_label_studio(stack.enter_context(postgresql.running()))
        studio = stack.enter_context(LabelStudio(folder / "label-studio", extra=extra))
        found = []
        kind = {"flag": chosen.flag, "postgresql": chosen.postgresql}
        for tasks in chosen.tasks:
            print(f"{tasks} tasks, {kind}", flush=True)
            found.append({**play(studio, tasks, folder, chosen.later), **kind})
            if chosen.json:
                chosen.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
