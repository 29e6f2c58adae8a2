"""A page that shows a training while it runs: progress, samples and losses. ``textvae train --watch`` opens it.

A thread of the training's process answers, to this machine alone, and serves three things: the page, what it shows, and
samples.png. An error in it is one line on stderr; the training goes on.
"""

import contextlib
import os
import sys
import threading
import time
import webbrowser
from dataclasses import asdict, dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from textvae.experiment.callbacks import Callback
from textvae.experiment.stages import Stage, stages_of
from textvae.runs.files import HISTORY, SAMPLES
from textvae.runs.loss_curves import Curve, loss_curves, stages_in
from textvae.runs.run import read_history
from textvae.serve.server import listening
from textvae.training.loop import Step
from textvae.utils.errors import UserError
from textvae.utils.progress import say

HOST = "127.0.0.1"
POINTS = 300
"""Of a curve, at most."""
CONNECTIONS = 32
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
}


@dataclass(frozen=True)
class Place:
    """How far a training is."""

    stage: str
    number: int
    """Of the stage, from 1."""
    stages: int
    step: int
    steps: int
    """Of the stage, in all."""
    seconds_left: float | None
    """In this stage, by the speed since it was begun or resumed; None before there is one."""


class Watching(Callback):
    """A callback that shows its training on a page. It begins to answer at the first step."""

    def __init__(self, run: Path, browser: bool = True) -> None:
        """``browser`` opens the page in a browser, where there is one."""
        self.run = run
        self.place: Place | None = None
        self.url: str | None = None
        self._browser = browser
        self._server: uvicorn.Server | None = None
        self._failed = False
        self._begun: tuple[str, int, float] = ("", 0, 0.0)
        self._curves: tuple[int, dict[str, Any]] = (0, {})

    def on_step(self, stage: Stage, step: Step) -> None:
        """Notes how far the training is."""
        if self._failed:
            return
        try:
            self._note(stage, step)
            if self._server is None:
                self._start()
        except Exception as error:  # whatever it is, it is not worth a training
            self._fail(error)

    def close(self) -> None:
        """Stops answering."""
        if self._server is not None:
            self._server.should_exit = True

    def _note(self, stage: Stage, step: Step) -> None:
        now = time.perf_counter()
        if self._begun[0] != stage.name:
            self._begun = stage.name, step.number, now
        _, first, start = self._begun
        names, steps = stages_of(stage.recipe), stage.training.total_steps
        taken = step.number - first
        left = (now - start) / taken * (steps - step.number) if taken else None
        self.place = Place(stage.name, names.index(stage.name) + 1, len(names), step.number, steps, left)

    def _start(self) -> None:
        bound = listening(HOST, 0)
        self.url = f"http://{HOST}:{bound.getsockname()[1]}/"
        config = uvicorn.Config(
            self.app(), log_config=None, access_log=False, ws="none", lifespan="off", limit_concurrency=CONNECTIONS
        )
        self._server = server = uvicorn.Server(config)

        def answer() -> None:
            try:
                if self._browser and has_browser():
                    webbrowser.open(str(self.url))
                server.run(sockets=[bound])
            except Exception as error:
                self._fail(error)

        say(f"watch the training: {self.url}")
        threading.Thread(target=answer, name="watch", daemon=True).start()

    def _fail(self, error: Exception) -> None:
        self._failed = True
        say(f"the page that shows the training has failed: {str(error).partition(chr(10))[0]}")

    def app(self) -> Starlette:
        """The application, which answers requests by the name of this machine only: pages of others cannot read it."""
        page = (resources.files("textvae.serve") / "watch.html").read_text(encoding="utf-8")
        routes = [
            Route("/", lambda _: HTMLResponse(page, headers=HEADERS)),
            Route("/state", lambda _: JSONResponse(self.state(), headers=HEADERS)),
            Route(f"/{SAMPLES}", self._samples),
        ]
        return Starlette(
            routes=routes, middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=[HOST, "localhost"])]
        )

    def state(self) -> dict[str, Any]:
        """What the page shows, as plain data."""
        return {
            "run": self.run.name,
            "place": None if self.place is None else asdict(self.place),
            "samples": str(_changed(self.run / SAMPLES)),
            "curves": self._latest_curves(),
        }

    def _latest_curves(self) -> dict[str, Any]:
        """Training and validation curves by stage and loss term, read again where history.jsonl has changed."""
        changed = _changed(self.run / HISTORY)
        if changed != self._curves[0]:
            with contextlib.suppress(UserError):
                rows = read_history(self.run)
                curves = {
                    stage: {
                        term: {"training": _thinned(training), "validation": _thinned(validation)}
                        for term, (training, validation) in loss_curves(own).items()
                    }
                    for stage, own in stages_in(rows).items()
                }
                self._curves = changed, curves
        return self._curves[1]

    def _samples(self, _: Request) -> Response:
        file = self.run / SAMPLES
        return FileResponse(file, headers=HEADERS) if file.is_file() else Response(status_code=404)


def has_browser() -> bool:
    """Whether a browser would open a window that somebody at this machine sees."""
    if "SSH_CONNECTION" in os.environ:
        return False
    return sys.platform in ("darwin", "win32") or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def _changed(file: Path) -> int:
    """When a file was changed; 0 where there is none."""
    try:
        return file.stat().st_mtime_ns
    except OSError:
        return 0


def _thinned(curve: Curve) -> Curve:
    """At most ``POINTS`` of a curve, its last one among them."""
    every = -(-len(curve) // POINTS) or 1
    return curve[::-1][::every][::-1]
