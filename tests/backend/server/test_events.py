"""Project ids as Label Studio sends them."""

from __future__ import annotations

from typing import Any

import pytest

from backend.errors import EquipoiseError
from backend.server.events import created, project_id


@pytest.mark.parametrize(
    ("sent", "project", "stamp"),
    [
        (37, 37, ""),
        ("37", 37, ""),
        ("37.1795313106", 37, "1795313106"),
        (37.5, 37, "5"),
        ("37.", 37, ""),
        ("37.12a", 37, ""),
        ("37.-12", 37, ""),
        ("37.١٢", 37, ""),  # digits, but not ours
        ("37." + "9" * 18, 37, "9" * 18),
        ("37." + "9" * 19, 37, ""),
        ("37.1.2", 37, ""),
    ],
)
def test_an_id_comes_alone_or_with_the_time_of_its_making(
    sent: Any, project: int, stamp: str
) -> None:
    assert project_id(sent) == project
    assert created(sent) == stamp


@pytest.mark.parametrize(
    "sent", [None, True, "", ".5", "x", "-3", -3, "3 7", "١٢", "9" * 18, "9" * 5000, [3], {}]
)
def test_what_is_no_id_is_refused(sent: Any) -> None:
    with pytest.raises(EquipoiseError, match="No project id"):
        project_id(sent)
