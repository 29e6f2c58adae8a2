"""Several processes of one command, forked from a program that has imported textvae, as torchrun would start them.

Run as a program, it serves commands on the tiny data one after another; any of their processes can be killed.
"""

import contextlib
import json
import math
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from torch.distributed import TCPStore

from helpers import tiny

PATIENCE_S = 200
"""How long the processes of a command may take."""
GRACE_S = 5
"""After a process failed, the others are asked to end, as torchrun does at once: some may still wait for it to join."""


def commands(folder: Path, cases: Sequence[dict[str, Any]], **environment: str) -> Iterator[dict[str, Any]]:
    """Runs commands one after another, each by several processes.

    Args:
        folder: for the errors of the processes.
        cases: "words" of the command, the number of "processes", and perhaps which to "kill", "after" how many seconds.
        environment: of the processes.

    Yields:
        For each case "codes" (one a process; negative: the signal), "stdout" and "stderr" (of each process).
    """
    yield from tiny.answers(__file__, [str(folder), list(cases)], environment)


def forked(
    size: int, work: Callable[[], object], folder: Path, kill: int | None = None, after: float = 0.0
) -> list[int]:
    """The exit codes of processes that do some work under the variables of torchrun; one may be killed on the way."""
    # As torchrun does, the parent keeps the store, which outlives its processes.
    store = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    children = []
    for rank in range(size):
        child = os.fork()
        if child == 0:
            os.environ |= {"RANK": str(rank), "WORLD_SIZE": str(size), "LOCAL_RANK": str(rank)}
            os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(store.port)}
            os.environ["TORCHELASTIC_USE_AGENT_STORE"] = "True"
            for stream in (1, 2):
                opened = os.open(folder / f"{stream}.{rank}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
                os.dup2(opened, stream)
            code = 1
            try:
                work()
                code = 0
            except SystemExit as done:
                code = int(done.code or 0)
            except BaseException:
                traceback.print_exc()
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(code)
        children.append(child)
    return _waited_for(children, kill, after)


def _waited_for(children: Sequence[int], kill: int | None = None, after: float = 0.0) -> list[int]:
    """The exit codes of forked processes, of which one is killed on the way."""
    codes: dict[int, int] = {}
    started = time.monotonic()
    failed: float | None = None
    while len(codes) < len(children):
        passed = time.monotonic() - started
        if kill is not None and passed >= after:
            with contextlib.suppress(ProcessLookupError):
                if children[kill] not in codes:
                    os.kill(children[kill], signal.SIGKILL)
            kill = None
        if any(codes.values()) and failed is None:
            failed = passed
        if failed is not None and passed > failed + GRACE_S:
            for child in set(children) - codes.keys():
                os.kill(child, signal.SIGTERM)
            failed = math.inf
        if passed > PATIENCE_S:
            for child in set(children) - codes.keys():
                os.kill(child, signal.SIGKILL)
        for child in set(children) - codes.keys():
            found, status = os.waitpid(child, os.WNOHANG)
            if found:
                codes[child] = os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    return [codes[child] for child in children]


def _serve() -> None:
    from textvae import cli

    tiny.in_this_process()
    folder, cases = Path(json.loads(sys.argv[1])[0]), json.loads(sys.argv[1])[1]
    for case in cases:
        work = partial(cli.main, case["words"])
        codes = forked(case["processes"], work, folder, case.get("kill"), case.get("after", 0.0))
        told = [[(folder / f"{stream}.{rank}").read_text() for rank in range(len(codes))] for stream in (1, 2)]
        print(json.dumps({"codes": codes, "stdout": told[0], "stderr": told[1]}), flush=True)


if __name__ == "__main__":
    _serve()
