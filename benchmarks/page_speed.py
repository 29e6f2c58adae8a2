"""Speed of the page that draws in the browser, in headless Chromium with plain WebAssembly and one thread.

A plain file server on this machine serves the page with all bundled models. For each model a fresh browser profile
loads it (bytes that the server sends, time until its first pictures are there), draws one picture again and again (from
the click on Draw to the picture on the page), and loads it once more from the browser's cache. Needs Chromium and the
extras export and dev.
"""

import argparse
import http.server
import io
import shutil
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from command_line import in_words
from common import Neighbours, machine, summary, write
from playwright.sync_api import Browser, Page, sync_playwright

from textvae.serve.static_page import write_page

TARGETS = {"fashion": 0.3, "flowers": 1.5}
"""Seconds for one picture with the model's own settings."""
FIRST_LOAD_TARGET = 8e6
"""Bytes."""
FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update")
DRAW = """() => new Promise((resolve) => {
  const begun = performance.now();
  new MutationObserver((_, observer) => {
    if (!document.querySelector("#pictures canvas")) return;
    observer.disconnect();
    requestAnimationFrame(() => resolve((performance.now() - begun) / 1000));
  }).observe(document.getElementById("pictures"), { childList: true });
  document.getElementById("draw").click();
})"""
"""Clicks on Draw; the seconds until a new picture is there."""


class Before(Neighbours):
    """The load in the seconds before: the processes of the browser would count as others."""

    def __init__(self) -> None:
        super().__init__()
        time.sleep(5)
        self._found = super().cores()

    def cores(self) -> float | None:
        """Mean number of cores that other processes used."""
        return self._found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5, help="loads of each model; it draws as often after each")
    parser.add_argument("--models", nargs="+", default=["fashion", "flowers"], help="bundled models")
    parser.add_argument("--out", type=Path, help="folder of the JSON; default: the package's measured/")
    asked = parser.parse_args()
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        sys.exit("Chromium is not installed")

    with tempfile.TemporaryDirectory() as folder, sync_playwright() as driver:
        write_page([], Path(folder))
        neighbours = Before()
        server = FileServer(Path(folder))
        browser = driver.chromium.launch(executable_path=chromium, args=list(FLAGS))
        measured = {name: visits(browser, server, name, asked.repeats) for name in asked.models}
        result: dict[str, Any] = {"machine": machine() | {"browser": f"Chromium {browser.version}"}}
        browser.close()
    result["protocol"] = {
        "browser": "headless, plain wasm, one thread; a fresh profile for each load; a file server on this machine",
        "first_load_bytes": "sent by the server until the page has drawn its first four pictures, with headers",
        "picture": "one picture with the model's settings, from the click to the picture on the page",
        "processor": "time of all processes of the browser during these pictures, a picture; it depends less on load",
    }
    result["models"] = measured
    result["target"] = {"picture": TARGETS, "first_load_bytes": FIRST_LOAD_TARGET}
    rows = []
    for name, found in measured.items():
        target = f" (target {TARGETS[name]:g} s)" if name in TARGETS else ""
        size = found["first_load_bytes"]
        rows += [
            (f"the page in Chromium, `{name}`, one picture{target}", in_words(found["picture"]["median"])),
            (f"the page in Chromium, `{name}`, first load (target 8 MB)", f"{size / 1e6:.1f} MB"),
        ]
        times = {kind: in_words(found[kind]["median"]) for kind in ("picture", "processor", "load")}
        print(
            f"{name:<10} picture {times['picture']} (processor {times['processor']}); "
            f"load {size / 1e6:.2f} MB in {times['load']}, again {found['again_bytes']:,} bytes"
        )
    result["summary"] = [{"what": what, "ours": ours, "theirs": "-", "ratio": "-"} for what, ours in rows]
    write("page-speed", result, neighbours, asked.out)


def visits(browser: Browser, server: "FileServer", model: str, repeats: int) -> dict[str, Any]:
    """What one model takes: bytes and seconds of a load, seconds of a picture, bytes of a load from the cache."""
    found: dict[str, list[float]] = {"load": [], "picture": [], "processor": []}
    sizes: list[int] = []
    again: list[int] = []
    for _ in range(repeats):
        context = browser.new_context()
        page = context.new_page()
        sent, began = server.sent, time.perf_counter()
        load(page, server, model)
        found["load"].append(time.perf_counter() - began)
        sizes.append(server.sent - sent)
        page.fill("#count", "1")
        before = processor_time(browser)
        found["picture"] += [page.evaluate(DRAW) for _ in range(repeats)]
        found["processor"].append((processor_time(browser) - before) / repeats)
        sent = server.sent
        load(page, server, model)
        again.append(server.sent - sent)
        context.close()
    return {
        **{name: summary(seconds) for name, seconds in found.items()},
        "first_load_bytes": max(sizes),
        "again_bytes": round(statistics.median(again)),
    }


def processor_time(browser: Browser) -> float:
    """Seconds that all processes of the browser have computed so far."""
    processes = browser.new_browser_cdp_session().send("SystemInfo.getProcessInfo")["processInfo"]
    return sum(float(process["cpuTime"]) for process in processes)


def load(page: Page, server: "FileServer", model: str) -> None:
    """Opens the page with a model, until it has drawn its first pictures."""
    page.goto(f"{server.address}?model={model}")
    page.wait_for_selector(f"body[data-ready={model}][data-drawn]", timeout=120_000)


class FileServer:
    """A plain file server that counts the bytes which it sends."""

    def __init__(self, folder: Path) -> None:
        counted = self
        self.sent = 0

        class Handler(http.server.SimpleHTTPRequestHandler):
            def __init__(self, *arguments: Any) -> None:
                super().__init__(*arguments, directory=str(folder))

            def setup(self) -> None:
                super().setup()
                self.wfile = Counted(self.wfile, counted)  # type: ignore[assignment]

            def log_message(self, *_: object) -> None:
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.address = f"http://127.0.0.1:{server.server_address[1]}/"


class Counted(io.BufferedIOBase):
    """Passes bytes on and counts them."""

    def __init__(self, stream: Any, server: FileServer) -> None:
        self._stream, self._server = stream, server

    def write(self, content: Any) -> int:
        self._server.sent += len(content)
        return int(self._stream.write(content))

    def flush(self) -> None:
        if not self._stream.closed:
            self._stream.flush()


if __name__ == "__main__":
    main()
