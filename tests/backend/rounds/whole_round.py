"""One training round of a project of pictures with texts, in a process that has done nothing else.

python -m tests.backend.rounds.whole_round FOLDER MODULE ... [option=value ...]

Prints which of the named modules it has loaded by the end, one a line.
"""

from __future__ import annotations

import io
import json
import os
import sys
from pathlib import Path
from typing import Any

from tests.backend.rounds.played import CONFIG, LABELLED, TASKS, data, label
from tests.backend.studio import FakeStudio


def main(folder: Path, names: list[str], options: dict[str, Any]) -> None:
    """Play the round."""
    from backend.rounds import process
    from backend.settings import ProjectSettings, settings
    from backend.store.store import open_store
    from backend.store.tables import Kind

    with FakeStudio(TASKS) as studio:
        studio.remote["label_config"] = CONFIG
        studio.data = {task: data(task) for task in studio.tasks}
        label(studio, *range(1, LABELLED + 1))
        os.environ["EQUIPOISE_LABEL_STUDIO_URL"] = studio.url
        os.environ |= {"EQUIPOISE_API_KEY": "key", "EQUIPOISE_MIN_FREE_BYTES": "0"}
        os.environ["EQUIPOISE_DATA_DIR"] = str(folder)
        store = open_store(settings())
        store.save_project(1, connected=True, label_config=CONFIG, backend_id=4)
        chosen = ProjectSettings(**options)
        claim = store.claim(
            1, Kind.TRAIN, chosen.strategy, "test", {"settings": chosen.model_dump()}
        )
        assert claim is not None
        sys.stdin = io.StringIO(json.dumps({"round": claim.round, "token": claim.token}) + "\n")
        assert process.main() == 0
    print(*[name for name in names if name in sys.modules], sep="\n")


if __name__ == "__main__":
    given = [word.split("=", 1) for word in sys.argv[2:] if "=" in word]
    main(Path(sys.argv[1]), [word for word in sys.argv[2:] if "=" not in word], dict(given))
