import io
import sys

import pytest

from textvae.utils import progress
from textvae.utils.progress import ProgressLine, duration, say


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Clock:
    now = 0.0

    def perf_counter(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(progress, "time", clock)
    return clock


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.0, "0 s"),
        (46.2, "46 s"),
        (60.0, "1 min"),
        (725.0, "12 min 5 s"),
        (46717.0, "12 h 58 min"),
        (3600.0, "1 h"),
        (3605.0, "1 h"),
        (183600.0, "2 d 3 h"),
    ],
)
def test_durations_are_read_at_a_glance(seconds, words):
    assert duration(seconds) == words


def test_a_terminal_shows_percentage_time_left_rate_and_losses_in_80_columns(clock, monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with ProgressLine("latent-flow-flowers, flow", 1000, "images") as line:
        clock.now = 10.0
        line.show({"total": 12.345678, "kl": 3.0, "reconstruction": 9.5, "perceptual": 1e-7, "auxiliary": 1.0})
        line.advance(250)
        shown = terminal.getvalue().removeprefix("\r").removesuffix("\x1b[K")
        assert len(shown) < 80
        assert shown.startswith("latent-flow-flowers, flow   25 %  30 s left  25 images/s  total 12.35")
        assert "auxiliary" not in shown
        assert "25 %  30 s left" in line.line(30)
        assert "auxiliary 1" in line.line()
    assert terminal.getvalue().endswith("\r\x1b[K")


def test_short_work_shows_nothing(clock, monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with ProgressLine("quick", 10, "images") as line:
        clock.now = 0.5
        line.advance(10)
    assert terminal.getvalue() == ""


def test_a_file_gets_a_line_now_and_then(clock, capsys):
    with ProgressLine("work", 100, "images") as line:
        for _ in range(100):
            clock.now += 1
            line.advance(1)
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        "work   30 %  1 min 10 s left  1 images/s",
        "work   60 %  40 s left  1 images/s",
        "work   90 %  10 s left  1 images/s",
    ]


def test_an_inner_line_is_silent_and_other_lines_clear_it(clock, monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with ProgressLine("outer", 10, "images") as outer:
        with ProgressLine("inner", 10, "images") as inner:
            clock.now = 5.0
            inner.advance(5)
        assert terminal.getvalue() == ""
        outer.advance(5)
        say("a notice")
    assert "inner" not in terminal.getvalue()
    assert terminal.getvalue().endswith("\r\x1b[Ka notice\n")
