"""`equipoise serve`, and the same under label-studio-ml's own server."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from backend.logs import configure
from backend.server.access import refuse_open_listening
from backend.settings import Settings, settings

Host = Annotated[str | None, typer.Option(help="Address to listen on.")]
Port = Annotated[int | None, typer.Option(help="Port to listen on.")]


def serve(host: Host = None, port: Port = None) -> None:
    """Run the server that Label Studio connects to."""
    import uvicorn

    config = _listening(host, port)
    from backend.server.app import create_app
    from backend.store.store import open_store

    application = create_app(config, open_store(config))
    uvicorn.run(
        application, host=config.host, port=config.port, log_level="warning", log_config=None
    )


def plugin(host: Host = None, port: Port = None) -> None:
    """Run the same under label-studio-ml's own server, for teams that already use one."""
    config = _listening(host, port)
    from backend.server.label_studio_ml import V2, wsgi

    refuse_open_listening(config, guarded=V2)
    wsgi().run(host=config.host, port=config.port, threaded=True)


def _listening(host: str | None, port: int | None) -> Settings:
    """Return the settings with the address that was given, which children must see, too."""
    if host is not None:
        os.environ["EQUIPOISE_HOST"] = host
    if port is not None:
        os.environ["EQUIPOISE_PORT"] = str(port)
    config = settings()
    configure(config.log_level)
    refuse_open_listening(config)
    return config
