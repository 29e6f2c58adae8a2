import io
import os
import pty
import select
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image

from textvae.cli.conversation import HELP, Conversation, converse, history_file
from textvae.utils.errors import UserError
from textvae.utils.images import read_metadata

calls: list[tuple[str, int, int]] = []


def draw(prompt: str, num_images: int, seed: int) -> list[Image.Image]:
    calls.append((prompt, num_images, seed))
    if prompt == "nine plus nine":
        raise UserError("that is 18: no digit", "ask for less")
    return [Image.new("L", (8, 8), 100)] * num_images


@pytest.fixture(autouse=True)
def _forget():
    calls.clear()


def test_piped(tmp_path, capsys, monkeypatch):
    typed = io.StringIO("nine minus two\n\n  nine plus nine \n:n 2\n:seed 7\nfive\n:again\nquit\nsix\n")
    monkeypatch.setattr(sys, "stdin", typed)
    talk = converse(draw, tmp_path, metadata={"model": "fake"})
    assert calls == [
        ("nine minus two", 4, 0),
        ("nine plus nine", 4, 0),
        ("five", 2, 7),
        ("five", 2, 9),
    ]
    out, err = capsys.readouterr()
    assert out.splitlines() == [
        f"{tmp_path / '0001-nine-minus-two.png'}  (seed 0 to 3)",
        "2 images a prompt",
        "seed 7",
        f"{tmp_path / '0002-five.png'}  (seed 7 to 8)",
        f"{tmp_path / '0003-five.png'}  (seed 9 to 10)",
    ]
    assert err == "that is 18: no digit; ask for less\n"
    assert talk.errors == 1
    assert [path.name for path in talk.files] == ["0001-nine-minus-two.png", "0002-five.png", "0003-five.png"]
    assert read_metadata(talk.files[1]) == {"model": "fake", "prompt": "five", "seed": "7", "num_images": "2"}


def test_bytes_that_are_no_utf_8_and_numbers_without_end_are_answered(tmp_path, capsys, monkeypatch):
    typed = b"a \xff dress\n:seed " + b"9" * 5000 + b"\n:n " + b"9" * 5000 + b"\nfive\n"
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(typed), encoding="ascii"))
    talk = converse(draw, tmp_path)
    assert [prompt for prompt, _, _ in calls] == ["a \ufffd dress", "five"]
    assert talk.errors == 2
    assert ":seed 7, from 0 up to 2^62" in capsys.readouterr().err


def test_no_file_is_overwritten(tmp_path):
    (tmp_path / "12345-old.png").touch()
    (tmp_path / "notes-.png").touch()
    talk = Conversation(draw, tmp_path)
    talk.answer("§§")
    assert talk.files[0].name == "12346-image.png"


def test_pictures_where_the_terminal_can(tmp_path):
    talk = Conversation(draw, tmp_path, shows_images=True, num_images=1)
    assert "▀" in talk.answer("five")
    assert talk.answer(":help") == HELP


@pytest.mark.parametrize("line", [":n", ":n 0", ":n 65", ":n x", ":n ²", ":seed -1", ":seed", ":again", ":what", ":"])
def test_commands_that_are_none(tmp_path, line):
    with pytest.raises(UserError, match="not a command"):
        Conversation(draw, tmp_path).answer(line)


def test_a_folder_that_can_not_be(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot be written"):
        Conversation(draw, tmp_path / "file").answer("five")


SCRIPT = """
import sys
from pathlib import Path
from PIL import Image
from textvae.cli.conversation import converse
def draw(prompt, num_images, seed):
    if prompt == "interrupt":
        raise KeyboardInterrupt
    return [Image.new("L", (8, 8), 100)] * num_images
converse(draw, Path(sys.argv[1]))
"""


@pytest.mark.slow
def test_in_a_terminal(tmp_path):
    outside, inside = pty.openpty()
    environment = {**os.environ, "TERM": "xterm-256color", "XDG_STATE_HOME": str(tmp_path / "state")}
    environment.pop("NO_COLOR", None)
    with subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(tmp_path / "out")],
        stdin=inside,
        stdout=inside,
        stderr=inside,
        env=environment,
        start_new_session=True,
    ) as process:
        os.close(inside)
        shown = b""

        def until(sign: bytes, times: int = 1) -> None:
            nonlocal shown
            deadline = time.monotonic() + 120
            while shown.count(sign) < times:
                assert select.select([outside], [], [], max(0.0, deadline - time.monotonic()))[0], shown
                shown += os.read(outside, 4096)

        # Keys only ever at a prompt: an end of input that comes before the line editor is lost on it.
        try:
            until(b"> ")
            os.write(outside, b"nine minus two\n")
            until(b"0001-nine-minus-two.png  (seed 0 to 3)")
            until(b"> ", 2)
            os.write(outside, b"interrupt\n")
            until(b"interrupted")
            until(b"> ", 3)
            # Up, up: the line before the last.
            os.write(outside, b"\x1b[A\x1b[A\n")
            until(b"0002-nine-minus-two.png")
            until(b"> ", 4)
            os.write(outside, b"\x04")
            assert process.wait(120) == 0
        finally:
            process.kill()  # or leaving would wait for it
    os.close(outside)
    assert "▀".encode() in shown
    history = (tmp_path / "state" / "textvae" / "chat_history").read_text()
    assert "nine minus two" in history


def test_history_file(monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", "/state")
    assert history_file() == Path("/state/textvae/chat_history")
