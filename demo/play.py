"""One project of the demo, played through: annotate, wait for the round, measure, compare."""

from __future__ import annotations

import random
import time
from pathlib import Path

from demo.curve import Comparison
from demo.digits import Digits
from demo.equipoise import Equipoise, Status, wait_for
from demo.installation import DemoError
from demo.judge import Judge
from demo.labelstudio import LabelStudio
from demo.project import Annotator, create_project, import_tasks, media_url, serve_folder
from demo.screen import RoundLine, Screen

TITLE = "Equipoise demo"
CHOICES = "\n".join(f'    <Choice value="{digit}"/>' for digit in range(10))
LABEL_CONFIG = f"""<View>
  <Header value="Which digit is it? Look and listen."/>
  <Image name="image" value="$image"/>
  <Audio name="audio" value="$audio"/>
  <Choices name="label" toName="image" choice="single" showInline="true">
{CHOICES}
  </Choices>
</View>"""


class Play:
    """A project, its annotator and its judge.

    Attributes:
        project: the project's id.
        lines: the rounds so far.
    """

    def __init__(
        self,
        studio: LabelStudio,
        backend: Equipoise,
        digits: Digits,
        judge: Judge,
        screen: Screen,
    ) -> None:
        """Create the project, import its tasks and connect the backend."""
        self.lines: list[RoundLine] = []
        self._backend = backend
        self._digits = digits
        self._judge = judge
        self._screen = screen
        self._checkpoint = Path()
        client = studio.client()
        screen.say("Creating the project and importing its tasks")
        self.project = create_project(client, TITLE, LABEL_CONFIG)
        serve_folder(client, self.project, digits.folder)
        tasks = [
            {
                "data": {
                    "image": media_url(studio.media, digit.image),
                    "audio": media_url(studio.media, digit.audio),
                }
            }
            for digit in digits.train
        ]
        ids = import_tasks(client, self.project, tasks)
        self._row = {task: row for row, task in enumerate(ids)}
        self._client = client
        self._annotator = Annotator(client, self.project)
        screen.tell(f"Project {self.project} '{TITLE}': {len(ids)} tasks, each picture and sound")
        screen.say("Connecting Equipoise to the project")
        backend.connect(self.project)
        self._live(0)

    def round(self, number: int, labels: int) -> None:
        """Label what is served, wait for the round that this starts, measure its model."""
        for done in range(labels):
            self._screen.say(f"Round {number}: labelling {done + 1} of {labels}")
            task = self._annotator.next_task()
            if task is None:
                raise DemoError("Label Studio serves no more tasks; ask for fewer rounds.")
            self._annotator.submit(task["id"], self._digits.train[self._row[task["id"]]].label)
        started = time.monotonic()
        status = self._live(number)
        self.lines.append(self._measure(number, status, time.monotonic() - started))
        self._screen.round(self.lines[-1])

    def compare(self, strategy: str, orders: int) -> Comparison:
        """Replay the same numbers of labels in random orders, the first batch included.

        Every training has the rounds' seed: what differs is only what was labelled.
        """
        rows = range(len(self._digits.train))
        replays = []
        for seed in range(orders):
            order = random.Random(seed).sample(rows, len(rows))
            accuracies = []
            for line in self.lines:
                self._screen.say(
                    f"Replaying random order {seed + 1} of {orders} with {line.labels} labels"
                )
                scores = self._judge.replay(self._checkpoint, order[: line.labels])
                accuracies.append(scores.accuracy)
            replays.append(accuracies)
        return Comparison(strategy, self.lines, replays)

    def _live(self, number: int) -> Status:
        """Wait until a round is done and Label Studio serves its order."""
        status = self._backend.wait_for_round(self.project, number)
        wait_for(
            lambda: self._served_version() == status.version,
            f"Label Studio to serve by {status.version}",
            say=self._screen.say,
        )
        return status

    def _served_version(self) -> str:
        answer = self._client.get(f"/api/projects/{self.project}/")
        return str(answer.json()["model_version"])

    def _measure(self, number: int, status: Status, seconds: float) -> RoundLine:
        self._screen.say(f"Round {number}: measuring on held-out digits")
        self._checkpoint = Path(status.checkpoint)
        scores = self._judge.score(self._checkpoint)
        return RoundLine(
            number, status.labels, scores.accuracy, scores.alone, scores.contributions, seconds
        )
