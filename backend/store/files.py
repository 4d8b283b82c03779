"""The store's files: a folder per round, beside the database or in a bucket."""

from __future__ import annotations

from pathlib import Path

from backend.store.artifacts import Artifacts
from backend.store.rounds import Rounds
from backend.store.tables import Round, State

RANKING = "ranking.parquet"
MAP = "map.parquet"
"""Where tasks lie on a plane, beside a round's ranking."""


class Files(Rounds):
    """Where a round's files are, and which are kept."""

    files: Path
    artifacts: Artifacts

    def path(self, relative: str) -> Path:
        """Return the place of a round's folder or checkpoint on this machine, to write to."""
        return self.files / relative

    def ranking(self, found: Round) -> Path:
        """Return the file of a round's ranking, brought here where another server made it."""
        return self.artifacts.bring(f"{found.folder}/{RANKING}")

    def has_ranking(self, found: Round) -> bool:
        """Tell whether a round's ranking can be had."""
        return self.artifacts.has(f"{found.folder}/{RANKING}")

    def has_model(self, found: Round) -> bool:
        """Tell whether a round has a checkpoint that can be had."""
        return bool(found.checkpoint) and self.artifacts.has(found.checkpoint)

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
        old = {found.folder for found in rounds if found.folder} - kept
        # What no round of ours names is not ours to delete.
        for name in old & self.artifacts.names(f"projects/{project}"):
            self.artifacts.remove(name)

    def remove_files(self, project: int) -> None:
        """Delete everything of a project that was forgotten."""
        self.artifacts.remove(f"projects/{project}")
