"""Checks the documentation site in a browser: ``check_site.py site``. Needs playwright, and Chromium or Chrome.

From a plain file server: the front page links to the page that draws, which draws with every model, without a message
in the browser's console.
"""

import functools
import http.server
import shutil
import sys
import threading
from pathlib import Path

from playwright.sync_api import sync_playwright

BROWSERS = ("chromium", "chromium-browser", "google-chrome")


class Quiet(http.server.SimpleHTTPRequestHandler):
    """A plain file server without a log."""

    def log_message(self, *_: object) -> None:
        """Prints nothing."""


def check(site: Path, browser: str) -> list[str]:
    """The names of the models that drew; fails where something does not work."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(site)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=browser, args=["--no-sandbox", "--disable-gpu"])
        page = chromium.new_page()
        page.goto(f"http://127.0.0.1:{server.server_address[1]}/")
        page.click("a[href*='draw/']:visible >> nth=0")
        page.wait_for_selector("body[data-ready]", timeout=60_000)
        complaints: list[str] = []
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        names: list[str] = page.evaluate(
            "[...document.querySelectorAll('#model option')].map((option) => option.value)"
        )
        for name in names:
            page.select_option("#model", name)
            page.wait_for_selector(f"body[data-ready='{name}']", timeout=60_000)
            page.fill("#count", "1")
            page.click("#draw")
            page.wait_for_selector("#pictures canvas", timeout=60_000)
            greys = page.evaluate(
                "() => { const canvas = document.querySelector('#pictures canvas');"
                "const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);"
                "return new Set(data.filter((_, i) => i % 4 === 1)).size; }"
            )
            assert greys > 10, f"{name} draws only {greys} levels of green"
        chromium.close()
    server.shutdown()
    assert names, "the page has no models"
    assert not complaints, complaints
    return names


if __name__ == "__main__":
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if found is None:
        sys.exit("neither Chromium nor Chrome is installed")
    print("the site draws with", ", ".join(check(Path(sys.argv[1]), found)))
