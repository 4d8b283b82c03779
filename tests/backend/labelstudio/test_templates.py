"""Every project template that the installed Label Studio ships gets an order."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from label_studio_sdk.label_interface import LabelInterface

from backend.labelstudio.annotations import read_tasks
from backend.labelstudio.answers import prediction_result
from backend.labelstudio.config import LabelConfig, Level, parse
from backend.media.values import sample_of
from model.sample import Reference
from strategies.pool import TargetKind
from tests.backend.labelstudio.templates import PAGE, page, templates


@pytest.fixture(scope="module")
def configs() -> dict[str, str]:
    """Return every label config of the installed Label Studio's templates, by name."""
    found = {
        f"{template.name}-{number}": config
        for template in templates()
        for number, config in enumerate(template.configs)
    }
    assert len(found) > 69, "templates are missing"
    return found


def outputs(config: LabelConfig) -> dict[str, np.ndarray[Any, Any]]:
    """Return one row of outputs that chooses the last class, or a number in the range."""
    found = {}
    for target in config.schema.targets:
        if target.kind is TargetKind.REGRESSION:
            found[target.name] = np.array([[target.high or 1.0]])
        else:
            found[target.name] = np.eye(len(target.classes))[-1:]
    return found


def test_a_template_gets_an_order(configs: dict[str, str], subtests: pytest.Subtests) -> None:
    for name, text in configs.items():
        with subtests.test(name):
            config = parse(text)
            assert config.schema.modalities
            assert config.sentence
            assert bool(config.schema.targets) is (config.level is not Level.COVERAGE)
            assert set(config.sources) == {modality.key for modality in config.schema.modalities}


def test_predictions_are_what_label_studio_takes_and_what_is_read_back(
    configs: dict[str, str], subtests: pytest.Subtests
) -> None:
    for name, text in configs.items():
        with subtests.test(name):
            config = parse(text)
            result = prediction_result(config, outputs(config), 0, importable=True)
            assert bool(result) is (config.level is Level.LEARNED)
            prediction = {"result": result, "score": 0.5, "model_version": "equipoise-1"}
            assert LabelInterface(text).validate_prediction(prediction, return_errors=True) == []
            answers = read_tasks([{"id": 1, "annotations": [{"result": result}]}], config)
            assert not answers.unread
            if config.level is Level.LEARNED:
                (said,) = answers.labelled
                target = config.schema.multimodal
                (value,) = said.values[target.name]
                if target.kind is TargetKind.REGRESSION:
                    assert value == target.high
                else:
                    assert target.classes[-1] in (value if isinstance(value, tuple) else (value,))


def test_a_sample_task_gives_every_modality_a_value(
    configs: dict[str, str], subtests: pytest.Subtests
) -> None:
    for name, text in configs.items():
        with subtests.test(name):
            config = parse(text)
            # It has no sample of a List.
            task = {
                k: v or ["an item"] for k, v in LabelInterface(text).generate_sample_task().items()
            }
            sample = sample_of(task, config, lambda address: Reference(address, address.encode))
            missing = [m.name for m in config.schema.modalities if sample[m.key] is None]
            assert missing == []


def test_the_page_says_what_is_done() -> None:
    """The numbers per level are on the page; templates.py beside this file writes it."""
    assert PAGE.read_text(encoding="utf-8") == page()
