"""Device, precision and number of threads: chosen once, each with a reason that can be printed."""

import contextlib
import ctypes
import os
import platform
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import nn

from textvae.utils.cores import usable_cores
from textvae.utils.errors import UserError
from textvae.utils.processes import place
from textvae.utils.progress import say

Arithmetic = Literal["fp32", "bf16"]
Precision = Literal["auto", "fp32", "bf16"]


@dataclass(frozen=True)
class Execution:
    """Device, precision and threads of a training. They change the last bits of a result, never its meaning."""

    device: torch.device
    precision: Arithmetic
    threads: int
    reasons: tuple[str, ...]
    """One line for each choice that was made automatically."""

    def autocast(self) -> AbstractContextManager[object]:
        """The context in which a model's forward pass runs in training."""
        return autocast(self.device, self.precision)


def autocast(device: torch.device, precision: Arithmetic) -> AbstractContextManager[object]:
    """The context in which networks compute with this precision."""
    if precision == "fp32":
        return contextlib.nullcontext()
    return torch.autocast(device.type, torch.bfloat16)


def choose_execution(device: str = "auto", precision: Precision = "auto", threads: int = 0) -> Execution:
    """Resolves "auto" (and 0 threads) for this machine and applies the number of threads to torch.

    Raises:
        UserError: the device is unknown or not available, or precision or threads are out of range.
    """
    reasons = []
    chosen = choose_device(device)
    if device == "auto":
        reasons.append(f"device {chosen}: {'a CUDA device is there' if chosen.type == 'cuda' else 'no CUDA device'}")
    arithmetic = choose_precision(precision, chosen)
    if precision == "auto":
        reasons.append(f"precision {arithmetic}: {_fastest_precision(chosen)[1]}")
    elif precision == "bf16" and chosen.type == "cpu" and not _has_native_bf16():
        say(
            "warning: this processor has no bf16 instructions: a convolution takes "
            f"{bf16_slowdown():.1f} times as long in bf16 as in fp32; leave out --precision, and the fastest is chosen"
        )
    if not 0 <= threads <= 1024:
        raise UserError(f"{threads} threads are out of range", "choose a number from 1 to 1024, or 0 for all cores")
    if threads == 0:
        threads = _available_cores()
        reasons.append(f"threads {threads}: the cores this process may use")
    torch.set_num_threads(threads)
    if chosen.type == "cpu":
        keep_freed_memory()
    return Execution(chosen, arithmetic, threads, tuple(reasons))


def choose_device(device: str | torch.device = "auto") -> torch.device:
    """The device of that name; "auto" is a CUDA device if there is one, else the CPU.

    "cuda" is the current device; of several processes of a command, each has its own.

    Raises:
        UserError: the device is unknown or not available.
    """
    if not isinstance(device, str | torch.device):
        raise UserError(f"device {device!r} is not a device", 'choose "auto", "cpu", "cuda" or "cuda:N"')
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    _, size, local_rank = place()
    if device == "cuda" and size > 1:
        device = f"cuda:{local_rank}"
    try:
        chosen = torch.device(device)
        torch.empty(1, device=chosen)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        first_line = str(error).splitlines()[0]
        raise UserError(
            f"device {str(device)!r} cannot be used here: {first_line}", "choose the device cpu or auto"
        ) from None
    if chosen.type == "cuda":
        # cuDNN convolves in TF32 by default, which keeps 10 bits of each number: not what fp32 says.
        torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    return chosen


def choose_precision(precision: Precision, device: torch.device) -> Arithmetic:
    """The arithmetic of that name; "auto" is the faster one on the device.

    Raises:
        UserError: there is no such precision.
    """
    if precision == "auto":
        return _fastest_precision(device)[0]
    if precision not in ("fp32", "bf16"):
        raise UserError(f"{precision!r} is not a precision", "choose fp32, bf16 or auto")
    return precision


def _fastest_precision(device: torch.device) -> tuple[Arithmetic, str]:
    if device.type == "cuda":
        if torch.cuda.is_bf16_supported():
            return "bf16", "the GPU multiplies bf16 natively"
        return "fp32", "the GPU has no native bf16"
    features = cpu_features()
    if "amx_bf16" in features:
        return "bf16", "the processor has AMX, about twice as fast as fp32 for convolutions"
    if "avx512_bf16" in features:
        # Zen 4, 2 cores: label-conv 6,700 img/s in fp32 channels_last, 5,600 in bf16.
        return "fp32", "the processor has AVX512-bf16 but no AMX, which is no faster for networks this small"
    return "fp32", "the processor has no bf16 multiplication"


def cpu_features() -> frozenset[str]:
    """Processor feature flags as Linux names them; empty where there is no /proc/cpuinfo."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return frozenset()
    # "flags" on x86, "Features" on ARM.
    return frozenset(next((line.split(":")[1] for line in lines if line.startswith(("flags", "Features"))), "").split())


def _has_native_bf16() -> bool:
    """Whether the processor computes in bf16; where its features are unknown, it is assumed to."""
    features = cpu_features()
    return not features or bool(features & {"amx_bf16", "avx512_bf16", "avx_ne_convert", "bf16"})


def bf16_slowdown() -> float:
    """How many times as long a convolution with its gradient takes on this processor in bf16 as in fp32, measured."""
    images = torch.randn(8, 32, 32, 32).contiguous(memory_format=torch.channels_last)
    layer = nn.Conv2d(32, 32, 3, padding=1).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    seconds = []
    for precision in ("fp32", "bf16"):
        times = []
        for _ in range(3):
            started = time.perf_counter()
            with autocast(torch.device("cpu"), "fp32" if precision == "fp32" else "bf16"):
                total = layer(images).float().sum()
            total.backward()
            times.append(time.perf_counter() - started)
        seconds.append(min(times))
    return seconds[1] / seconds[0]


@contextlib.contextmanager
def subnormals_as_zero() -> Iterator[None]:
    """Within this context, numbers too small for a full mantissa (below 1.2e-38 in fp32) are zero on the CPU.

    Adam's running mean of a gradient that has become zero, as at pixels that are always black, decays to such numbers.
    Intel's processors compute with them many times as slowly: after four epochs label-dense was six times as slow. It
    applies to this thread and to those that it creates; torch's own, if they exist already, are not changed.
    """
    before = bool(torch.tensor(1e-38) * 0.1 == 0)
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(before)


def keep_freed_memory() -> None:
    """Stops glibc from returning the memory of each step's activations to the kernel.

    Without it, label-conv spends a fifth of its training time in page faults. Results do not change. Without glibc,
    nothing is done.
    """
    if platform.libc_ver()[0] != "glibc":
        return
    mmap_threshold, trim_threshold = -3, -1  # mallopt(3)
    mallopt = ctypes.CDLL(None).mallopt
    mallopt(mmap_threshold, 32 << 20)  # the largest value it accepts
    mallopt(trim_threshold, 1 << 30)


def _available_cores() -> int:
    # OMP_NUM_THREADS is the user's choice; torch read it when it was imported.
    if "OMP_NUM_THREADS" in os.environ:
        return torch.get_num_threads()
    return usable_cores()


def to_device(model: nn.Module, device: torch.device) -> None:
    """Moves a model to a device, convolution weights in channels-last layout: the fastest on every device measured."""
    model.to(device)
    for parameter in model.parameters():
        if parameter.dim() == 4:
            # contiguous() would do nothing for one channel, where both layouts are the same: the convolution then
            # returns channels-first, and every other layer converts (an eighth of label-conv's time).
            parameter.data = parameter.data.to(memory_format=torch.channels_last)
