"""Sample mutants, run for each the tests that execute its line, and print what was noticed.

make mutants ARGS="--seed 3 --count 50 model strategies"
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

from tests.mutants.contexts import CHILD_STARTS, CHILDREN, FOLDERS, Executed, gather
from tests.mutants.mutate import Mutant, mutants

ROOT = Path(__file__).resolve().parents[2]
EQUIVALENT = Path(__file__).with_name("equivalent.txt")
PRELOAD = ("torch", "scipy.stats", "sklearn.cluster", "transformers", "fastapi", "sqlalchemy")
NOTICED, UNNOTICED, NOT_RUN = "noticed", "unnoticed", "run by no test"


def copy_tree(target: Path) -> None:
    """Copy what is under version control, or new and not ignored."""
    listed = ["git", "ls-files", "-co", "--exclude-standard", "-z"]
    names = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    shutil.rmtree(target, ignore_errors=True)
    for name in filter(None, names.split("\0")):
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)


def digest(tree: Path, tests: list[str]) -> str:
    """Return a name of all code of a tree and of the tests that are asked for."""
    found = hashlib.sha256(" ".join(tests).encode())
    for path in sorted(tree.rglob("*.py")):
        found.update(str(path.relative_to(tree)).encode() + path.read_bytes())
    return found.hexdigest()


def collect(tree: Path, out: Path, tests: list[str]) -> None:
    """Run the tests once to learn which lines they execute, unless that is known."""
    mark, now = out / "digest", digest(tree, tests)
    if mark.exists() and mark.read_text() == now:
        return
    for old in out.glob("coverage*"):
        old.unlink()
    (tree / "sitecustomize.py").write_text(CHILD_STARTS)
    away = [f"--ignore=tests/{name}" for name in ("e2e", "faults", "mutants")]
    command = ["-m", "pytest", "-q", "-p", "tests.mutants.contexts", "-p", "no:cacheprovider"]
    noting = {**os.environ, CHILDREN: str(out)}
    code = subprocess.run([sys.executable, *command, *away, *tests], cwd=tree, env=noting)
    if code.returncode > 1:
        raise SystemExit("the tests cannot be collected")
    gather(out)
    mark.write_text(now)


def run_tests(tree: Path, tests: list[str], limit: float, log: Path) -> bool:
    """Tell whether tests pass within a limit of seconds; in a fork, so that nothing loads twice."""
    child = os.fork()
    if child == 0:
        os.setsid()
        _become_pytest(tree, tests, log)
    end = time.monotonic() + limit
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status) == 0
        time.sleep(0.05)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return False


def _become_pytest(tree: Path, tests: list[str], log: Path) -> None:
    code = 70
    try:
        out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(out, 1)
        os.dup2(out, 2)
        for name in [n for n in sys.modules if n.partition(".")[0] == "tests"]:
            del sys.modules[name]
        os.chdir(tree)
        sys.path[:0] = [str(tree)]
        import pytest

        code = int(pytest.main(["-x", "-q", "-p", "no:cacheprovider", *tests]))
    finally:
        os._exit(code)


class Laboratory:
    """A copy of the tree in which one file at a time is mutated."""

    def __init__(self, out: Path, tests: list[str], most_seconds: float) -> None:
        """Copy the tree and learn which tests execute what."""
        self.tree, self._out, self._most = out / "tree", out, most_seconds
        out.mkdir(parents=True, exist_ok=True)
        copy_tree(self.tree)
        collect(self.tree, out, tests)
        self._executed = Executed(out, self.tree)
        self._clock = int(time.time())

    def candidates(self, folder: str) -> list[Mutant]:
        """Return every mutant of a folder, or a file, that is not known to change nothing."""
        same = set(EQUIVALENT.read_text().splitlines())
        place = self.tree / folder
        files = [place] if place.is_file() else place.rglob("*.py")
        paths = sorted(str(path.relative_to(self.tree)) for path in files)
        return [m for path in paths for m in mutants(self.tree, path) if m.key not in same]

    def tests(self, mutant: Mutant) -> list[str]:
        """Return the tests to run, the fastest first, up to the limit of seconds."""
        found = self._executed.tests(mutant.path, mutant.line, mutant.statement_line)
        while len(found) > 1 and self._executed.seconds(found) > self._most:
            found.pop()
        return found

    def verdict(self, mutant: Mutant) -> str:
        """Tell whether the tests notice a mutant."""
        tests = self.tests(mutant)
        if not tests:
            return NOT_RUN
        path = self.tree / mutant.path
        original = path.read_text()
        try:
            self._write(path, mutant.source)
            return UNNOTICED if self._pass(tests) else NOTICED
        finally:
            self._write(path, original)

    def check(self, mutant: Mutant) -> None:
        """Stop where tests fail without any mutant: all would count as noticed."""
        tests = self.tests(mutant)
        if tests and not self._pass(tests):
            raise SystemExit(f"these tests fail without a mutant: see {self._out / 'log'}")

    def _pass(self, tests: list[str]) -> bool:
        limit = 60 + 6 * self._executed.seconds(tests)
        return run_tests(self.tree, tests, limit, self._out / "log")

    def _write(self, path: Path, source: str) -> None:
        path.write_text(source)
        self._clock += 2  # bytecode is known by whole seconds and size
        os.utime(path, (self._clock, self._clock))


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(prog="make mutants ARGS=...", description=__doc__)
    parser.add_argument("folders", nargs="*", default=FOLDERS, help="also files")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--count", type=int, default=50, help="mutants per folder")
    parser.add_argument("--tests", nargs="*", default=["tests"], help="folders of tests to use")
    parser.add_argument("--most-seconds", type=float, default=60, help="of tests per mutant")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "mutants")
    options = parser.parse_args()
    out = options.out.resolve()
    os.environ.setdefault("EQUIPOISE_TEST_DATA", str(ROOT.parent / "shared" / "data"))
    os.environ.update(EQUIPOISE_MUTANTS=str(out), PYTHONPATH=str(out / "tree"))
    laboratory = Laboratory(out, options.tests, options.most_seconds)
    for name in PRELOAD:
        __import__(name)
    counts = {}
    for folder in options.folders:
        candidates = laboratory.candidates(folder)
        rng = random.Random(options.seed)
        chosen = rng.sample(candidates, min(options.count, len(candidates)))
        laboratory.check(next((m for m in chosen if laboratory.tests(m)), chosen[0]))
        counts[folder] = _count(laboratory, chosen)
    print(f"\nseed {options.seed}\n| folder | noticed | run by no test | sampled | |")
    print("|---|---|---|---|---|")
    for folder, found in counts.items():
        share = found[NOTICED] / max(1, found.total())
        print(f"| {folder} | {found[NOTICED]} | {found[NOT_RUN]} | {found.total()} | {share:.0%} |")


def _count(laboratory: Laboratory, chosen: list[Mutant]) -> Counter[str]:
    found: Counter[str] = Counter()
    for mutant in chosen:
        verdict = laboratory.verdict(mutant)
        found[verdict] += 1
        place = f"{found.total()}/{len(chosen)} {verdict}"
        print(
            place if verdict == NOTICED else f"{place}: line {mutant.line}, {mutant.key}",
            flush=True,
        )
    return found


if __name__ == "__main__":
    main()
