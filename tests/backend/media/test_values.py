"""Values of task data -> raw values, read as the editor reads them."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import pytest

from backend.labelstudio.config import parse
from backend.media.values import MOST_PICTURES, resolve, sample_of
from model.decoding.images import decode_image
from model.sample import MediaError, RawValue, Reference

CHOICES = '<Choices name="c" toName="x"><Choice value="A"/><Choice value="B"/></Choices>'
FILES = {
    "/data/a.txt": "\ufeffList<int> \u00e9".encode(),
    "/data/latin.txt": "\u00e9t\u00e9".encode("latin-1"),
    "/data/a.html": b"<p>Fish &amp; <b>chips</b></p><script>no()</script>",
    "/data/a.json": b'[{"author": "Ann", "text": "Hi"}, {"text": "Oh"}]',
    "/data/tabs.csv": b"time\tx\ty\n0\t1\t2\n1\t3\t\n2\tn/a\t6\n",
    "/data/bare.csv": b"0;1;2\n1;3;4\n",
}


def value(tag: str, data: Mapping[str, Any]) -> RawValue:
    """Return what the only modality of a tag reads; files come from FILES."""
    parsed = parse(f"<View>{tag}{CHOICES}</View>")
    return sample_of(data, parsed, refer)[parsed.schema.modalities[0].key]


def refer(address: str) -> Reference:
    return Reference(address, lambda: FILES[address])


def loaded(tag: str, data: Mapping[str, Any]) -> Any:
    found = value(tag, data)
    assert isinstance(found, Reference)
    return found.load()


@pytest.mark.parametrize(
    ("expression", "data", "expected"),
    [
        ("$a", {"a": 1}, 1),
        ("$a.b", {"a": {"b": 2}}, 2),
        ("$a.b", {"a.b": 1, "a": {"b": 2}}, 1),
        ("$a[1].b", {"a": [0, {"b": 2}]}, 2),
        ("$a[7]", {"a": [0]}, None),
        ("$a.b.c", {"a": {"b": "text"}}, None),
        ("$a", {}, None),
        ("$a b", {"a b": 1}, 1),
        ("Title: $t ($n.k)", {"t": "Fish", "n": {"k": 3}}, "Title: Fish (3)"),
        ("Title: $t", {}, None),
        ("$a and $b", {"a": "x"}, "x and "),
    ],
)
def test_expressions(expression: str, data: dict[str, Any], expected: Any) -> None:
    assert resolve(expression, data) == expected


def test_text_is_not_stripped_and_hypertext_is() -> None:
    code = {"t": "List<int> and List<float>"}
    assert value('<Text name="x" value="$t"/>', code) == code["t"]
    assert value('<HyperText name="x" value="$t"/>', {"t": "<b>a</b> b"}) == "a b"


def test_text_and_markup_come_from_an_address_where_the_tag_says_so() -> None:
    text, markup = '<Text name="x" value="$t" valueType="url"/>', '<HyperText name="x" value="$t" '
    assert loaded(text, {"t": "/data/a.txt"}) == "List<int> \u00e9"
    assert loaded(text, {"t": "/data/latin.txt"}) == "\u00e9t\u00e9"
    assert loaded(markup + 'valueType="url"/>', {"t": "/data/a.html"}) == "Fish & chips"
    assert value('<Text name="x" value="$t"/>', {"t": "/data/a.txt"}) == "/data/a.txt"


def test_what_is_made_of_one_file_has_a_key_for_each_way_of_reading() -> None:
    keys = set()
    for tag in ("Text", "HyperText", "Paragraphs"):
        found = value(f'<{tag} name="x" value="$t" valueType="url"/>', {"t": "/data/a.txt"})
        assert isinstance(found, Reference)
        keys.add(found.key)
    assert len(keys) == 3


def test_dialogues() -> None:
    paragraphs = '<Paragraphs name="x" value="$d"/>'
    turns = [{"author": "Ann", "text": "Hi", "start": 0}, {"text": "Oh"}, "plain"]
    assert value(paragraphs, {"d": turns}) == "Ann: Hi\nOh\nplain"
    assert value(paragraphs, {"d": "just a text"}) == "just a text"
    assert value(paragraphs, {"d": []}) is None
    assert loaded(paragraphs, {"d": "/data/a.json"}) == "Ann: Hi\nOh"
    chat = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Yes?"}]
    assert value('<Chat name="x" value="$d"/>', {"d": chat}) == "user: Hi\nassistant: Yes?"


def test_tables_and_lists_are_keys_and_values() -> None:
    table = '<Table name="x" value="$d"/>'
    nested = {"name": "Ann", "address": {"city": "Ulm"}, "tags": ["a", "b"], "none": None}
    assert value(table, {"d": nested}) == "name: Ann\naddress.city: Ulm\ntags: a\ntags: b"
    assert value(table, {"d": '{"a": 1}'}) == "a: 1"
    items = [{"id": 1, "title": "One"}, {"id": 2, "title": "Two"}]
    assert value('<List name="x" value="$d"/>', {"d": items}) == (
        "id: 1\ntitle: One\nid: 2\ntitle: Two"
    )


def test_time_series() -> None:
    two = '<Channel column="y"/><Channel column="x"/>'
    tabs = f'<TimeSeries name="x" value="$s" sep="\\t" timeColumn="time">{two}</TimeSeries>'
    assert str(loaded(tabs, {"s": "/data/tabs.csv"})) == "[[2.0, 1.0], [nan, 3.0], [6.0, nan]]"
    every = '<TimeSeries name="x" value="$s" sep="tab" timeColumn="time"/>'
    assert str(loaded(every, {"s": "/data/tabs.csv"})) == "[[1.0, 2.0], [3.0, nan], [nan, 6.0]]"
    bare = '<TimeSeries name="x" value="$s" sep=";"><Channel column="2"/></TimeSeries>'
    assert loaded(bare, {"s": "/data/bare.csv"}) == [[2.0], [4.0]]
    rows = [{"time": "noon", "x": 1, "y": 2}, {"time": "one", "x": 3, "y": 4}]
    assert value(tabs, {"s": rows}) == [[2.0, 1.0], [4.0, 3.0]]
    assert value(tabs, {"s": {"time": [0], "x": [1], "y": ["2"]}}) == [[2.0, 1.0]]
    with pytest.raises(MediaError, match="no column 'y'"):
        loaded(tabs, {"s": "/data/bare.csv"})


DEEP: list[Any] = []
for _ in range(5000):
    DEEP = [DEEP]
SERIES = '<TimeSeries name="x" value="$v"><Channel column="y"/></TimeSeries>'
WIDE = "y\n" + "1" * 200_000  # wider than csv takes a cell to be


@pytest.mark.parametrize(
    ("tag", "held", "why"),
    [
        (SERIES, "time,z\n0,1\n", "no column 'y'"),
        (SERIES, {"time": [0]}, "no column 'y'"),
        (SERIES, WIDE, "field larger"),
        (SERIES, "/data/wide.csv", "field larger"),
        ('<Paragraphs name="x" value="$v"/>', [{"text": DEEP}], "RecursionError"),
        ('<Table name="x" value="$v"/>', {"a": DEEP}, "RecursionError"),
    ],
    ids=["header", "columns", "cell", "cell of a file", "turn", "table"],
)
def test_a_value_that_cannot_be_read_says_why_when_it_is_wanted(
    tag: str, held: Any, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(FILES, "/data/wide.csv", WIDE.encode())
    found = value(tag, {"v": held})
    assert isinstance(found, Reference)
    with pytest.raises(MediaError, match=why):
        found.load()


def test_a_repeater_is_read_as_one_value() -> None:
    text = (
        '<Repeater on="$pages" indexFlag="{{idx}}"><Text name="p{{idx}}" '
        'value="$pages[{{idx}}].words"/></Repeater>'
    )
    pages = [{"words": "one"}, {"words": "two"}, {}]
    assert value(text, {"pages": pages}) == "one\ntwo"
    assert value(text, {"pages": None}) is None


def picture(colour: str) -> bytes:
    from PIL import Image

    file = io.BytesIO()
    Image.new("RGB", (30, 20), colour).save(file, "PNG")
    return file.getvalue()


def test_a_set_of_pictures_is_bounded_and_ends_what_it_began() -> None:
    ended: list[str] = []

    def counted(address: str) -> Reference:
        return Reference(address, lambda: picture("green"), lambda: ended.append(address))

    parsed = parse(f'<View><Image name="x" valueList="$p"/>{CHOICES}</View>')
    many = [f"/{number}.png" for number in range(MOST_PICTURES + 5)]
    found = sample_of({"p": many}, parsed, counted)["p"]
    assert isinstance(found, Reference)
    content = found.load()
    assert isinstance(content, bytes)
    assert (0, 128, 0) in {colour for _, colour in decode_image(content).getcolors(2**24) or ()}
    assert found.done is not None
    found.done()
    assert ended == many[:MOST_PICTURES]
    assert sample_of({"p": []}, parsed, counted)["p"] is None
    assert sample_of({"p": [None, " ", 3]}, parsed, counted)["p"] is None


def document() -> bytes:
    """Return a PDF of two pages, one with words."""
    from matplotlib.backends.backend_pdf import PdfPages
    from matplotlib.figure import Figure

    file = io.BytesIO()
    with PdfPages(file) as pages:
        for words in ("Dear reader", ""):
            figure = Figure(figsize=(2, 3))
            figure.text(0.1, 0.5, words)
            pages.savefig(figure)
    return file.getvalue()


def test_a_document_is_its_pages_and_their_text() -> None:
    parsed = parse(f'<View><Pdf name="x" value="$d"/>{CHOICES}</View>')
    content = document()
    sample = sample_of({"d": "/a.pdf"}, parsed, lambda one: Reference(one, lambda: content))
    pages, text = (sample[modality.key] for modality in parsed.schema.modalities)
    assert isinstance(pages, Reference)
    assert isinstance(text, Reference)
    assert "Dear reader" in str(text.load())
    sheet = pages.load()
    assert isinstance(sheet, bytes)
    assert decode_image(sheet).width >= 2 * 300
    assert pages.key != text.key
    broken = sample_of({"d": "/a.pdf"}, parsed, lambda one: Reference(one, lambda: content[:40]))
    for value in broken.values():
        assert isinstance(value, Reference)
        with pytest.raises(MediaError, match="not a document"):
            value.load()


def test_a_list_of_one_picture_is_the_picture_and_what_is_no_address_is_left_out() -> None:
    from backend.media.values import _pictures

    asked: list[str] = []

    def seen(address: str) -> Reference:
        asked.append(address)
        return Reference(address, bytes)

    (one,) = [_pictures([[" /a.png ", 3, "", None]], seen)]
    assert isinstance(one, Reference)
    assert one.key == "/a.png"
    assert _pictures([[], "  "], seen) is None
    two = _pictures(["/b.png", ["/c.png"]], seen)
    assert isinstance(two, Reference)
    assert asked == ["/a.png", "/b.png", "/c.png"]
