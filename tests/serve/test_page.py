"""The page in a real browser: it loads, draws what Python draws, and can be used by keyboard alone."""

import functools
import http.server
import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from textvae import TextToImage
from textvae.cli.made import command_of
from textvae.serve.static_page import ONNX_RUNTIME, write_page
from textvae.utils.errors import UserError
from textvae.utils.images import read_metadata

pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")
playwright = pytest.importorskip("playwright.sync_api")

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
OLD = Path(__file__).parents[1] / "helpers" / "old_run"
FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip

pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")]


class Quiet(http.server.SimpleHTTPRequestHandler):
    """A plain file server, as anybody has, without a log."""

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The page with one small model, behind a plain file server on loopback."""
    try:
        ONNX_RUNTIME.fetch()
    except UserError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"ONNX Runtime for browsers is not here: {error.cause}")
    site = tmp_path_factory.mktemp("site")
    model = shutil.copytree(OLD, tmp_path_factory.mktemp("runs") / "small")
    write_page([str(model)], site)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(site)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/"
    server.shutdown()
    server.server_close()


@pytest.fixture
def page(address: str) -> Iterator["playwright.Page"]:
    """The page once it has drawn its first pictures; a message in the browser's console fails the test."""
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        page = browser.new_page()
        complaints: list[str] = []
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(address)
        page.wait_for_selector("body[data-ready=small][data-drawn]", timeout=60_000)
        yield page
        browser.close()
        assert not complaints


def pixels(page: "playwright.Page") -> np.ndarray:
    """Of all pictures on the page: [n, 28, 28]."""
    rows = page.evaluate(
        """() => [...document.querySelectorAll('#pictures canvas')].map(
            (c) => [...c.getContext('2d').getImageData(0, 0, c.width, c.height).data])"""
    )
    return np.array(rows).reshape(len(rows), 28, 28, 4)[..., 0].astype(int)


def wait_for(page: "playwright.Page", count: int, where: str = "#pictures") -> None:
    page.wait_for_function(f"document.querySelectorAll('{where} figure').length === {count}", timeout=60_000)


def test_it_draws_the_pictures_that_python_draws(page) -> None:
    page.fill("#prompt", "a dress")
    page.uncheck("#random")
    page.fill("#seed", "7")
    page.fill("#count", "5")
    page.click("#draw")
    wait_for(page, 5)
    expected = np.stack([np.asarray(one) for one in TextToImage.load(OLD)("a dress", num_images=5, seed=7)]).astype(int)
    assert np.abs(pixels(page) - expected).max() <= 1
    assert "dress" in page.inner_text("#notice")


def test_it_draws_the_first_example_by_itself(page) -> None:
    prompt = page.input_value("#prompt")
    assert page.inner_text("#history") == ""
    expected = np.stack([np.asarray(one) for one in TextToImage.load(OLD)(prompt, num_images=4)]).astype(int)
    assert np.abs(pixels(page) - expected).max() <= 1


def test_a_model_that_cannot_be_loaded_is_explained(page) -> None:
    page.route("**/models/small/model.json", lambda route: route.fulfill(body="{"))
    page.reload()
    page.wait_for_selector("#notice.error")
    assert "JSON" in page.inner_text("#notice")
    assert not page.evaluate("document.body.dataset.drawn")


def test_what_is_asked_for_while_it_draws_is_drawn_afterwards(page) -> None:
    page.fill("#prompt", "a dress")
    page.evaluate(
        """() => {
            document.getElementById("guidance").dispatchEvent(new Event("input"));
            document.getElementById("form").requestSubmit();
            document.getElementById("guidance").dispatchEvent(new Event("input"));
        }"""
    )
    page.wait_for_selector("#history li")
    assert "a dress" in page.inner_text("#history")


def test_a_downloaded_picture_says_how_it_was_made(page, tmp_path) -> None:
    page.fill("#prompt", "a dress")
    page.uncheck("#random")
    page.fill("#seed", "7")
    page.fill("#count", "2")
    page.click("#draw")
    wait_for(page, 2)
    with page.expect_download() as download:
        page.click("figure:nth-of-type(2) button:text-is('save')")
    file = tmp_path / "saved.png"
    download.value.save_as(file)
    command = "textvae generate small 'a dress' --num-images 1 --seed 8 --guidance 1.5 --steps 8"
    assert command_of(read_metadata(file)) == command


def test_it_can_be_used_by_keyboard_alone(page) -> None:
    page.focus("#prompt")
    page.keyboard.press("Control+A")
    page.keyboard.type("a bag")
    page.keyboard.press("Enter")
    page.wait_for_selector("#history li")
    wait_for(page, 4)
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.tagName") == "BUTTON"


def test_a_prompt_that_cannot_be_read_is_explained(page) -> None:
    page.fill("#prompt", "a banana")
    page.click("#draw")
    page.wait_for_selector("#notice.error")
    assert "banana" in page.inner_text("#notice")
    assert page.is_enabled("#draw")


def test_a_picture_is_edited_and_filled_in(page) -> None:
    page.fill("#prompt", "a coat")
    page.click("#draw")
    wait_for(page, 4)
    page.click("#pictures figure >> nth=0 >> text=edit")
    page.fill("#to", "a bag")
    page.click("#edit")
    wait_for(page, 1, "#edited")
