"""The pool of worker processes that a preparation runs its tasks in. Imports no torch: decoding needs none."""

import multiprocessing
import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from multiprocessing.connection import wait
from typing import TypeVar

Task = TypeVar("Task")


def run_tasks(
    function: Callable[[Task], None],
    tasks: Sequence[Task],
    workers: int,
    prepare: Callable[[], None] | None = None,
) -> Iterator[None]:
    """Calls the function with each task, in worker processes, and yields after each call, in the order of the tasks.

    Args:
        function: of a module, so that another process finds it.
        tasks: arguments of the calls.
        workers: processes; with one worker, or one task, the calls are made in this process.
        prepare: called once in each worker process before its first task.
    """
    workers = min(workers, len(tasks))
    if workers <= 1:
        for task in tasks:
            function(task)
            yield
        return
    # Spawned: forking a process that has computed with torch may hang, and only some systems can fork.
    pool = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), _start_worker, (prepare,))
    pending: deque[Future[None]] = deque()
    try:
        for task in tasks:
            pending.append(pool.submit(function, task))
            # The queue stays short: all tasks together are as large as the data.
            if len(pending) > 2 * workers:
                pending.popleft().result()
                yield
        while pending:
            pending.popleft().result()
            yield
    finally:
        pool.shutdown(cancel_futures=True)


def _start_worker(prepare: Callable[[], None] | None) -> None:
    """Leaves Ctrl-C to the parent process, and ends with it however that ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:

        def follow() -> None:
            wait([parent.sentinel])
            os._exit(1)

        threading.Thread(target=follow, daemon=True).start()
    if prepare is not None:
        prepare()
    sys.stdout.flush()
