"""The checker sees broken promises: each is broken once, from outside."""

from __future__ import annotations

import pytest

from tests.faults.plan import full_only, note
from tests.faults.promises import Watch, check_files, check_no_halves, check_settled
from tests.faults.stand import Stand
from tests.stopwatch import Stopwatch


@full_only("checker")
def test_broken_promises_are_seen(shared: Stand) -> None:
    whole = Stopwatch()
    shared.label(4)
    shared.settle()
    check_settled(shared)
    seen = [
        queue_names_what_no_round_made(shared),
        queue_names_what_is_half_there(shared),
        a_label_is_forgotten(shared),
        *files_are_broken(shared),
    ]
    shared.settle()
    check_settled(shared)
    note("checker", "a promise broken on purpose", len(seen), "seen", "; ".join(seen), whole)


def queue_names_what_no_round_made(stand: Stand) -> str:
    """Select a version that nobody committed; the server's next look repairs that."""
    version = stand.remote()["model_version"]
    body = [{"task": stand.tasks[0], "result": [], "score": 0.5, "model_version": "strange"}]
    path = f"/api/projects/{stand.project}/"
    stand.client.post(f"{path}import/predictions", json=body).raise_for_status()
    with Watch(stand, every=0.02, strict=False) as watch:
        stand.client.patch(path, json={"model_version": "strange"}).raise_for_status()
        stand.until(lambda: stand.remote()["model_version"] == version, "it is repaired")
    assert any("no round has committed" in what for what in watch.broken)
    return "a version of nobody"


def queue_names_what_is_half_there(stand: Stand) -> str:
    """Delete one prediction of the version that serves."""
    version = stand.remote()["model_version"]
    rows = stand.client.get("/api/predictions/", params={"project": stand.project}).json()
    gone = next(row["id"] for row in rows if row["model_version"] == version)
    with Watch(stand, every=0.02, strict=False) as watch:
        stand.client.delete(f"/api/predictions/{gone}/").raise_for_status()
        stand.until(lambda: watch.broken, "it is seen")
    assert "predictions" in watch.broken[0]
    return "half a version"


def a_label_is_forgotten(stand: Stand) -> str:
    """Label a task behind the last round's back."""
    stand.label(1)
    with pytest.raises(AssertionError):
        check_settled(stand)
    return "a label that no round has seen"


def files_are_broken(stand: Stand) -> list[str]:
    """Cut the checkpoint off, leave a half-written folder."""
    current = stand.current()
    assert current is not None
    weights = stand.server.data / current["checkpoint"] / "weights.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(Exception, match="broken"):
        check_files(stand)
    weights.write_bytes(whole)
    half = weights.parent.with_name(".checkpoint.12345678")
    half.mkdir()
    with pytest.raises(AssertionError):
        check_no_halves(stand)
    half.rmdir()
    return ["a checkpoint cut off", "a half-written folder"]
