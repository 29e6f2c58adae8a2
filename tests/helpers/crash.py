"""``textvae`` commands that kill themselves at a chosen file-system event; run as a program, it serves such commands.

Every opening for writing, flush, rename, deletion and change of permissions below the folder in question is an event,
and the process can be killed before any of them. Instead of being killed, it can find the disk full from then on, or
the folder read-only, or be unable to write files above some size. The program imports textvae once and forks for each
command.
"""

import contextlib
import errno
import hashlib
import json
import os
import resource
import signal
import sys
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from helpers import tiny

EVENTS = ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.chmod")
CREATING = ("open", "os.rename", "os.mkdir", "fsync")
"""What fails on a full disk; deleting does not."""
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC


def crashes(
    words: Sequence[object], folder: Path, cases: Sequence[Sequence[int]], how: str = "killed", **environment: str
) -> Iterator[dict[str, Any]]:
    """Runs a command on the tiny data in a fresh folder, for each case: cut off at each of its numbers, then complete.

    ``how`` it is cut off: "killed" at the event of that number; a "full" disk from that event on; "denied" all writing;
    or "limited" to files of that many bytes.

    Yields for each case "codes" (one a process; negative: the signal), "events" (of the last process), "files" (name
    and SHA-256 of what is in the folder at the end) and "stderr" (one a process).
    """
    asked = [list(map(str, words)), str(folder), [list(case) for case in cases], how]
    yield from tiny.answers(__file__, asked, environment)


def _counted(folder: Path, at: int | None, how: str, log: Path) -> None:
    """Notes each event from now on, and cuts this process off before the one that has number ``at``."""
    if how == "limited" and at is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (at, at))
        return
    events: list[str] = []

    def happens(event: str, path: object) -> None:
        if isinstance(path, int):
            path = os.readlink(f"/proc/self/fd/{path}")
        place = Path(os.fsdecode(path))  # type: ignore[arg-type]
        if folder != place and folder not in place.parents:
            return
        if how == "killed" and len(events) == at:
            os.kill(os.getpid(), signal.SIGKILL)
        if how == "full" and at is not None and len(events) >= at and event in CREATING:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(place))
        if how == "denied" and at is not None:
            raise OSError(errno.EACCES, os.strerror(errno.EACCES), str(place))
        events.append(f"{event} {place.relative_to(folder)}")
        log.write_text(json.dumps(events))

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open" and isinstance(arguments[0], str | bytes | Path):
            if arguments[2] & WRITING:
                happens("open", arguments[0])
        elif event in EVENTS:
            happens(event, arguments[1] if event == "os.rename" else arguments[0])

    plain = os.fsync

    def fsync(file: Any) -> None:
        happens("fsync", file if isinstance(file, int) else file.fileno())
        plain(file)

    os.fsync = fsync  # type: ignore[assignment]
    sys.addaudithook(watch)


def _in_a_child(words: list[str], folder: Path, at: int | None, how: str) -> tuple[int, list[str], str]:
    """Exit code (negative: the signal), events and stderr of one command."""
    from textvae import cli

    log, errors = folder.with_name(f"{folder.name}.events"), folder.with_name(f"{folder.name}.stderr")
    log.write_text("[]")
    child = os.fork()
    if child == 0:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        os.dup2(os.open(errors, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
        _counted(folder, at, how, log)
        code = 1
        try:
            cli.main(words)
        except SystemExit as done:
            code = int(done.code or 0)
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(code)
    status = os.waitpid(child, 0)[1]
    return os.waitstatus_to_exitcode(status), json.loads(log.read_text()), errors.read_text()


def _serve() -> None:
    import shutil

    from textvae import cli
    from textvae.preparation import builder

    words, name, cases, how = json.loads(sys.argv[1])
    tiny.in_this_process()
    builder.IMAGES_A_CHUNK = int(os.environ.get("TINY_CHUNK", "256"))
    folder = Path(name)
    # Run once here, so that no child has to import what the command imports when it is needed.
    warm = folder.with_name(f"{folder.name}.warm")
    with Path(os.devnull).open("w") as nowhere, contextlib.redirect_stdout(nowhere), contextlib.suppress(SystemExit):
        cli.main([word.replace(name, str(warm)) for word in words])
    for case in cases:
        shutil.rmtree(folder, ignore_errors=True)
        codes, events, stderr = [], [], []
        for at in [*case, None]:
            code, events, errors = _in_a_child(words, folder, at, how)
            codes.append(code)
            stderr.append(errors)
        files = {
            str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        }
        print(json.dumps({"codes": codes, "events": events, "files": files, "stderr": stderr}), flush=True)


if __name__ == "__main__":
    _serve()
