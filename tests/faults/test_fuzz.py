"""Fuzz: every endpoint of our OpenAPI document, bodies, label configs, media; nothing gives way."""

from __future__ import annotations

import io
import json
import wave
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import numpy as np
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from PIL import Image

from backend.errors import EquipoiseError
from backend.labelstudio.config import parse
from model.encoders import encoder_for
from model.presets import preset
from model.sample import MediaError
from model.schema import Modality, ModalityKind
from tests.faults.plan import SEED, count, full_only, note
from tests.faults.promises import Watch
from tests.faults.stand import Stand, config
from tests.stopwatch import Stopwatch

SECONDS = 5.0
"""No single answer to bad input may take longer, on a machine that has the time."""
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)
_TAGS = (
    "View",
    "Image",
    "Text",
    "Audio",
    "Video",
    "Choices",
    "Choice",
    "Rating",
    "Number",
    "Brush",
)
_EXTRAS = (
    "<Style>a{}</Style>",
    '<Text name="t" value="$t"/>',
    "<!-- x -->",
    "&",
    '<Rating name="r" toName="image" maxRating="x"/>',
    '<Number name="n" toName="image" min="0" max="nan"/>',
    "<Number/>",
)
_NAMES = ("name", "value", "toName", "choice", "equipoise", "perRegion", "maxRating", "min", "max")
_VALUES = st.sampled_from(
    (
        "image",
        "$image",
        "$",
        "",
        "label",
        "single",
        "multiple",
        "multimodal",
        "sequence",
        "-1",
        "nan",
    )
) | st.text(max_size=6)


def quiet(examples: int) -> Callable[[Any], Any]:
    """Return hypothesis settings for many cases against a real server."""
    found: Callable[[Any], Any] = settings(
        max_examples=examples,
        deadline=None,
        database=None,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
    return found


class Tally:
    """Counts answers and remembers the slowest."""

    def __init__(self) -> None:
        """Start empty."""
        self.statuses: Counter[int] = Counter()
        self.slowest = 0.0

    def take(self, ask: Callable[[], Any], what: object) -> None:
        """Ask; a server error or a late answer is a fault."""
        watch = Stopwatch()
        answer = ask()
        taken = watch.taken
        self.statuses[answer.status_code] += 1
        self.slowest = max(self.slowest, taken.most)
        assert answer.status_code < 500, f"{answer.status_code} for {what!r:.2000}"
        taken.check(SECONDS, f"{what!r:.2000}")

    def __str__(self) -> str:
        """List statuses."""
        parts = ", ".join(f"{n} x {status}" for status, n in sorted(self.statuses.items()))
        return f"{parts}; slowest {self.slowest:.2f} s"


def grown(stand: Stand, work: Callable[[int], None], cases: int) -> tuple[int, int]:
    """Do a fifth of the work, then the rest; the server's memory before and after the rest."""
    work(max(1, cases // 5))
    before = stand.server.memory()
    work(cases - cases // 5)
    after = stand.server.memory()
    assert after < before * 1.1 + 60e6, f"memory grew from {before} to {after}"
    return before, after


@full_only("fuzz-endpoints")
def test_every_endpoint_of_the_openapi_document(shared: Stand) -> None:
    whole = Stopwatch()
    cases, tally = count("fuzz-endpoints", 120, 5000), Tally()
    schema = schemathesis.openapi.from_url(f"{shared.server.url}/openapi.json")
    operations = [found.ok() for found in schema.get_all_operations()]

    def work(examples: int) -> None:
        for operation in operations:

            @seed(SEED + examples)
            @quiet(max(1, examples // len(operations)))
            @given(case=operation.as_strategy())
            def one(case: Any) -> None:
                tally.take(lambda: case.call(timeout=60), case)

            one()

    with Watch(shared) as watch:
        before, after = grown(shared, work, cases)
    forget_strangers(shared)
    assert {200, 201} <= set(tally.statuses), "what is right gets in, too"
    note(
        "fuzz-endpoints",
        f"generated requests to the {len(operations)} endpoints of the OpenAPI document",
        sum(tally.statuses.values()),
        "never a server error, never a hang, no growth of memory",
        f"{tally}; memory {before / 1e6:.0f} -> {after / 1e6:.0f} MB; {watch.answers}",
        whole,
    )


def forget_strangers(stand: Stand) -> None:
    """Remove projects that generated calls of /setup made known."""
    stand.change("DELETE FROM projects WHERE id <> :project", project=stand.project)


def bodies(stand: Stand) -> st.SearchStrategy[tuple[str, bytes]]:
    """Return paths with bodies that are almost right, or not at all."""
    ranked = st.sampled_from(stand.tasks)
    project = st.sampled_from((stand.project, str(stand.project), f"{stand.project}.17")) | _JSON
    data = st.fixed_dictionaries({}, optional={"image": _JSON | _VALUES, "text": _JSON})
    task = st.fixed_dictionaries(
        {}, optional={"id": ranked | _JSON, "data": data | _JSON, "annotations": _JSON}
    )
    predict = st.fixed_dictionaries(
        {"tasks": st.lists(task | _JSON, max_size=4) | _JSON, "project": project},
        optional={
            "label_config": st.just(config()) | st.just(config(("only",))) | configs() | _JSON,
            "params": _JSON,
        },
    )
    actions = st.sampled_from(("ANNOTATION_CREATED", "TASKS_DELETED", "PROJECT_UPDATED"))
    webhook = st.fixed_dictionaries(
        {},
        optional={
            "action": actions | _JSON,
            "project": st.fixed_dictionaries({"id": project}) | project,
            "annotation": _JSON,
        },
    )
    setup = st.fixed_dictionaries(
        {"project": project},
        optional={"schema": st.just(config()) | configs() | _JSON, "extra_params": _JSON},
    )
    encoded = st.one_of(
        st.tuples(st.just("/predict"), predict.map(_encode)),
        st.tuples(st.just("/webhook"), webhook.map(_encode)),
        st.tuples(st.just("/setup"), setup.map(_encode)),
    )
    raw = st.tuples(st.sampled_from(("/predict", "/webhook", "/setup")), st.binary(max_size=60))
    return encoded | raw


def _encode(body: Any) -> bytes:
    return json.dumps(body).encode(errors="surrogatepass")


@full_only("fuzz-bodies")
def test_bodies_of_webhook_predict_and_setup(shared: Stand) -> None:
    whole = Stopwatch()
    cases, tally = count("fuzz-bodies", 200, 5000), Tally()
    shared.label(4)
    shared.settle()
    head = {"Content-Type": "application/json"}
    with (
        httpx.Client(base_url=shared.server.url, timeout=60, trust_env=False) as client,
        Watch(shared) as watch,
    ):

        def work(examples: int) -> None:
            @seed(SEED + examples)
            @quiet(examples)
            @given(sent=bodies(shared))
            def one(sent: tuple[str, bytes]) -> None:
                path, body = sent
                tally.take(lambda: client.post(path, content=body, headers=head), sent)

            one()

        before, after = grown(shared, work, cases)
    forget_strangers(shared)
    assert {201, 422} <= set(tally.statuses), "some bodies are right, and some are not"
    # /setup was told nonsense of this project as well; the next look of Label Studio repairs it.
    shared.client.get("/api/ml", params={"project": shared.project}).raise_for_status()
    shared.settle()
    note(
        "fuzz-bodies",
        "generated bodies of /webhook, /predict and /setup",
        cases,
        "never a server error, never a hang, no growth of memory; the next round is exact",
        f"{tally}; memory {before / 1e6:.0f} -> {after / 1e6:.0f} MB; {watch.answers}",
        whole,
    )


def configs() -> st.SearchStrategy[str]:
    """Return label configs of known tags with attributes and nesting of any kind."""

    def element(tag: str, attributes: dict[str, str], inside: list[str]) -> str:
        own = "".join(f' {key}="{_escaped(value)}"' for key, value in attributes.items())
        return f"<{tag}{own}>{''.join(inside)}</{tag}>"

    tags = st.sampled_from(_TAGS)
    attributes = st.dictionaries(st.sampled_from(_NAMES), _VALUES, max_size=4)
    leaf = st.builds(element, tags, attributes, st.just([]))
    tree = st.recursive(
        leaf,
        lambda inner: st.builds(element, tags, attributes, st.lists(inner, max_size=4)),
        max_leaves=8,
    )
    broken = st.builds(lambda text, at: text[: at % (len(text) + 1)], tree, st.integers(0, 400))
    deep = st.integers(1, 3000).map(lambda n: "<View>" * n + "</View>" * n)
    return st.one_of(nearly_right(), nearly_right(), nearly_right(), tree, broken, deep)


def nearly_right() -> st.SearchStrategy[str]:
    """Return a config that is right but for a name, a value, a label or a tag that is too many."""
    words = st.text(st.characters(categories=("L", "N", "P", "Zs")), max_size=5)
    return st.builds(
        lambda name, key, labels, extra, how: (
            f'<View><Image name="{name}" value="{_escaped(key)}"/>{extra}'
            f'<Choices name="label" toName="image" choice="{how}">'
            + "".join(f'<Choice value="{_escaped(label)}"/>' for label in labels)
            + "</Choices></View>"
        ),
        st.sampled_from((*["image"] * 8, "label", "")),
        st.sampled_from((*["$image"] * 8, "$text", "image", "$")),
        st.lists(st.sampled_from(("red", "green", "blue", "")) | words, max_size=5),
        st.sampled_from((*[""] * 6, *_EXTRAS)),
        st.sampled_from(("single", "single-radio", "multiple", "other")),
    )


def _escaped(value: str) -> str:
    return value.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")


def test_label_configs() -> None:
    whole = Stopwatch()
    cases = count("fuzz-configs", 300, 1000)
    seen: Counter[str] = Counter()
    slowest = 0.0

    @seed(SEED)
    @quiet(cases)
    @given(text=configs())
    def one(text: str) -> None:
        nonlocal slowest
        watch = Stopwatch()
        try:
            parse(text)
            seen["read"] += 1
        except EquipoiseError as error:
            seen["refused with a reason"] += bool(str(error))
        taken = watch.taken
        slowest = max(slowest, taken.most)
        taken.check(SECONDS, text[:500])

    one()
    assert seen.total() == cases, "refused without a reason"
    assert len(seen) == 2, seen
    note(
        "fuzz-configs",
        "generated label configs",
        cases,
        "read, or refused with a reason; never a hang",
        f"{', '.join(f'{n} {what}' for what, n in seen.items())}; slowest {slowest:.2f} s",
        whole,
    )


def media() -> Iterator[tuple[ModalityKind, bytes]]:
    """Yield real files to damage."""
    noise = np.random.default_rng(SEED).integers(0, 255, (24, 24, 3)).astype(np.uint8)
    for kind in ("PNG", "JPEG", "GIF", "WEBP", "TIFF", "BMP"):
        out = io.BytesIO()
        Image.fromarray(noise).save(out, kind)
        yield ModalityKind.IMAGE, out.getvalue()
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(noise.tobytes())
    yield ModalityKind.AUDIO, out.getvalue()
    for save in (np.save, np.savez_compressed):
        out = io.BytesIO()
        save(out, np.ones((5, 3), np.float32))
        yield ModalityKind.SEQUENCE, out.getvalue()


def damaged(original: bytes) -> st.SearchStrategy[bytes]:
    """Return a file cut off, with bytes changed, repeated or put in."""
    place = st.integers(0, len(original))
    change = st.tuples(place, st.binary(min_size=1, max_size=4))

    def write(changes: list[tuple[int, bytes]], end: int, twice: bool) -> bytes:
        found = bytearray(original)
        for at, piece in changes:
            found[at : at + len(piece)] = piece
        cut = bytes(found[:end]) if end % 3 == 0 else bytes(found)
        return cut * 2 if twice else cut

    return st.builds(write, st.lists(change, max_size=6), place, st.booleans())


def test_media_files() -> None:
    whole = Stopwatch()
    cases = count("fuzz-media", 270, 1800)
    seen: Counter[str] = Counter()
    slowest = 0.0
    originals = list(media())

    def damage(encoder: Any, original: bytes) -> None:
        @seed(SEED)
        @quiet(cases // len(originals))
        @given(raw=damaged(original) | st.binary(max_size=200))
        def one(raw: bytes) -> None:
            nonlocal slowest
            watch = Stopwatch()
            try:
                encoder.decode(raw)
                seen["decoded"] += 1
            except MediaError as error:
                seen["refused with a reason"] += bool(str(error))
            taken = watch.taken
            slowest = max(slowest, taken.most)
            taken.check(SECONDS, f"{raw!r:.500}")

        one()

    for kind, original in originals:
        encoder = encoder_for(Modality("x", kind, "x"), preset("quick").preparation)
        encoder.decode(original)
        damage(encoder, original)
    assert seen.total() >= cases - len(originals), seen
    note(
        "fuzz-media",
        "damaged pictures, sounds and arrays",
        sum(seen.values()),
        "decoded, or refused with a reason; never a crash, never a hang",
        f"{', '.join(f'{n} {what}' for what, n in seen.items())}; slowest {slowest:.2f} s",
        whole,
    )
