"""The store's files: a folder per round, beside the database."""

from __future__ import annotations

import shutil
from pathlib import Path

from backend.store.rounds import Rounds
from backend.store.tables import Round, State

MAP = "map.parquet"
"""Where tasks lie on a plane, beside a round's ranking."""


class Files(Rounds):
    """Where a round's files are, and which are kept."""

    files: Path

    def path(self, relative: str) -> Path:
        """Return the place of a round's folder or checkpoint."""
        return self.files / relative

    def ranking(self, found: Round) -> Path:
        """Return the file of a round's ranking."""
        return self.path(found.folder) / "ranking.parquet"

    def prune_files(self, project: int, keep: int) -> None:
        """Delete the folders of all but the newest `keep` finished rounds and the current one."""
        rounds = self.rounds(project)
        current = self.current(project)
        done = [r for r in rounds if r.state == State.DONE][-keep:]
        busy = [r for r in rounds if r.state == State.RUNNING]
        kept = {r.folder for r in [*done, *busy, *([current] if current else [])]}
        kept |= {str(Path(r.checkpoint).parent) for r in done if r.checkpoint}
        if current and current.checkpoint:
            kept.add(str(Path(current.checkpoint).parent))
        for found in rounds:
            if found.folder and found.folder not in kept:
                shutil.rmtree(self.path(found.folder), ignore_errors=True)
