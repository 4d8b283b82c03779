"""Projects with real media in a real Label Studio, and servers of ours beside it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from demo.avdigits import unpack_avdigits
from demo.digits import Digits
from demo.labelstudio import LabelStudio
from demo.project import Annotator, create_project, import_tasks, media_url, serve_folder
from tests.e2e.server import Equipoise

DIGITS_CONFIG = """
<View>
  <Image name="image" value="$image"/>
  <Audio name="audio" value="$audio"/>
  <Choices name="label" toName="image" choice="single">
    {choices}
  </Choices>
</View>
""".format(choices="".join(f'<Choice value="{digit}"/>' for digit in range(10)))


@dataclass(frozen=True)
class DigitsProject:
    """A project with avdigits tasks. `labels` maps a task's id to its true class."""

    id: int
    labels: dict[int, str]
    annotator: Annotator

    def annotate(self, task: int) -> None:
        """Give a task its true label."""
        self.annotator.submit(task, self.labels[task])


@pytest.fixture
def make_project(label_studio: LabelStudio) -> Iterator[Callable[..., int]]:
    """Return `make_project(title, label_config, **settings) -> id`; they are deleted afterwards."""
    made: list[int] = []
    with label_studio.client() as client:

        def make(title: str, label_config: str, **settings: object) -> int:
            made.append(create_project(client, title, label_config, **settings))
            return made[-1]

        yield make
        for project in made:
            client.delete(f"/api/projects/{project}/")


@pytest.fixture(scope="session")
def avdigits(label_studio: LabelStudio, shared_data: Path) -> Digits:
    """Real handwritten and spoken digits, unpacked where Label Studio can serve them."""
    return unpack_avdigits(shared_data / "avdigits", label_studio.media, train=2700)


@pytest.fixture
def make_digits_project(
    label_studio: LabelStudio,
    avdigits: Digits,
    make_project: Callable[..., int],
) -> Iterator[Callable[..., DigitsProject]]:
    """Return `make_digits_project(size, **settings)`: a project with `size` avdigits tasks."""
    with label_studio.client() as client:

        def make(size: int, **settings: object) -> DigitsProject:
            chosen = avdigits.train[:size]
            project = make_project("avdigits", DIGITS_CONFIG, **settings)
            serve_folder(client, project, label_studio.media / "avdigits")
            tasks = [
                {
                    "data": {
                        "image": media_url(label_studio.media, item.image),
                        "audio": media_url(label_studio.media, item.audio),
                    }
                }
                for item in chosen
            ]
            ids = import_tasks(client, project, tasks)
            labels = dict(zip(ids, (item.label for item in chosen), strict=True))
            return DigitsProject(project, labels, Annotator(client, project))

        yield make


@pytest.fixture
def make_equipoise(label_studio: LabelStudio, tmp_path: Path) -> Iterator[Callable[..., Equipoise]]:
    """Return `make_equipoise(**EQUIPOISE_variables) -> Equipoise`, started; stopped afterwards.

    No worker waits for the next round, unless a test says so: the last one would be loaded in vain.
    """
    made: list[Equipoise] = []

    def make(*, api_key: str = "", **extra: str) -> Equipoise:
        server = Equipoise(
            tmp_path / f"equipoise-{len(made)}",
            label_studio.url,
            api_key or label_studio.api_key,
            {
                f"EQUIPOISE_{name.upper()}": value
                for name, value in {"worker_in_waiting": "false", **extra}.items()
            },
        )
        made.append(server)
        return server.start()

    yield make
    for server in made:
        server.stop()
