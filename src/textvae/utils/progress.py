"""Progress of long work on stderr: one line that renews itself on a terminal, a line now and then elsewhere."""

import contextlib
import os
import shutil
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import Any

from textvae.utils.printable import printable
from textvae.utils.processes import is_first

TERMINAL_EVERY_S = 0.1
"""Between two updates of the line on a terminal."""
NOTEBOOK_EVERY_S = 0.5
"""Between two updates of the line in a notebook."""
LOG_EVERY_S = 30.0
"""Between two lines where stderr is a file or a pipe."""
DELAY_S = 1.0
"""Work that ends sooner shows no progress."""
TICK_S = 0.5
"""The line is renewed so often while no unit of work is finished, so that its time goes on."""
BARS = ((110, 20), (75, 8))
"""Cells of the bar on terminals that are at least so many columns wide; narrower ones have none."""

_LOCK = threading.RLock()
"""Held while something is printed, or lines are opened and closed."""
_OPEN: list["ProgressLine"] = []
"""Lines in use; one within another comes after it."""
_MUTED = [0]
"""How many ``without_notices`` are open."""


def say(line: str) -> None:
    """Prints one line to stderr, ``printable``; a progress line on the terminal is cleared before it. Of several
    processes of a command, only the first prints.
    """
    if not is_first() or _MUTED[0]:
        return
    with _LOCK:
        if _OPEN:
            _OPEN[-1].clear()
        print(printable(line), file=sys.stderr, flush=True)


@contextmanager
def without_notices() -> Iterator[None]:
    """``say`` prints nothing within this context: for notices that were given before."""
    _MUTED[0] += 1
    try:
        yield
    finally:
        _MUTED[0] -= 1


def duration(seconds: float) -> str:
    """A length of time in words: "46 s", "12 min 5 s", "1 h 23 min", "2 d 3 h"."""
    whole = max(0, round(seconds))
    units = [(whole // 86400, "d"), (whole // 3600 % 24, "h"), (whole // 60 % 60, "min"), (whole % 60, "s")]
    first = next((i for i, (count, _) in enumerate(units) if count), 3)
    return " ".join(f"{count} {unit}" for count, unit in units[first : first + 2] if count) or "0 s"


class ProgressLine:
    """Bar, percentage, time left, rate and named values of work that is counted in units, as a context manager.

    Before the first unit is finished, and of work that is not counted, the line shows the time since the beginning.
    Where it does not fit the terminal's width, first named values are left out from the end, then the title is cut:
    percentage, time left and rate always show. Of lines within one another, as where samples are drawn during
    training, the innermost shows. All processes of a command but the first are silent.
    """

    def __init__(self, title: str, total: int = 0, unit: str = "", done: int = 0) -> None:
        """``total`` units of work, of which ``done`` were finished by an earlier process; 0: it is not counted."""
        self.title, self.total, self.unit, self.done = title, total, unit, done
        self._start_done, self._start = done, time.perf_counter()
        self._notebook = _notebook()
        self._terminal = sys.stderr.isatty()
        self._due = self._start + (DELAY_S if self._terminal or self._notebook else LOG_EVERY_S)
        self._values: Mapping[str, float] = {}
        self._shown = False
        self._left = threading.Event()

    def __enter__(self) -> "ProgressLine":
        if is_first():
            with _LOCK:
                if _OPEN:
                    _OPEN[-1].clear()
                _OPEN.append(self)
            threading.Thread(target=self._tick, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._left.set()
        with _LOCK:
            if self in _OPEN:
                self.clear()
                _OPEN.remove(self)

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
        self._renew()

    def _tick(self) -> None:
        while not self._left.wait(TICK_S):
            with contextlib.suppress(OSError, ValueError):  # stderr has been closed
                self._renew()

    def _renew(self) -> None:
        with _LOCK:
            now = time.perf_counter()
            if not _OPEN or _OPEN[-1] is not self or now < self._due:
                return
            if self._notebook:
                self._due, self._shown = now + NOTEBOOK_EVERY_S, True
                self._notebook.show(self.line(120))
            elif self._terminal:
                self._due = now + TERMINAL_EVERY_S
                # One column stays free: a full line would wrap on some terminals.
                line = self.line(shutil.get_terminal_size().columns - 1)
                print(f"\r{line}{_after(line)}", end="", file=sys.stderr, flush=True)
                self._shown = True
            else:
                self._due = now + LOG_EVERY_S
                print(self.line(), file=sys.stderr, flush=True)

    def line(self, width: int | None = None) -> str:
        """The state of the work as text, in at most ``width`` characters; without a bar where that is None."""
        facts: list[str] = []
        if self.done == self._start_done or not self.total:
            fixed = f"  {duration(time.perf_counter() - self._start)}"
        else:
            cells = next((cells for columns, cells in BARS if width and width >= columns), 0)
            full = cells * self.done // self.total
            bar = f"  [{'#' * full}{'-' * (cells - full)}]" if cells else ""
            left = duration((self.total - self.done) / max(self.rate, 1e-9))
            fixed = f"{bar}  {100 * self.done / self.total:3.0f} %  {left} left  {self._speed()}"
            facts = [f"{name} {_number(value)}" for name, value in self._values.items()]
        title = self.title if width is None else self.title[: max(0, width - len(fixed))]
        line = title + fixed
        for fact in facts:
            if width is not None and len(line) + 2 + len(fact) > width:
                break
            line += f"  {fact}"
        return line[:width]

    def _speed(self) -> str:
        if self.unit == "bytes":
            return f"{self.rate / 1e6:.1f} MB/s"
        return f"{self.rate:,.0f} {self.unit}/s" if self.rate >= 10 else f"{self.rate:.2g} {self.unit}/s"

    def clear(self) -> None:
        """Removes the line from the terminal or the notebook until the next update."""
        if self._shown and self._notebook:
            self._notebook.show("")
        elif self._shown:
            print(f"\r{_after('')}", end="", file=sys.stderr, flush=True)
        self._shown = False


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


class _Notebook:
    """One output of the cell of a notebook, whose text is replaced. Printed lines would be kept, each of them."""

    def __init__(self, cell: object) -> None:
        self.cell = cell
        self._output: Any = None

    def show(self, line: str) -> None:
        """Replaces what is shown."""
        content = {"text/plain": line}
        if self._output is None:
            self._output = sys.modules["IPython"].display.display(content, raw=True, display_id=True)
        else:
            self._output.update(content, raw=True)


_CELL: list[_Notebook] = []
"""The output of the cell that was executed last."""


def _notebook() -> _Notebook | None:
    """The output of the present cell, if this process is the kernel of a notebook."""
    ipython: Any = sys.modules.get("IPython")
    shell = ipython and ipython.get_ipython()
    if type(shell).__name__ != "ZMQInteractiveShell":
        return None
    if not _CELL or _CELL[0].cell != shell.execution_count:
        _CELL[:] = [_Notebook(shell.execution_count)]
    return _CELL[0]


def _after(line: str) -> str:
    """What clears the rest of the terminal's line after some text; blanks where the code for that is not known."""
    if os.environ.get("TERM") == "dumb":
        return " " * max(0, shutil.get_terminal_size().columns - 1 - len(line)) + "\r"
    return "\x1b[K"
