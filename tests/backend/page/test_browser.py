"""The page in a browser: nothing is asked for elsewhere, forms work, and it fits a phone."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvicorn

from backend.server.app import create_app
from backend.settings import Settings
from backend.store.store import Store
from tests.backend.page.made import fill
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
    with FakeStudio(10) as studio:
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
        yield f"http://127.0.0.1:{port}", store
        server.should_exit = True
        thread.join(timeout=10)
    store.close()


@pytest.mark.parametrize(("scheme", "width"), [("light", 1100), ("dark", 390)])
def test_the_page_works_in_a_browser(served: tuple[str, Store], scheme: str, width: int) -> None:
    from playwright.sync_api import sync_playwright

    address, store = served
    with sync_playwright() as play:
        browser = play.chromium.launch(
            executable_path=str(CHROMIUM), args=["--no-sandbox", "--disable-gpu"]
        )
        page = browser.new_page(
            color_scheme=scheme,  # type: ignore[arg-type]
            viewport={"width": width, "height": 800},
            java_script_enabled=False,
        )
        said: list[str] = []
        page.on("console", lambda message: said.append(message.text))
        page.on("request", lambda r: r.url.startswith(address) or said.append(r.url))
        page.goto(f"{address}/projects/1")
        assert page.locator("circle").count() == 4
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        page.get_by_role("button", name="Check now").click()
        assert "No: the queue is not served" in page.get_by_label("Verdict").inner_text()
        page.get_by_role("link", name="Retrain").click()
        page.get_by_role("button", name="Retrain").click()
        assert page.url == f"{address}/projects/1"
        browser.close()
    assert store.project(1).requested["cause"] == "requested on the page"
    assert said == [], "nothing was refused by the policy, nothing was asked for elsewhere"
