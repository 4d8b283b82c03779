"""`equipoise simulate --project` on a real Label Studio project that people have labelled."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from demo.digits import Digits
from demo.labelstudio import LabelStudio
from demo.project import import_tasks, media_url, serve_folder
from experiments import curves
from tests.e2e.conftest import DIGITS_CONFIG
from tests.e2e.server import Equipoise

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

LABELLED, OPEN = 320, 30


def test_a_projects_own_labels_are_replayed(
    label_studio: LabelStudio,
    avdigits: Digits,
    make_project: Callable[..., int],
    tmp_path: Path,
) -> None:
    project = make_project("labelled digits", DIGITS_CONFIG)
    with label_studio.client() as client:
        serve_folder(client, project, label_studio.media / "avdigits")
        tasks = []
        for place, item in enumerate(avdigits.train[: LABELLED + OPEN]):
            said = {
                "from_name": "label",
                "to_name": "image",
                "type": "choices",
                "value": {"choices": [item.label]},
            }
            media = {"image": item.image, "audio": item.audio}
            data = {name: media_url(label_studio.media, path) for name, path in media.items()}
            labelled = {"annotations": [{"result": [said]}]} if place < LABELLED else {}
            tasks.append({"data": data, **labelled})
        import_tasks(client, project, tasks)
        before = client.get(f"/api/projects/{project}/").json()

        backend = Equipoise(tmp_path, label_studio.url, label_studio.api_key)
        folder = tmp_path / "replay"
        options = "--strategies random,bmmal --initial 60 --batch 60 --rounds 1 --seeds 1"
        options += " --override epochs=2 --override min_steps=20 --workers 1"
        printed = backend.run(
            "simulate", "--project", str(project), *options.split(), "--out", str(folder)
        )
        after = client.get(f"/api/projects/{project}/").json()

    found = curves.load(folder)
    data = curves.data_of(folder)
    assert len(data.train) + len(data.test) == LABELLED
    assert data.inputs.present.all()
    assert found.labels.tolist() == [60, 120]
    assert found.of("multimodal")[:, :, -1].min() > 0.2  # ten classes: chance is 0.1
    assert "report.html" in printed.replace("\n", "")
    assert (folder / "report.html").stat().st_size > 100_000
    counted = ("task_number", "total_annotations_number", "total_predictions_number", "sampling")
    assert {k: before[k] for k in counted} == {k: after[k] for k in counted}
