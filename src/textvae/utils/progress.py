"""What a person sees while something long goes on: one living line on a terminal, a plain line now and then elsewhere.

Everything here writes to stderr; results belong to stdout.
"""

import sys
import time
from collections.abc import Mapping
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

PLAIN_EVERY_S = 10.0


def say(line: str) -> None:
    """One line to stderr."""
    print(line, file=sys.stderr, flush=True)


class ProgressLine:
    """Rate, time left and named values of a piece of work that counts in ``total`` units."""

    def __init__(self, title: str, total: int, unit: str, done: int = 0) -> None:
        self.title, self.total, self.unit, self.done = title, total, unit, done
        self._start_done, self._start = done, time.perf_counter()
        self._last_plain = self._start
        self._values = ""
        console = Console(stderr=True)
        self._live: Progress | None = None
        if console.is_terminal:
            self._live = Progress(
                TextColumn("{task.description}"),
                BarColumn(bar_width=24),
                TextColumn("{task.percentage:3.0f}%"),
                TimeRemainingColumn(compact=True),
                TextColumn("{task.fields[facts]}"),
                console=console,
                transient=True,
            )
            self._task = self._live.add_task(title, total=total, completed=done, facts="")

    def __enter__(self) -> "ProgressLine":
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._live.stop()

    @property
    def rate(self) -> float:
        """Units a second since the start of this process's share of the work."""
        return (self.done - self._start_done) / max(time.perf_counter() - self._start, 1e-9)

    def show(self, values: Mapping[str, float]) -> None:
        """Values to show by name from now on."""
        self._values = "  ".join(f"{name} {value:.4g}" for name, value in values.items())

    def advance(self, units: int) -> None:
        """Counts finished units."""
        self.done += units
        facts = f"{self.rate:,.0f} {self.unit}/s  {self._values}"
        if self._live:
            self._live.update(self._task, completed=self.done, facts=facts)
        elif time.perf_counter() - self._last_plain >= PLAIN_EVERY_S:
            self._last_plain = time.perf_counter()
            left = (self.total - self.done) / max(self.rate, 1e-9)
            say(f"{self.title}: {100 * self.done / self.total:.0f} %  {left:.0f} s left  {facts}")
