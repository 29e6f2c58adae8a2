"""The dialogue of ``textvae chat``: a prompt a line in, images in the terminal and in files out."""

import contextlib
import io
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

from textvae.cli.output import file_stem
from textvae.cli.terminal import show, shows_images
from textvae.utils.errors import UserError
from textvae.utils.images import grid, save_image
from textvae.utils.printable import printable

HELP = """\
Type a prompt. Commands:
  :n 4       images for each prompt
  :seed 7    random seed of the first image; the others count up from it
  :again     repeat the last prompt with the next seeds
  :help      show this list
  :q         leave, as do Ctrl-D, quit and exit"""


Draw = Callable[[str, int, int], list[Image.Image]]
"""(prompt, num_images, seed) to images, as ``TextToImage`` does."""


@dataclass
class Conversation:
    """What was generated so far, and the settings that ``:n`` and ``:seed`` change."""

    draw: Draw
    folder: Path
    """Where the image files go, one for each prompt."""
    num_images: int = 4
    seed: int = 0
    metadata: Mapping[str, str] = field(default_factory=dict)
    """Of the model, stored in each file beside prompt and seed."""
    shows_images: bool = False
    """Whether the terminal can show images."""
    columns: int = 80
    """Width of the terminal in characters."""
    files: list[Path] = field(default_factory=list)
    """Written so far."""
    errors: int = 0
    """Lines that could not be answered."""
    last: str = ""

    def answer(self, line: str) -> str:
        """The answer to one line: images as text and the file's name, or the result of a command.

        Raises:
            UserError: the line is not understood, or the file cannot be written.
        """
        words = line.split()
        if words[0].startswith(":"):
            return self._command(words[0], words[1:])
        pictures = self.draw(line, self.num_images, self.seed)
        self.last = line
        path = self._save(line, pictures)
        self.files.append(path)
        seeds = f"{self.seed}" + (f" to {self.seed + len(pictures) - 1}" if len(pictures) > 1 else "")
        shown = show(pictures, self.columns) if self.shows_images else ""
        return (f"{shown}\n" if shown else "") + f"{path}  (seed {seeds})"

    def _command(self, command: str, arguments: list[str]) -> str:
        match command, arguments:
            case ":help", []:
                return HELP
            case ":n", [number] if number.isdecimal() and len(number) < 3 and 1 <= int(number) <= 64:
                self.num_images = int(number)
                return f"{number} images a prompt"
            case ":seed", [number] if number.isdecimal() and len(number) < 20 and int(number) < 2**62:
                self.seed = int(number)
                return f"seed {number}"
            case ":again", [] if self.last:
                self.seed += self.num_images
                return self.answer(self.last)
        known = {":n": ":n 4, from 1 to 64", ":seed": ":seed 7, from 0 up to 2^62", ":again": "a prompt first"}
        raise UserError(f'"{" ".join([command, *arguments])}" is not a command', known.get(command, ":help lists them"))

    def _save(self, prompt: str, pictures: list[Image.Image]) -> Path:
        # Numbers continue those of earlier chats in the folder, so that no file is overwritten.
        numbers = [path.name.partition("-")[0] for path in self.folder.glob("*-*.png")]
        taken = [int(number) for number in numbers if number.isdecimal()]
        path = self.folder / f"{max(taken, default=0) + 1:04d}-{file_stem(prompt)}.png"
        metadata = {**self.metadata, "prompt": prompt, "seed": str(self.seed), "num_images": str(len(pictures))}
        save_image(grid([pictures]), path, metadata)
        return path


def converse(
    draw: Draw,
    folder: Path,
    num_images: int = 4,
    seed: int = 0,
    metadata: Mapping[str, str] | None = None,
) -> Conversation:
    """Answers line after line until the end of input, "quit", "exit" or ":q".

    An error of the user is one line on stderr, and the chat continues. Where input comes from a pipe there is no prompt
    and no greeting; where output goes into one, the names of the files and no images.

    Args:
        draw: the model.
        folder: where the image files go, one for each prompt.
        num_images: images for each prompt.
        seed: random seed of the first image for each prompt.
        metadata: of the model, stored in each file.
    """
    interactive = sys.stdin.isatty() and sys.stdout.isatty()
    talk = Conversation(draw, folder, num_images, seed, metadata or {}, shows_images())
    if interactive:
        print(f'Images are saved in {folder}. :help lists the commands; Ctrl-D or "quit" leaves.', flush=True)
    with _history() if interactive else contextlib.nullcontext():
        for line in _lines(interactive):
            if line in ("quit", "exit", ":q", ":quit", ":exit"):
                break
            talk.columns = shutil.get_terminal_size().columns
            try:
                print(talk.answer(line), flush=True)
            except UserError as error:
                talk.errors += 1
                print(printable(f"{error.cause}; {error.cure}"), file=sys.stderr, flush=True)
            except KeyboardInterrupt:
                if not interactive:
                    raise
                print("interrupted", file=sys.stderr, flush=True)
    return talk


def history_file() -> Path:
    """The file of the lines of earlier chats: ``textvae/chat_history`` in the user's state folder."""
    base = os.environ.get("XDG_STATE_HOME") or os.environ.get("LOCALAPPDATA")
    return (Path(base) if base else Path.home() / ".local" / "state") / "textvae" / "chat_history"


def _lines(interactive: bool) -> Iterator[str]:
    """Lines that are not blank, stripped."""
    if not interactive:
        if isinstance(sys.stdin, io.TextIOWrapper):
            sys.stdin.reconfigure(encoding="utf-8", errors="replace")
        yield from filter(None, map(str.strip, sys.stdin))
        return
    while True:
        try:
            line = input("> ").strip()
        except EOFError:
            print()
            return
        except KeyboardInterrupt:
            # Ctrl-C discards the line, as in a shell.
            print()
            continue
        if line:
            yield line


@contextlib.contextmanager
def _history() -> Iterator[None]:
    """Arrow keys for ``input``, with the lines of earlier chats; a history that cannot be written is ignored."""
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
