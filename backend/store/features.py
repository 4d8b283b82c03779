"""A project's prepared features in the bucket that servers share, the feature cache before it.

What one machine has encoded another one need not encode again. A pack is a shard of the cache with
the keys of its arrays in a file beside it, which is written last: a pack without it is not there.
Packs are never changed; they go with their project.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Collection
from pathlib import Path

import structlog

from backend.store.artifacts import Artifacts
from backend.store.bucket import Unreachable
from model.cache import FeatureCache
from model.shards import Store

log = structlog.get_logger(__name__)
WORTH = 256
"""Arrays for which the bucket is asked: fewer are encoded as fast as they are looked for."""
_KEYS = ".keys"


class SharedFeatures(FeatureCache):
    """The feature cache of this machine, and behind it what others have put for one project."""

    def __init__(
        self, folder: Path, artifacts: Artifacts, project: int, *, shared_from: int = WORTH
    ) -> None:
        """Take this machine's cache and what servers share.

        Args:
            folder: the cache.
            artifacts: the bucket; where nothing is shared, this is the cache alone.
            project: whose features these are.
            shared_from: arrays that the bucket must lack to be given them.
        """
        super().__init__(folder)
        self._artifacts = artifacts
        self._place = f"projects/{project}/features"
        self._shared_from = shared_from

    def bring(self, store: Store, keys: Collection[bytes]) -> None:
        """Copy the packs that hold what a store lacks, where that is much."""
        if len(keys) < WORTH or not self._artifacts.shared:
            return
        lacking, packs = set(keys), 0
        try:
            for name, (digest, held) in self._packs(store).items():
                if not lacking & held:
                    continue
                content = self._artifacts.get(name.removesuffix(_KEYS) + ".arrow")
                if content is None or hashlib.sha256(content).hexdigest() != digest:
                    log.error("not what its keys say", pack=name)
                    continue
                store.adopt(content)
                lacking -= held
                packs += 1
        except Unreachable as error:
            log.warning("features are not looked for in the bucket", reason=str(error))
        log.info("features from the bucket", packs=packs, still_lacking=len(lacking))

    def share(self, store: Store, keys: Collection[bytes]) -> None:
        """Put what nobody has put yet, where that is much."""
        if len(keys) < self._shared_from or not self._artifacts.shared:
            return
        try:
            new = set(keys).difference(*(held for _, held in self._packs(store).values()))
            if len(new) < self._shared_from:
                return
            for held, content in store.packed(new):
                place = f"{self._place}/{store.folder.name}/{uuid.uuid4().hex}"
                self._artifacts.put(f"{place}.arrow", content)
                told = {
                    "sha256": hashlib.sha256(content).hexdigest(),
                    "keys": [key.hex() for key in held],
                }
                self._artifacts.put(place + _KEYS, json.dumps(told).encode())
        except Unreachable as error:
            log.warning("features are not shared", reason=str(error))

    def _packs(self, store: Store) -> dict[str, tuple[str, set[bytes]]]:
        """Return the whole packs of an encoder: checksum and keys by name."""
        found = {}
        for name in sorted(self._artifacts.names(f"{self._place}/{store.folder.name}")):
            if not name.endswith(_KEYS):
                continue
            try:
                told = json.loads(self._artifacts.get(name) or b"")
                found[name] = str(told["sha256"]), {bytes.fromhex(key) for key in told["keys"]}
            except (ValueError, KeyError, TypeError):  # being written, in a folder
                continue
        return found
