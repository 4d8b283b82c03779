"""One proxy in front of the real Label Studio, and one stand, for all fault tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from demo.labelstudio import LabelStudio
from tests.faults.build import build
from tests.faults.proxy import Proxy
from tests.faults.stand import Stand

HERE = Path(__file__).resolve().parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what lies here; every test has an hour in a full run."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.faults)
            item.add_marker(pytest.mark.timeout(4 * 3600))


@pytest.fixture(scope="session")
def proxy(label_studio: LabelStudio) -> Iterator[Proxy]:
    """Run a proxy in front of it that passes everything until told otherwise."""
    with Proxy(label_studio.port) as found:
        yield found


@pytest.fixture(scope="session")
def shared(
    label_studio: LabelStudio, proxy: Proxy, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stand]:
    """A stand that tests share one after the other; each leaves it settled and running."""
    with build(label_studio, tmp_path_factory.mktemp("shared"), tasks=60, via=proxy.url) as stand:
        yield stand


@pytest.fixture
def make_stand(label_studio: LabelStudio, tmp_path: Path) -> Iterator[Callable[..., Stand]]:
    """Return `make_stand(name, **settings) -> Stand`; all are stopped afterwards."""
    with ExitStack() as stack:

        def make(name: str, **settings: object) -> Stand:
            return stack.enter_context(build(label_studio, tmp_path / name, **settings))  # type: ignore[arg-type]

        yield make
