"""Progress of long work on stderr: one line that renews itself on a terminal, a line now and then elsewhere."""

import shutil
import sys
import time
from collections.abc import Mapping
from types import TracebackType
from typing import ClassVar

from textvae.utils.printable import printable
from textvae.utils.processes import is_first

TERMINAL_EVERY_S = 0.1
"""Between two updates of the line on a terminal."""
LOG_EVERY_S = 30.0
"""Between two lines where stderr is a file or a pipe."""
DELAY_S = 1.0
"""Work that ends sooner shows no progress."""


def say(line: str) -> None:
    """Prints one line to stderr, ``printable``; a progress line on the terminal is cleared before it. Of several
    processes of a command, only the first prints.
    """
    if not is_first():
        return
    if ProgressLine.active is not None:
        ProgressLine.active.clear()
    print(printable(line), file=sys.stderr, flush=True)


def duration(seconds: float) -> str:
    """A length of time in words: "46 s", "12 min 5 s", "1 h 23 min", "2 d 3 h"."""
    whole = max(0, round(seconds))
    units = [(whole // 86400, "d"), (whole // 3600 % 24, "h"), (whole // 60 % 60, "min"), (whole % 60, "s")]
    first = next((i for i, (count, _) in enumerate(units) if count), 3)
    return " ".join(f"{count} {unit}" for count, unit in units[first : first + 2] if count) or "0 s"


class ProgressLine:
    """Percentage, time left, rate and named values of work that is counted in units, as a context manager.

    What does not fit the terminal's width is left out from the end, so that percentage and time left always show.
    Within another progress line, as where samples are drawn during training, an inner one is silent; so are those of
    all processes of a command but the first.
    """

    active: ClassVar["ProgressLine | None"] = None
    """The line that is showing."""

    def __init__(self, title: str, total: int, unit: str, done: int = 0) -> None:
        """``total`` units of work, of which ``done`` were finished by an earlier process."""
        self.title, self.total, self.unit, self.done = title, total, unit, done
        self._start_done, self._start = done, time.perf_counter()
        self._terminal = sys.stderr.isatty() or _in_notebook()
        self._due = self._start + (DELAY_S if self._terminal else LOG_EVERY_S)
        self._values: Mapping[str, float] = {}
        self._shown = False

    def __enter__(self) -> "ProgressLine":
        if ProgressLine.active is None and is_first():
            ProgressLine.active = self
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if ProgressLine.active is self:
            self.clear()
            ProgressLine.active = None

    @property
    def rate(self) -> float:
        """Units a second in this process."""
        return (self.done - self._start_done) / max(time.perf_counter() - self._start, 1e-9)

    def show(self, values: Mapping[str, float]) -> None:
        """Sets the values that are shown by name from now on, such as loss terms."""
        self._values = dict(values)

    def advance(self, units: int) -> None:
        """Counts finished units."""
        self.done += units
        now = time.perf_counter()
        if ProgressLine.active is not self or now < self._due:
            return
        if self._terminal:
            self._due = now + TERMINAL_EVERY_S
            # One column stays free: a full line would wrap on some terminals.
            line = self.line(shutil.get_terminal_size().columns - 1)
            print(f"\r{line}{_after(line)}", end="", file=sys.stderr, flush=True)
            self._shown = True
        else:
            self._due = now + LOG_EVERY_S
            print(self.line(), file=sys.stderr, flush=True)

    def line(self, width: int | None = None) -> str:
        """The state of the work as text, in at most ``width`` characters."""
        left = (self.total - self.done) / max(self.rate, 1e-9)
        facts = [
            f"{self.rate:,.0f} {self.unit}/s" if self.rate >= 10 else f"{self.rate:.2g} {self.unit}/s",
            *(f"{name} {value:.4g}" for name, value in self._values.items()),
        ]
        place = f"  {100 * self.done / max(self.total, 1):3.0f} %  {duration(left)} left"
        if width is None:
            return "  ".join([self.title + place, *facts])
        line = self.title[: max(0, width - len(place))] + place
        for fact in facts:
            if len(line) + 2 + len(fact) > width:
                break
            line += f"  {fact}"
        return line[:width]

    def clear(self) -> None:
        """Removes the line from the terminal until the next update."""
        if self._shown:
            print(f"\r{_after('')}", end="", file=sys.stderr, flush=True)
            self._shown = False


def _in_notebook() -> bool:
    """Whether this process is the kernel of a notebook, whose output renews a line by a carriage return."""
    shell = sys.modules.get("IPython")
    return shell is not None and type(shell.get_ipython()).__name__ == "ZMQInteractiveShell"


def _after(line: str) -> str:
    """What clears the rest of the terminal's line after some text. Notebooks know no code for that: they get blanks."""
    return " " * max(0, shutil.get_terminal_size().columns - 1 - len(line)) + "\r" if _in_notebook() else "\x1b[K"
