"""The same backend under label-studio-ml's own server, for teams that already run one.

Both generations of that library are served: 1.0.9 (package index) and 2.x. Each of them makes
model objects as it pleases (2.x one per request), so everything lives in one runtime per process.
"""

from __future__ import annotations

import inspect
import multiprocessing
import os
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

from label_studio_ml.model import LabelStudioMLBase

from backend.server.events import CHANGES, START, note, project_id
from backend.settings import settings
from backend.store.store import open_store

if TYPE_CHECKING:
    from flask import Flask

    from backend.predictions.served import Serving
    from backend.server.ml_backend import Protocol

# 1.0.9 starts a process for every event, which must not load all of it only to note it; the server
# itself loads everything with its start, because /setup has 3 seconds.
_SERVER = multiprocessing.parent_process() is None
if _SERVER:
    import_module("backend.server.ml_backend")

V2 = "project_id" in inspect.signature(LabelStudioMLBase.__init__).parameters
Json = dict[str, Any]


@cache
def runtime() -> tuple[Protocol, Serving]:
    """Open the store and start the reconciler, once per process."""
    from backend.predictions.served import Serving
    from backend.rounds.loop import Reconciler
    from backend.server.ml_backend import Protocol

    config = settings()
    store = open_store(config)
    serving = Serving(store, config)
    reconciler = Reconciler(store, config, serving)
    # Those processes are daemons that die with the server: rounds must not start there.
    if _SERVER:
        reconciler.start()
    return Protocol(config, store, serving, reconciler), serving


class EquipoiseModel(LabelStudioMLBase):  # type: ignore[misc]
    """Equipoise as a LabelStudioMLBase. Settings come from the environment, as for the server."""

    TRAIN_EVENTS = (*CHANGES, START)

    def __init__(
        self,
        project_id: str | int | None = None,
        label_config: str | None = None,
        train_output: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Take what either generation passes (2.x passes project_id first)."""
        self._project = project_id
        if V2:
            super().__init__(project_id, label_config)
        else:
            super().__init__(label_config=label_config, train_output=train_output, **kwargs)
            if _SERVER:
                self.setup()

    def setup(self) -> None:
        """Note the project and check its config. Loads no weights, so /setup stays quick."""
        protocol, _ = runtime()
        if V2 and self._project is not None:
            from backend.server.ml_backend import SetupBody

            body = SetupBody(project=str(self._project), schema=self.label_config or "")
            self.set("model_version", str(protocol.setup(body)["model_version"]))

    def predict(
        self, tasks: Sequence[Json], context: Mapping[str, Any] | None = None, **kwargs: Any
    ) -> list[Json]:
        """Return one prediction per task, in order, each naming its model version."""
        if not tasks:
            return []
        wish = self._project if self._project is not None else tasks[0].get("project")
        _, serving = runtime()
        return serving.predict(project_id(wish), tasks, self.label_config or "")

    def fit(
        self,
        *args: Any,
        event: str | None = None,
        data: Mapping[str, Any] | None = None,
        workdir: str | None = None,
        **kwargs: Any,
    ) -> Json:
        """Note what changed; rounds run in the reconciler's own worker process.

        Args:
            args: 2.x passes (event, data) by position; 1.0.9 an empty tuple of tasks.
            event: Label Studio's event name.
            data: the event's body.
            workdir: unused; 1.0.9 offers a folder.
            kwargs: whatever else a version of the library passes.
        """
        if args and isinstance(args[0], str):
            event, data = args[0], args[1] if len(args) > 1 else {}
        store = open_store(settings())
        try:
            told = data or {}
            note(store, event or "", told.get("project"), told.get("tasks"))
        finally:
            store.close()
        return {}


def wsgi() -> Flask:
    """Return label-studio-ml's server with this model: `equipoise plugin` runs it.

    It needs no folder of its own: what label-studio-ml keeps for a model lies in data_dir. Under
    gunicorn: `gunicorn --chdir / "backend.server.label_studio_ml:wsgi()"`, as gunicorn puts the
    current folder first on the module path, where a `model.py` would stand for ours.
    """
    from label_studio_ml.api import init_app

    folder = settings().data_dir / "plugin"
    folder.mkdir(parents=True, exist_ok=True)
    os.environ.setdefault("MODEL_DIR", str(folder))
    if V2:
        user, password = settings().basic_auth or (None, None)
        kwargs: Json = {"basic_auth_user": user, "basic_auth_pass": password}
    else:
        kwargs = {"model_dir": str(folder)}
    app: Flask = init_app(model_class=EquipoiseModel, **kwargs)
    return app
