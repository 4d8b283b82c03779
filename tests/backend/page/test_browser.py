"""The page in a browser: nothing is asked for elsewhere, forms work, and it fits a phone."""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from playwright.sync_api import Browser, Page, sync_playwright

from backend.server.app import create_app
from backend.settings import Settings
from backend.store.store import Store
from tests.backend.page.made import config, fill
from tests.backend.studio import FakeStudio

CHROMIUM = Path("/usr/bin/chromium")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not CHROMIUM.exists(), reason="needs Debian's chromium"),
]


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[str, Store]]:
    """Serve a store with rounds of project 1."""
    store = Store(f"sqlite:///{tmp_path / 'store.db'}", tmp_path)
    fill(store, 1)
    with FakeStudio(300) as studio:
        studio.remote["label_config"] = config()
        settings = Settings(
            label_studio_url=studio.url, api_key="key", data_dir=tmp_path, min_free_bytes=0
        )
        server = uvicorn.Server(
            uvicorn.Config(create_app(settings, store), port=0, lifespan="off", log_level="error")
        )
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.05)
        port = server.servers[0].sockets[0].getsockname()[1]
        address = f"http://127.0.0.1:{port}"
        # Until Label Studio has answered the page loads itself again every five seconds.
        while 'data-seconds="60"' not in httpx.get(f"{address}/projects/1", timeout=60).text:
            time.sleep(0.2)
        yield address, store
        server.should_exit = True
        thread.join(timeout=10)
    store.close()


@pytest.fixture
def browser() -> Iterator[Browser]:
    """Return a Chromium that asks for nothing by itself."""
    with sync_playwright() as play:
        running = play.chromium.launch(
            executable_path=str(CHROMIUM), args=["--no-sandbox", "--disable-gpu"]
        )
        yield running
        running.close()


def opened(
    browser: Browser, address: str, said: list[str], *, width: int = 1100, **more: Any
) -> Page:
    """Open a page that notes what is refused, what fails, and what is asked for elsewhere."""
    page = browser.new_page(viewport={"width": width, "height": 800}, **more)
    page.set_default_timeout(180_000)  # nothing is promised of time here
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda r: r.url.startswith((address, "blob:")) or said.append(r.url))
    page.goto(f"{address}/projects/1")
    return page


@pytest.mark.parametrize(("scheme", "width"), [("light", 1100), ("dark", 390)])
def test_the_page_works_in_a_browser_without_script(
    served: tuple[str, Store], browser: Browser, scheme: str, width: int
) -> None:
    address, store = served
    said: list[str] = []
    page = opened(
        browser, address, said, width=width, color_scheme=scheme, java_script_enabled=False
    )
    assert page.locator("figure.chart").count() == 4
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.get_by_text("The picture needs a script").is_visible()
    assert not page.locator("canvas").is_visible()
    page.get_by_text("The map in numbers").click()
    assert page.get_by_role("region", name="The map in numbers").is_visible()
    page.get_by_role("button", name="Check now").click()
    assert "No: the queue is not served" in page.get_by_label("Verdict").inner_text()
    page.get_by_role("link", name="Retrain").click()
    page.get_by_role("button", name="Retrain").click()
    assert page.url == f"{address}/projects/1"
    assert store.project(1).requested["cause"] == "requested on the page"
    assert said == [], "nothing was refused by the policy, nothing was asked for elsewhere"


@pytest.mark.parametrize(("scheme", "width"), [("light", 1100), ("dark", 390)])
def test_axe_finds_no_fault(
    served: tuple[str, Store], browser: Browser, scheme: str, width: int
) -> None:
    axe = files("axe_playwright_python").joinpath("axe.min.js").read_text()
    address, _ = served
    said: list[str] = []
    page = opened(browser, address, said, width=width, color_scheme=scheme)
    page.locator("canvas").scroll_into_view_if_needed()
    page.wait_for_selector("#map[data-ready]")
    page.get_by_text("The map in numbers").click()
    page.get_by_role("list", name="Colours").get_by_role("button").first.click()
    for place in ("/projects/1", "/", "/projects/1/confirm/retrain", "offer"):
        if place == "offer":
            page.goto(f"{address}/projects/1")
            page.get_by_label("How many may be wrong?").select_option("10%")
            page.get_by_role("button", name="See what would be accepted").click()
            page.get_by_role("button", name="Accept").wait_for()
        elif place != "/projects/1":
            page.goto(address + place)
        page.evaluate(axe)
        found = page.evaluate("axe.run()")
        faults = [
            f"{fault['id']}: {fault['help']}: {[node['html'][:200] for node in fault['nodes'][:3]]}"
            for fault in found["violations"]
        ]
        assert faults == [], place
        assert len(found["passes"]) > 10, "it has looked at the page"


def test_the_map_is_drawn_shows_tasks_and_selects_some(
    served: tuple[str, Store], browser: Browser
) -> None:
    address, _ = served
    said: list[str] = []
    page = opened(browser, address, said)
    canvas = page.locator("canvas")
    canvas.scroll_into_view_if_needed()
    page.wait_for_selector("#map[data-ready]")
    box = canvas.bounding_box()
    assert box is not None
    colours = "c => new Set(new Uint32Array(c.getContext('2d')"
    colours += ".getImageData(0, 0, c.width, c.height).data.buffer)).size"
    assert canvas.evaluate(colours) > 10, "a colour for each class"
    task = page.locator("#map-task")
    canvas.focus()
    page.keyboard.press("ArrowRight")
    first = task.inner_text()
    assert re.match(r"Task \d+: predicted \d \(\d+% sure\), \w+ decides, number \d+", first)
    page.keyboard.press("ArrowUp")
    assert task.inner_text() != first
    page.wait_for_selector("#map .thumbnail")
    for name in ("label", "certainty", "what decides", "prediction"):
        page.get_by_label(name, exact=True).check()
    # All around: every task is selected, and none is left out.
    for n, (x, y) in enumerate([(1, 1), (1, 0), (0, 0), (0, 1), (1, 1)]):
        page.mouse.move(
            box["x"] + 2 + x * (box["width"] - 4), box["y"] + 2 + y * (box["height"] - 4)
        )
        if n == 0:
            page.mouse.down()
    page.mouse.up()
    ids = page.get_by_label("Ids of the selected tasks").input_value().split(",")
    assert len(set(ids)) == 360
    page.get_by_role("list", name="Colours").get_by_role("button").first.click()
    some = page.get_by_label("Ids of the selected tasks").input_value().split(",")
    assert 0 < len(some) < 360
    # What is shown of a task comes late: were it to move the buttons, clicks would miss them.
    top = "e => e.getBoundingClientRect().top + scrollY"
    before = page.get_by_text("Download", exact=True).evaluate(top)
    canvas.focus()
    page.keyboard.press("ArrowDown")
    assert not page.locator("#map .thumbnail").is_visible()
    page.wait_for_selector("#map .thumbnail")
    assert page.get_by_text("Download", exact=True).evaluate(top) == before
    with page.expect_download() as download:
        page.get_by_text("Download", exact=True).click()
    assert download.value.path().read_text().split() == some
    page.get_by_role("button", name="Select none").click()
    assert not page.get_by_label("Ids of the selected tasks").is_visible()
    assert said == []


def test_a_map_of_10_000_tasks_is_smooth(served: tuple[str, Store], browser: Browser) -> None:
    address, store = served
    fill(store, 1, tasks=10_000, rounds=1)
    said: list[str] = []
    page = opened(browser, address, said)
    page.locator("canvas").scroll_into_view_if_needed()
    page.wait_for_selector("#map[data-ready]")
    frame = page.evaluate(
        """() => {
            const start = performance.now();
            for (let n = 0; n < 60; n++) {
                view = { x: 0.1, y: 0.1, zoom: 1 + n / 60 };
                paint();
            }
            pen.getImageData(0, 0, 1, 1);  // all of it is drawn now, not some time
            return (performance.now() - start) / 60;
        }"""
    )
    assert page.evaluate("data.tasks.length") == 10_000
    print(f"a frame of 10,000 tasks: {frame:.1f} ms")
    assert frame < 33 or os.getloadavg()[0] > (os.cpu_count() or 1)
    assert said == []
