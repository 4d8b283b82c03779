"""Entry point of the process that predicts tasks which no round has ranked yet.

A process of its own because it decodes their media: what a file does to its decoder harms this
process and not the server. It reads requests from standard input, a JSON object a line, and answers
each on standard output as soon as it can; where its input ends it ends, too.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import threading
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, TextIO

from backend.errors import EquipoiseError
from backend.labelstudio.answers import prediction_result
from backend.labelstudio.circuit import Circuit
from backend.labelstudio.client import LabelStudio
from backend.labelstudio.config import parse
from backend.logs import configure
from backend.media.decode_log import DecodeLog
from backend.media.prepared import prepared
from backend.settings import Settings, settings
from model import checkpoint
from model.model import Model
from model.preparation import Progress

Json = dict[str, Any]


class Predictor:
    """The newest model of each project, and what it needs to see a task. Thread-safe."""

    def __init__(self, config: Settings, decode_log: DecodeLog) -> None:
        """Start with no model."""
        self._settings = config
        self._decode_log = decode_log
        self._circuit = Circuit()
        self._models: dict[int, tuple[str, Model]] = {}
        self._loading = threading.Lock()
        self._given_up: set[int] = set()

    def give_up(self, number: int) -> None:
        """Note that nobody waits for the answer to a request any more."""
        self._given_up.add(number)

    def answer(self, request: Json) -> Json:
        """Return the results of a request, or what went wrong."""
        try:
            model = self._model(request["project"], request["checkpoint"])
            alive = partial(self._go_on, request["number"])
            return {"results": self._predict(model, request, alive)}
        except checkpoint.CheckpointError as error:
            return {"unusable": str(error)}
        except Exception as error:
            return {"error": f"{type(error).__name__}: {error}"[:300]}
        finally:
            self._given_up.discard(request["number"])

    def _go_on(self, number: int, *_: object) -> None:
        if number in self._given_up:
            raise EquipoiseError("nobody waits for it any more")

    def _model(self, project: int, folder: str) -> Model:
        with self._loading:
            loaded, model = self._models.get(project, ("", None))
            if model is None or loaded != folder:
                model = checkpoint.load(Path(folder), device="cpu")
                self._models[project] = folder, model
            return model

    def _predict(self, model: Model, request: Json, alive: Progress) -> list[list[Json]]:
        tasks: Sequence[Json] = request["tasks"]
        if not tasks:
            return []
        config = parse(request["label_config"])
        self._circuit.hint()  # whoever asks for predictions is mostly Label Studio itself
        with LabelStudio.of(
            self._settings,
            timeout=self._settings.predict_timeout,
            attempts=1,
            circuit=self._circuit,
        ) as studio:
            inputs = prepared(
                tasks,
                config,
                model.preset.preparation,
                project=request["project"],
                studio=studio,
                settings=self._settings,
                decode_log=self._decode_log,
                attempts=1,
                suspects=False,
                progress=alive,
            )
        outputs = model.predict(inputs)
        return [prediction_result(config, outputs, row) for row in range(len(tasks))]


def main() -> None:
    """Answer until nobody asks any more."""
    with contextlib.suppress(OSError):  # Linux: `ps -o comm` and `top` tell who works
        Path("/proc/self/comm").write_text("equipoise-pred")
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what libraries print is no answer
    config = settings()
    configure(config.log_level)
    writing = threading.Lock()
    with DecodeLog(config.decoding).open() as decode_log:
        predictor = Predictor(config, decode_log)
        for line in sys.stdin:
            request = json.loads(line)
            if "given_up" in request:
                predictor.give_up(request["given_up"])
                continue
            # A thread each, left behind: what is stuck in one keeps nobody else waiting.
            work = (predictor, request, answers, writing)
            threading.Thread(target=_answer, args=work, daemon=True).start()
    os._exit(0)  # at once, whatever a thread is stuck in


def _answer(predictor: Predictor, request: Json, answers: TextIO, writing: threading.Lock) -> None:
    line = json.dumps({"number": request["number"], **predictor.answer(request)})
    with writing, contextlib.suppress(OSError):
        answers.write(line + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
