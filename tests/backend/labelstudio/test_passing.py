"""Which faults of Label Studio a later try may overcome."""

from __future__ import annotations

import pytest

from backend.errors import EquipoiseError, LabelStudioError
from backend.labelstudio.connection import is_passing


@pytest.mark.parametrize(
    ("status", "passes"),
    [(None, True), *((code, True) for code in (429, 500, 502, 503, 504))]
    + [(code, False) for code in (400, 401, 403, 404, 409, 413, 501, 505)],
)
def test_no_answer_and_its_own_faults_pass(status: int | None, passes: bool) -> None:
    assert is_passing(LabelStudioError("no", status)) == passes


@pytest.mark.parametrize("error", [ValueError("x"), EquipoiseError("x"), OSError(503, "x")])
def test_what_is_not_label_studios_does_not(error: Exception) -> None:
    assert not is_passing(error)
