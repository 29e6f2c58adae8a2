import io
import sys
import time

import pytest

from textvae.utils import progress
from textvae.utils.progress import ProgressLine, duration, say, without_notices


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
    monkeypatch.setattr(progress, "TICK_S", 1000.0)
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


LOSSES = {"total": 12.345678, "kl": 3.0, "reconstruction": 12345.6, "perceptual": 1e-7, "auxiliary": 1.0}


def test_a_terminal_shows_bar_percentage_time_left_rate_and_a_loss_in_80_columns(clock, monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with ProgressLine("stage 2 of 2: flow", 1000, "images") as line:
        clock.now = 10.0
        line.show(LOSSES)
        line.advance(250)
        shown = terminal.getvalue().removeprefix("\r").removesuffix("\x1b[K")
        assert len(shown) < 80
        assert shown == "stage 2 of 2: flow  [##------]   25 %  30 s left  25 images/s  total 12.35"
        assert "[#####---------------]" in line.line(110)
        assert "reconstruction 12,346" in line.line(120)
        assert "[" not in line.line(60)
        assert "auxiliary 1" in line.line()
    assert terminal.getvalue().endswith("\r\x1b[K")


@pytest.mark.parametrize("width", [79, 60, 40])
def test_percentage_time_left_and_rate_are_never_left_out(clock, width):
    line = ProgressLine("a title that is far too long for any terminal, and says so at length", 10**6, "images")
    clock.now = 100.0
    line.show(LOSSES)
    line.advance(214)
    shown = line.line(width)
    assert len(shown) <= width
    assert shown.endswith("  0 %  5 d 9 h left  2.1 images/s")


def test_bytes_are_counted_in_megabytes(clock):
    line = ProgressLine("file.zip", 10**9, "bytes")
    clock.now = 2.0
    line.advance(25_000_000)
    assert "12.5 MB/s" in line.line(79)


def test_work_that_is_not_counted_or_has_not_advanced_shows_its_time(clock):
    line = ProgressLine("measuring")
    counted = ProgressLine("sampling", 8, "images")
    clock.now = 75.0
    assert (line.line(79), counted.line(79)) == ("measuring  1 min 15 s", "sampling  1 min 15 s")


def test_the_time_goes_on_while_nothing_is_finished(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr(progress, "DELAY_S", 0.0)
    monkeypatch.setattr(progress, "TICK_S", 0.01)
    with ProgressLine("sampling", 8, "images"):
        deadline = time.monotonic() + 20
        while terminal.getvalue().count("sampling") < 2 and time.monotonic() < deadline:
            time.sleep(0.01)
    assert terminal.getvalue().count("\rsampling  0 s") >= 2


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


def test_of_nested_lines_the_innermost_shows_and_other_lines_clear_it(clock, monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with ProgressLine("outer", 10, "images") as outer:
        clock.now = 5.0
        outer.advance(1)
        with ProgressLine("inner", 10, "images") as inner:
            assert terminal.getvalue().endswith("\r\x1b[K")
            clock.now = 7.0
            inner.advance(5)
            before = terminal.getvalue()
            assert "\rinner   50 %" in before or "\rinner  [####----]   50 %" in before
            outer.advance(1)
            assert terminal.getvalue() == before
        clock.now = 8.0
        outer.advance(3)
        say("a notice")
    assert terminal.getvalue().count("outer") == 2
    assert terminal.getvalue().endswith("\r\x1b[Ka notice\n")


def test_notices_that_were_given_before_are_left_out(capsys):
    with without_notices():
        say("again")
    say("once")
    assert capsys.readouterr().err == "once\n"
