"""The feature cache: a folder per fingerprint (encoder, weights, preprocessing) with its shards."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from model.shards import Store, files


@dataclass(frozen=True)
class StoreInfo:
    """What `equipoise cache` shows of one encoder's store."""

    fingerprint: str
    rows: int
    failures: int
    bytes: int
    used: float


class FeatureCache:
    """Prepared arrays of any number of encoders under one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self._stores: dict[str, Store] = {}

    def store(self, fingerprint: str) -> Store:
        """Open the store of one encoder and note that it was used now."""
        if fingerprint not in self._stores:
            name = hashlib.blake2b(fingerprint.encode(), digest_size=12).hexdigest()
            self._stores[fingerprint] = Store(self.folder / name, fingerprint)
        store = self._stores[fingerprint]
        store.touch()
        store.refresh()
        return store

    def bring(self, store: Store, keys: Collection[bytes]) -> None:
        """Get what a store lacks from where machines share it; here there is no such place."""

    def share(self, store: Store, keys: Collection[bytes]) -> None:
        """Show what a store has to other machines; here there are none."""

    def size(self) -> int:
        """Return the bytes on disk."""
        return sum(found.st_size for _, found in files(self.folder, "*/*"))

    def describe(self) -> list[StoreInfo]:
        """List the stores, most recently used first."""
        infos = []
        for label, found in files(self.folder, "*/encoder.json"):
            store = Store(label.parent, json.loads(label.read_text())["fingerprint"])
            store.refresh()
            size = sum(one.st_size for _, one in files(label.parent, "*"))
            infos.append(
                StoreInfo(store.fingerprint, store.rows, len(store.failed), size, found.st_mtime)
            )
        return sorted(infos, key=lambda info: -info.used)

    def prune(self, max_bytes: int) -> int:
        """Delete least recently used shards until at most `max_bytes` are left; return bytes freed.

        Note: processes that have a shard open keep reading it; what was deleted is prepared again
        when it is next needed.
        """
        shards = [
            shard
            for label, _ in sorted(files(self.folder, "*/encoder.json"), key=_age)
            for shard in sorted(files(label.parent, "*.arrow"), key=_age)
        ]
        excess, freed = self.size() - max_bytes, 0
        for path, found in shards:
            if freed >= excess:
                break
            freed += found.st_size
            path.unlink(missing_ok=True)
        self._stores.clear()
        return freed


def _age(file: tuple[Path, os.stat_result]) -> float:
    return file[1].st_mtime
