"""The process that fetches and decodes some tasks, as asked on standard input (`readable`)."""

from __future__ import annotations

import json
import sys
from typing import Any

from backend.labelstudio.client import LabelStudio
from backend.labelstudio.config import parse
from backend.logs import configure
from backend.media.absent import counted
from backend.media.decode_log import DecodeLog
from backend.media.prepared import prepared
from backend.settings import Settings, settings
from model.options import Preparation

Json = dict[str, Any]


def _look(work: Json, config: Settings) -> list[Json]:
    parsed = parse(work["label_config"])
    with LabelStudio.of(config) as studio, DecodeLog(config.decoding).open() as decode_log:
        inputs = prepared(
            work["tasks"],
            parsed,
            Preparation.from_json(work["preparation"]),
            project=work["project"],
            studio=studio,
            settings=config,
            decode_log=decode_log,
            attempts=1,
            suspects=False,
        )
    reasons = counted(inputs, parsed, work["tasks"])
    return [
        {
            "modality": name,
            "read": int(inputs.present[:, column].sum()),
            "of": inputs.size,
            "reasons": {
                reason.removeprefix(f"{name}: "): count
                for reason, count in reasons.items()
                if reason.startswith(f"{name}: ")
            },
        }
        for column, name in enumerate(parsed.schema.names)
    ]


def main() -> int:
    """Answer on standard output what is asked on standard input."""
    config = settings()
    configure(config.log_level)
    print(json.dumps(_look(json.load(sys.stdin), config)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
