"""The processes that torchrun started for one command, and what they tell one another.

One process is the first: it alone writes files and prints. All others compute their share and are silent. Under
anything but torchrun there is one process, which is the first.
"""

import atexit
import contextlib
import datetime
import os
from collections.abc import Callable, Iterator
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

from textvae.utils.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor
    from torch.distributed import Store

T = TypeVar("T")

TIMEOUT = datetime.timedelta(minutes=30)
"""How long a process waits for the others before it gives up: the first one may be measuring or drawing."""
_VARIABLES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")
"""What torchrun tells each process, in its environment."""


def place() -> tuple[int, int, int]:
    """The number of this process, the number of processes, and the number of this process on its host."""
    if any(variable not in os.environ for variable in _VARIABLES):
        return 0, 1, 0
    try:
        rank, size, local = (int(os.environ[variable]) for variable in _VARIABLES[:3])
    except ValueError:
        return 0, 1, 0
    return rank, size, local


def on_this_host() -> int:
    """The number of processes of the command on this host."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", place()[1]))


def is_first() -> bool:
    """Whether this process is the first, which alone writes and prints."""
    return place()[0] == 0


class Processes:
    """The processes of a command; this class is that of a command with a single one.

    Every process calls the same methods in the same order.
    """

    def __init__(self, rank: int = 0, size: int = 1) -> None:
        """``rank`` is the number of this process, from 0, of ``size``."""
        self.rank, self.size, self.first = rank, size, rank == 0

    def add(self, numbers: "Tensor") -> None:
        """Replaces numbers by their sum over all processes, which is the same to the bit in each.

        Repeated with the same numbers at the same places, the sum has the same bits. Above two processes, the order in
        which a number is added up depends on its place in the tensor.
        """

    def from_first(self, make: Callable[[], T]) -> T:
        """What ``make`` returns in the first process; the others do not call it."""
        return make()

    def gather(self, value: T) -> list[T]:
        """The values of all processes, in their order."""
        return [value]

    def deal(self, count: int, make: Callable[[int], T]) -> list[T]:
        """What ``make`` returns for each number below ``count``, in their order, in every process.

        The numbers are dealt out in turn, so the first process is about as far as all are.
        """
        dealt = self.gather([make(number) for number in range(self.rank, count, self.size)])
        return [dealt[number % self.size][number // self.size] for number in range(count)]

    def in_turn(self, make: Callable[[], T]) -> T:
        """What ``make`` returns; the first process of a host calls it before the others, as where files are fetched."""
        return make()

    def wait(self) -> None:
        """Waits for all processes."""


class SeveralProcesses(Processes):
    """The processes of a command under torchrun: gloo between CPUs, NCCL between GPUs."""

    def __init__(self, store: "Store", rank: int, size: int, local_rank: int) -> None:
        import torch
        from torch import distributed

        super().__init__(rank, size)
        self._local_rank = local_rank
        if torch.cuda.is_available():
            # The ring is the only algorithm of NCCL whose order of additions is the same every time.
            os.environ.setdefault("NCCL_ALGO", "Ring")
            torch.cuda.set_device(local_rank % torch.cuda.device_count())
        with _lost_process():
            distributed.init_process_group(
                "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo",
                store=distributed.PrefixStore("group", store),
                rank=rank,
                world_size=size,
                timeout=TIMEOUT,
            )
        atexit.register(distributed.destroy_process_group)

    def add(self, numbers: "Tensor") -> None:
        """One all-reduce."""
        from torch import distributed

        with _lost_process():
            distributed.all_reduce(numbers)

    def from_first(self, make: Callable[[], T]) -> T:
        """A broadcast of the pickled value; only processes of the same command can send one."""
        from torch import distributed

        values: list[Any] = [make() if self.first else None]
        with _lost_process():
            distributed.broadcast_object_list(values, device=_cpu())
        value: T = values[0]
        return value

    def gather(self, value: T) -> list[T]:
        """An all-gather of pickled values."""
        from torch import distributed

        values: list[Any] = [None] * self.size
        with _lost_process():
            distributed.all_gather_object(values, value)
        return values

    def in_turn(self, make: Callable[[], T]) -> T:
        """The first process of each host, then the others."""
        if self._local_rank == 0:
            made = make()
        self.wait()
        if self._local_rank != 0:
            made = make()
        return made

    def wait(self) -> None:
        """An exchange of nothing."""
        self.gather(None)


def _cpu() -> Any:
    import torch

    return torch.device("cpu")


@cache
def processes() -> Processes:
    """The processes of this command; the first call waits until all are there.

    Raises:
        UserError: they do not find one another.
    """
    rank, size, local_rank = place()
    return Processes() if size == 1 else SeveralProcesses(_store(), rank, size, local_rank)


def speaks() -> bool:
    """Whether this process should print the error that ends it: the first one to ask does.

    The others end by the same error, or because that process has ended.
    """
    if place()[1] == 1:
        return True
    try:
        return bool(_store().add("errors", 1) == 1)
    except (RuntimeError, UserError):
        return is_first()  # torchrun itself has ended


@cache
def _store() -> "Store":
    """The key-value store that torchrun keeps for its processes."""
    from torch import distributed

    with _lost_process():
        store, _, _ = next(distributed.rendezvous("env://", timeout=TIMEOUT))
    # The store outlives the processes: those of a restart must not find the addresses of the processes before them.
    return distributed.PrefixStore(f"textvae/{os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}", store)


@contextlib.contextmanager
def _lost_process() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:  # of gloo, of NCCL, or of the store; torch has no narrower class for all of them
        first_line = str(error).partition("\n")[0][:120]
        raise UserError(
            f"another process of this command has ended, or cannot be reached ({first_line})",
            "the same command resumes what was saved; torchrun --max-restarts 3 starts it again by itself",
        ) from None
