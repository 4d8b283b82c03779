"""A long time in short: round after round with people doing anything, against a model of it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults.plan import note, rng, turns
from tests.faults.promises import Watch, check_settled
from tests.faults.stand import CLASSES, Stand, config
from tests.stopwatch import Stopwatch

CONFIGS = {
    "plain": config(),
    "one label more": config((*CLASSES, "violet")),
    "text dropped": config().replace('<Text name="text" value="$text"/>', ""),
    "picture renamed": config().replace('<Text name="text"', '<Text name="words"'),
}
ACTIONS = {
    "create": 10,
    "update": 4,
    "delete": 3,
    "skip": 2,
    "import": 2,
    "delete tasks": 1,
    "change config": 1,
}


@dataclass
class People:
    """What people do, and what must then be true.

    Attributes:
        stand: where they do it.
        ids: annotation id -> (task, choice), as they remember it.
        skipped: tasks that were skipped.
        did: how often each action was done.
    """

    stand: Stand
    ids: dict[int, tuple[int, str]] = field(default_factory=dict)
    skipped: set[int] = field(default_factory=set)
    did: Counter[str] = field(default_factory=Counter)

    def remember(self) -> None:
        """Begin with what was labelled before."""
        for task in self.stand.export():
            for annotation in task["annotations"]:
                if not annotation["was_cancelled"] and annotation["result"]:
                    said = annotation["result"][0]["value"]["choices"][0]
                    self.ids[int(annotation["id"])] = (int(task["id"]), said)

    def act(self) -> None:
        """Do one thing at random."""
        rng = self.stand.rng
        (action,) = rng.choices(list(ACTIONS), list(ACTIONS.values()))
        done = getattr(self, action.replace(" ", "_"), self.import_)()
        self.did[action] += bool(done)

    @property
    def present(self) -> list[int]:
        """Tasks that were not deleted."""
        return [task for task in self.stand.tasks if task not in self.stand.deleted]

    def create(self) -> bool:
        """Label a task that has no label, or another time."""
        task = self.stand.rng.choice(self.present)
        choice = self.stand.rng.choice(CLASSES)
        self.ids[self.stand.annotate(task, choice)] = (task, choice)
        return True

    def update(self) -> bool:
        """Change one's mind."""
        if not self.ids:
            return False
        found = self.stand.rng.choice(sorted(self.ids))
        task, _ = self.ids[found]
        choice = self.stand.rng.choice(CLASSES)
        self.stand.reannotate(found, choice)
        self.ids[found] = (task, choice)
        return True

    def delete(self) -> bool:
        """Take a label back."""
        if len(self.ids) < 8:
            return False
        found = self.stand.rng.choice(sorted(self.ids))
        self.stand.client.delete(f"/api/annotations/{found}/").raise_for_status()
        del self.ids[found]
        return True

    def skip(self) -> bool:
        """Skip a task."""
        task = self.stand.rng.choice(self.present)
        self.stand.client.post(
            f"/api/tasks/{task}/annotations/", json={"result": [], "was_cancelled": True}
        ).raise_for_status()
        self.skipped.add(task)
        return True

    def import_(self) -> bool:
        """Import tasks."""
        self.stand.add_tasks(self.stand.rng.randint(1, 3))
        return True

    def delete_tasks(self) -> bool:
        """Delete tasks, with their labels."""
        if len(self.present) < 45:
            return False
        for task in self.stand.rng.sample(self.present, 2):
            self.stand.deleted.add(task)
            self.stand.client.delete(f"/api/tasks/{task}/").raise_for_status()
            self.ids = {k: v for k, v in self.ids.items() if v[0] != task}
        return True

    def change_config(self) -> bool:
        """Add or remove a label or an input, or rename one."""
        wanted = self.stand.rng.choice(sorted(CONFIGS))
        self.stand.configure(CONFIGS[wanted])
        return True

    def truth(self) -> dict[str, list[str]]:
        """Return task -> choices that must be there."""
        found: dict[str, list[str]] = {}
        for task, choice in self.ids.values():
            found.setdefault(str(task), []).append(choice)
        return {task: sorted(choices) for task, choices in found.items()}

    def keep_two_classes(self) -> None:
        """A round needs two classes, so there are always two tasks that differ."""
        for choice in CLASSES[:2]:
            if not any(said == choice for _, said in self.ids.values()):
                free = [t for t in self.present if t not in {task for task, _ in self.ids.values()}]
                self.ids[self.stand.annotate(free[0], choice)] = (free[0], choice)


def test_soak(shared: Stand) -> None:
    whole = Stopwatch()
    stand = shared
    stand.label(4)
    people, chance = People(stand), rng("soak")
    people.remember()
    memory: list[int] = []
    disk: list[int] = []
    stored: list[int] = []
    rounds = 0
    with Watch(stand) as watch:
        for _ in turns("soak", 1, 200):
            for _ in range(chance.randint(2, 5)):
                people.act()
            people.keep_two_classes()
            stand.retrain()
            if chance.random() < 0.5:  # in the middle of the round, too
                stand.until(lambda: stand.running() or stand.server.workers(), "a round runs")
                people.act()
                people.keep_two_classes()
            stand.settle()
            assert stand.annotations() == people.truth()
            check_settled(stand)
            check_schema(stand)
            watch.check()
            rounds += 1
            memory.append(stand.server.memory())
            disk.append(size_of(stand.server.data))
            counts = stand.client.get(f"/api/projects/{stand.project}/model-versions").json()
            stored.append(sum(counts.values()))
    stand.configure(CONFIGS["plain"])
    stand.settle()
    flat = check_flat(memory, disk, stored)
    note(
        "soak",
        "rounds with random annotator actions",
        rounds,
        f"all promises after every round; {flat}",
        f"{', '.join(f'{n} {name}' for name, n in sorted((+people.did).items()))}; server "
        f"{memory[0] / 1e6:.0f} -> {memory[-1] / 1e6:.0f} MB, data {disk[0] / 1e6:.1f} -> "
        f"{disk[-1] / 1e6:.1f} MB, {stored[-1]} predictions in Label Studio (at most "
        f"{max(stored)}); {watch.answers}",
        whole,
    )


def check_schema(stand: Stand) -> None:
    """The version that serves belongs to the label config of now."""
    names = {
        name for name in ("text", "words") if f'name="{name}"' in stand.remote()["label_config"]
    }
    current = stand.current()
    assert current is not None
    schema = str(current["schema"])
    assert {name for name in ("text", "words") if f'"name": "{name}"' in schema} == names


def size_of(folder: Path) -> int:
    """Return the bytes of a folder, without the features of media, which have a limit of theirs."""
    return sum(
        path.stat().st_size
        for path in folder.rglob("*")
        if path.is_file() and "cache" not in path.relative_to(folder).parts
    )


def check_flat(memory: list[int], disk: list[int], stored: list[int]) -> str:
    """Nothing grows: the last quarter against the second, where there are enough rounds."""
    assert max(stored[2:], default=0) <= 5 * 20, "predictions of old versions pile up"
    if len(memory) < 16:
        return "too few rounds to tell whether memory and disk grow"
    quarter = len(memory) // 4
    for name, values, spare in (("memory", memory, 60e6), ("disk", disk, 4e6)):
        early = max(values[quarter : 2 * quarter])
        late = max(values[-quarter:])
        assert late < early * 1.15 + spare, f"{name} grew from {early} to {late}"
    return "memory, disk and stored predictions flat"
