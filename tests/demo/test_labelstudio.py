"""The demo's Label Studio: starts, keeps its data, is private, stops, and says what is wrong."""

from __future__ import annotations

import json
import socket
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from demo import installation
from demo.avdigits import unpack_avdigits
from demo.background import free_port
from demo.installation import DemoError, Installation, run_with_progress
from demo.labelstudio import LabelStudio
from tests.conftest import ROOT


@pytest.mark.e2e
def test_a_stopped_server_starts_again_with_its_data_and_leaves_nothing_running(
    tmp_path: Path,
) -> None:
    server = LabelStudio(tmp_path / "ls", installation=Installation(ROOT / ".labelstudio"))
    with server:
        with server.client() as client:
            project = client.post("/api/projects/", json={"title": "kept"}).json()["id"]
        pat = server.personal_access_token()
        assert httpx.get(f"{server.url}/api/projects/").status_code == 401
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{server.url}/health")

    kept = tmp_path / "ls" / "credentials.json"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert json.loads(kept.read_text())["pat"] == pat

    again = LabelStudio(tmp_path / "ls", installation=Installation(ROOT / ".labelstudio"))
    with again:
        assert again.personal_access_token() == pat
        refreshed = httpx.post(f"{again.url}/api/token/refresh/", json={"refresh": pat})
        bearer = {"Authorization": f"Bearer {refreshed.json()['access']}"}
        found = httpx.get(f"{again.url}/api/projects/{project}/", headers=bearer)
        assert found.json()["title"] == "kept"


@pytest.mark.e2e
def test_a_taken_port_is_refused_instead_of_silently_moved(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        server = LabelStudio(
            tmp_path / "ls", port=port, installation=Installation(ROOT / ".labelstudio")
        )
        with pytest.raises(DemoError, match=f"Port {port} is taken"):
            server.start()


UNLUCKY_KEY = """
import sys
from django.core.management import utils
utils.get_random_secret_key = lambda: "$" + sys.argv[2]
from label_studio.core.utils.secret_key import generate_secret_key_if_missing
print(generate_secret_key_if_missing(sys.argv[1]))
"""


def test_the_key_that_signs_tokens_is_the_same_after_a_restart(tmp_path: Path) -> None:
    # One in fifty of the keys that Label Studio makes begins with $, and is lost when read again.
    server = LabelStudio(tmp_path / "ls", installation=Installation(ROOT / ".labelstudio"))
    python = str(server.program.parent / "python")

    def keys(folder: Path) -> list[str]:
        return [
            subprocess.run(
                [python, "-c", UNLUCKY_KEY, str(folder), start],
                env={},
                capture_output=True,
                text=True,
                check=True,
            ).stdout.strip()
            for start in ("first", "second")
        ]

    lost = keys(tmp_path)
    assert lost[0] != lost[1], "Label Studio was mended: this and our own key can go"
    server.prepare()
    kept = keys(server.folder)
    assert kept[0] == kept[1] != "$first"
    assert stat.S_IMODE((server.folder / ".env").stat().st_mode) == 0o600


def test_two_servers_never_share_a_password(tmp_path: Path) -> None:
    servers = [LabelStudio(tmp_path / name) for name in "ab"]
    secrets = {server.load_credentials().password for server in servers}
    assert len(secrets) == 2
    assert servers[0].load_credentials().password in secrets  # and it is kept


def test_free_port_can_be_bound() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", free_port()))


def test_a_failing_command_reports_the_end_of_its_output() -> None:
    said: list[str] = []
    with pytest.raises(DemoError, match=r"Testing failed \(3\):\nno space left"):
        run_with_progress(
            ["sh", "-c", "sleep 0.3; echo no space left; exit 3"], "Testing", said.append, every=0.1
        )
    assert len(said) >= 2  # progress was shown while it ran


@pytest.mark.parametrize(
    ("variable", "call"),
    [
        ("EQUIPOISE_UV", lambda: installation.find_uv()),
        ("EQUIPOISE_LABEL_STUDIO", lambda: Installation().program()),
    ],
)
def test_a_wrong_path_in_the_environment_is_named(
    variable: str, call: Callable[[], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, "/nowhere/at/all")
    with pytest.raises(DemoError, match=f"{variable}=/nowhere/at/all"):
        call()


def test_avdigits_keeps_train_and_held_out_apart(shared_data: Path, tmp_path: Path) -> None:
    digits = unpack_avdigits(shared_data / "avdigits", tmp_path, train=200, held_out=50)
    assert len(digits.train) == 200
    assert len(digits.held_out) == 50
    assert not {d.image for d in digits.train} & {d.image for d in digits.held_out}
    assert {d.label for d in digits.train} == set("0123456789")
    assert all(d.image.is_file() and d.audio.is_file() for d in digits.train + digits.held_out)


def test_a_missing_archive_says_which_folder_to_give(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="give the folder that holds"):
        unpack_avdigits(tmp_path, tmp_path)
