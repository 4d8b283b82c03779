"""Can a project's media be read? Some tasks are fetched and decoded, before a round has to.

A process of its own does so (`readable_process`): what a file does to its decoder harms that
process and not whoever asks, who loads no decoder either.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from backend.children import python_module
from backend.errors import EquipoiseError
from backend.media.absent import listed
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
            python_module("backend.media.readable_process"),
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
