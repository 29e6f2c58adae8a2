"""``textvae chat``: type captions, get pictures, in the terminal and on disk."""

import contextlib
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

from textvae.cli.terminal import Graphics, best_graphics, show
from textvae.utils.errors import UserError
from textvae.utils.images import grid, save_image

HELP = """\
Type what to draw. Also:
  :n 4       pictures a caption
  :seed 7    of the first picture; the others count on
  :again     the last caption once more, with the seeds that follow
  :help      this
  :q         leave, as do Ctrl-D, quit and exit"""


Draw = Callable[[str, int, int], list[Image.Image]]
"""What a chat needs of a model: (prompt, num_images, seed) to pictures, as ``TextToImage`` does."""


@dataclass
class Chat:
    """A conversation: what was drawn, and the settings that ``:n`` and ``:seed`` change."""

    draw: Draw
    folder: Path
    """Where the PNG files go, a row of pictures for each caption."""
    num_images: int = 4
    seed: int = 0
    facts: Mapping[str, str] = field(default_factory=dict)
    """About the model, for the PNG's text chunks; prompt and seed are added."""
    graphics: Graphics = "none"
    columns: int = 80
    """Width of the terminal in characters."""
    files: list[Path] = field(default_factory=list)
    """Written so far."""
    errors: int = 0
    """Lines that could not be answered."""
    last: str = ""

    def answer(self, line: str) -> str:
        """The reply to one line: pictures as text and the file's name, or a command's result.

        Raises:
            UserError: the line can't be drawn or understood, or the file can't be written.
        """
        words = line.split()
        if words[0].startswith(":"):
            return self._obey(words[0], words[1:])
        pictures = self.draw(line, self.num_images, self.seed)
        self.last = line
        path = self._save(line, pictures)
        self.files.append(path)
        seeds = f"{self.seed}" + (f" to {self.seed + len(pictures) - 1}" if len(pictures) > 1 else "")
        shown = show(pictures, self.graphics, self.columns)
        return (f"{shown}\n" if shown else "") + f"{path}  (seed {seeds})"

    def _obey(self, command: str, arguments: list[str]) -> str:
        match command, arguments:
            case ":help", []:
                return HELP
            case ":n", [number] if number.isdecimal() and 1 <= int(number) <= 64:
                self.num_images = int(number)
                return f"{number} pictures a caption"
            case ":seed", [number] if number.isdecimal() and int(number) < 2**62:
                self.seed = int(number)
                return f"seed {number}"
            case ":again", [] if self.last:
                self.seed += self.num_images
                return self.answer(self.last)
        known = {":n": ":n 4, from 1 to 64", ":seed": ":seed 7, from 0 up to 2^62", ":again": "a caption first"}
        raise UserError(f'"{" ".join([command, *arguments])}" is no command', known.get(command, ":help lists them"))

    def _save(self, caption: str, pictures: list[Image.Image]) -> Path:
        name = re.sub(r"[^a-z0-9]+", "-", caption.casefold()).strip("-")[:60].strip("-")
        facts = {**self.facts, "prompt": caption, "seed": str(self.seed), "num_images": str(len(pictures))}
        # Numbers continue those of earlier chats in the folder, so that no file is overwritten.
        numbers = [path.name.partition("-")[0] for path in self.folder.glob("*-*.png")]
        taken = [int(number) for number in numbers if number.isdecimal()]
        path = self.folder / f"{max(taken, default=0) + 1:04d}-{name or 'caption'}.png"
        save_image(grid([pictures]), path, facts)
        return path


def chat(
    draw: Draw,
    folder: Path,
    num_images: int = 4,
    seed: int = 0,
    facts: Mapping[str, str] | None = None,
) -> Chat:
    """Answers line after line until the end of input, "quit", "exit" or ":q"; returns what became of it.

    A user's mistake is one line on stderr, and the chat goes on. Where input comes from a pipe there is no prompt and
    no greeting; where output goes into one, the names of the files and no pictures.

    Args:
        draw: the model.
        folder: where each caption's pictures go, as one PNG.
        num_images: pictures a caption.
        seed: of each caption's first picture.
        facts: about the model, for the PNG's text chunks.
    """
    interactive = sys.stdin.isatty() and sys.stdout.isatty()
    talk = Chat(draw, folder, num_images, seed, facts or {}, best_graphics())
    if interactive:
        print(f'Pictures go to {folder}. :help for commands; Ctrl-D or "quit" to leave.', flush=True)
    with _history() if interactive else contextlib.nullcontext():
        for line in _lines(interactive):
            if line in ("quit", "exit", ":q", ":quit", ":exit"):
                break
            talk.columns = shutil.get_terminal_size().columns
            try:
                print(talk.answer(line), flush=True)
            except UserError as error:
                talk.errors += 1
                print(f"{error.cause}; {error.cure}", file=sys.stderr, flush=True)
            except KeyboardInterrupt:
                if not interactive:
                    raise
                print("interrupted", file=sys.stderr, flush=True)
    return talk


def history_file() -> Path:
    """Where the lines of earlier chats are kept: ``textvae/chat_history`` in the user's state folder."""
    base = os.environ.get("XDG_STATE_HOME") or os.environ.get("LOCALAPPDATA")
    return (Path(base) if base else Path.home() / ".local" / "state") / "textvae" / "chat_history"


def _lines(interactive: bool) -> Iterator[str]:
    """Lines that hold something, stripped."""
    if not interactive:
        yield from filter(None, map(str.strip, sys.stdin))
        return
    while True:
        try:
            line = input("> ").strip()
        except EOFError:
            print()
            return
        except KeyboardInterrupt:
            # Ctrl-C throws the line away, as in a shell.
            print()
            continue
        if line:
            yield line


@contextlib.contextmanager
def _history() -> Iterator[None]:
    """Arrow keys for ``input``, with the lines of earlier chats; a history that can't be kept is no reason to stop."""
    try:
        import readline
    except ImportError:
        yield
        return
    path = history_file()
    readline.clear_history()
    with contextlib.suppress(OSError):
        readline.read_history_file(path)
    try:
        yield
    finally:
        readline.set_history_length(1000)
        with contextlib.suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            readline.write_history_file(path)
