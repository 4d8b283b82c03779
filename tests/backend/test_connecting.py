"""Connecting: several at once end as one would have."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from backend.connecting import connect
from backend.labelstudio import LabelStudio
from backend.settings import Settings
from backend.store import Store
from tests.backend.studio import FakeStudio


def test_connects_at_once_take_turns(tmp_path: Path) -> None:
    with FakeStudio() as studio:
        settings = Settings(label_studio_url=studio.url, api_key="key", data_dir=tmp_path)

        def work(_: int) -> list[str]:
            store = Store(f"sqlite:///{tmp_path / 'store.db'}", tmp_path)
            with LabelStudio(studio.url, "key") as client:
                lines = connect(client, store, settings, 1)
            store.close()
            return lines

        Store(f"sqlite:///{tmp_path / 'store.db'}", tmp_path).close()
        with ThreadPoolExecutor(4) as pool:
            done = list(pool.map(work, range(4)))
        assert len(studio.hooks) == 1
        made = [line for lines in done for line in lines if line.startswith("created the webhook")]
        assert len(made) == 1
