"""What is told to Ray, and that nothing of it is imported where nobody asks for it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from backend.errors import EquipoiseError
from backend.rounds import ray_node
from backend.rounds.executor import Workers
from backend.rounds.ray_node import Wanted, told_settings
from backend.settings import Settings
from backend.store.store import Store
from model import cluster

SECRETS = {
    "api_key": "the-api-key",
    "store_url": "postgresql+psycopg://me:the-store@db/x",
    "basic_auth_user": "the-user",
    "basic_auth_pass": "the-password",
    "webhook_secret": "the-webhook-secret",
    "artifacts_url": "s3://the-bucket/x",
    "proxy": "http://me:the-proxy@proxy:3128",
}


@pytest.fixture
def config(tmp_path: Path) -> Settings:
    """Return settings with secrets, and with values of every type."""
    return Settings(
        **SECRETS,
        data_dir=tmp_path,
        executor="ray",
        media_hosts=["a.example.org", "*.example.org"],
        want={"A": 2.0},
        once=False,
        projects={3: {"strategy": "grace", "overrides": {"epochs": 40}}},
        local_files_root=tmp_path,
        media_timeout=7.5,
    )


def test_a_node_gets_the_servers_settings(
    config: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in told_settings(config).items():
        monkeypatch.setenv(name, value)
    for name, value in SECRETS.items():
        monkeypatch.setenv(f"EQUIPOISE_{name.upper()}", value)
    assert Settings() == config


def test_a_relative_data_dir_is_the_same_folder_on_a_node() -> None:
    told = told_settings(Settings(data_dir=Path("here")))
    assert told["EQUIPOISE_DATA_DIR"] == str(Path.cwd() / "here")


def test_no_secret_is_told(config: Settings, tmp_path: Path) -> None:
    told = repr(Wanted.of(config, 7, str(tmp_path)))
    assert not [value for value in SECRETS.values() if value in told or "the-" in told]


def test_a_node_without_the_secrets_says_which(
    config: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    servers = {"webhook_secret": "s", "notify_url": "http://a.example.org", "notify_secret": "s"}
    config = Settings(**{**dict(config), **servers})
    wanted = Wanted.of(config, 7, str(tmp_path))
    for name in SECRETS:
        monkeypatch.setenv(f"EQUIPOISE_{name.upper()}", "x")
    wanted.check()
    monkeypatch.delenv("EQUIPOISE_STORE_URL")
    with pytest.raises(EquipoiseError, match=r"lacks EQUIPOISE_STORE_URL: .*`ray start`"):
        wanted.check()


def test_a_node_must_see_the_rounds_folder_unless_there_is_a_bucket(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_node, "_SEEN_SECONDS", 0.0)
    told: dict[str, Any] = {
        "round": 1,
        "environment": {},
        "secrets": (),
        "version": version("equipoise"),
    }
    Wanted(folder="", **told).check()
    Wanted(folder=str(tmp_path), **told).check()
    with pytest.raises(EquipoiseError, match="data_dir must be a folder that all nodes share"):
        Wanted(folder=str(tmp_path / "missing"), **told).check()


def test_a_node_with_another_version_is_refused(tmp_path: Path) -> None:
    wanted = Wanted(1, str(tmp_path), {}, (), "0.0.1")
    with pytest.raises(EquipoiseError, match=r"the server 0\.0\.1: install the same"):
        wanted.check()


def test_without_ray_it_is_said_what_to_install(
    config: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)  # as if it was not installed
    store = Store(f"sqlite:///{tmp_path / 'store.db'}", tmp_path)
    with pytest.raises(EquipoiseError, match=r'executor = "ray": .*install .equipoise\[ray\]'):
        Workers(store, config)
    store.close()


@pytest.mark.parametrize("address", ["ray://head:10001", "head", "127.0.0.1:ray", ":6379"])
def test_an_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(cluster.ClusterUnavailable, match="write host:port"):
        cluster.place(address)


def test_where_nobody_listens_it_is_said_at_once() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))  # bound, but nobody listens
        with pytest.raises(cluster.ClusterUnavailable, match="No Ray cluster answers"):
            cluster.reach(f"127.0.0.1:{free.getsockname()[1]}")


IMPORTS = """
import sys
sys.modules["ray"] = None  # every import of it fails
import backend.server.app, backend.rounds.process, backend.commands.main
import backend.rounds.ray_job, backend.rounds.encode_ray, experiments.running
"""


def test_nothing_imports_ray_before_it_is_asked_for(tmp_path: Path) -> None:
    root = Path(__file__).resolve().parents[3]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    done = subprocess.run(
        [sys.executable, "-c", IMPORTS], cwd=tmp_path, env=environment, check=False
    )
    assert done.returncode == 0
