"""Can a project's media be read? Some tasks are fetched and decoded, before a round has to.

`python -m backend.media.readable` does so, as asked on standard input: what a file does to its
decoder harms that process and not whoever asks.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from backend.children import python_module
from backend.errors import EquipoiseError
from backend.labelstudio.client import LabelStudio
from backend.labelstudio.config import parse
from backend.logs import configure
from backend.media.absent import counted, listed
from backend.media.decode_log import DecodeLog
from backend.media.prepared import prepared
from backend.settings import Settings, settings
from model.options import Preparation

Json = dict[str, Any]
TASKS = 20
_SECONDS = 120.0


@dataclass(frozen=True)
class Readable:
    """What became of one modality of some tasks.

    Attributes:
        modality: its name.
        read: values that could be read.
        of: tasks that were looked at.
        reasons: why others could not, counted.
    """

    modality: str
    read: int
    of: int
    reasons: dict[str, int] = field(default_factory=dict)

    def __str__(self) -> str:
        text = f"{self.read} of {self.of} readable"
        return f"{text}, because {listed(self.reasons)}" if self.reasons else text


def readable(
    project: int, tasks: Sequence[Json], label_config: str, preparation: Preparation
) -> list[Readable]:
    """Fetch and decode tasks, and say per modality what came of it.

    Args:
        project: whose tasks they are.
        tasks: as Label Studio shows them.
        label_config: the project's.
        preparation: names the encoders.

    Raises:
        EquipoiseError: the process that decodes them died, or took too long.
    """
    work = {
        "project": project,
        "tasks": list(tasks),
        "label_config": label_config,
        "preparation": preparation.to_json(),
    }
    try:
        done = subprocess.run(
            python_module("backend.media.readable"),
            input=json.dumps(work),
            stdout=subprocess.PIPE,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise EquipoiseError(
            f"{len(tasks)} tasks could not be fetched and decoded in {_SECONDS:g} s"
        ) from None
    if done.returncode:
        raise EquipoiseError(
            f"the process that decodes media ended with status {done.returncode}; "
            "the lines above say why"
        )
    return [Readable(**found) for found in json.loads(done.stdout)]


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
