"""Where and how precisely to compute: chosen once, printed with the reason."""

import contextlib
import ctypes
import os
import platform
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import nn

from textvae.utils.errors import UserError
from textvae.utils.progress import say

Arithmetic = Literal["fp32", "bf16"]
Precision = Literal["auto", "fp32", "bf16"]


@dataclass(frozen=True)
class Execution:
    """How a run is carried out. It changes the last bits of a result, never its meaning."""

    device: torch.device
    precision: Arithmetic
    threads: int
    reasons: tuple[str, ...]
    """One line for each choice, for people."""

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
        UserError: the device does not exist here.
    """
    reasons = []
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
        reasons.append(f"device {device}: {'a CUDA device is there' if device == 'cuda' else 'no CUDA device'}")
    try:
        chosen = torch.device(device)
        torch.empty(1, device=chosen)
    except (RuntimeError, AssertionError) as error:
        first_line = str(error).splitlines()[0]
        raise UserError(
            f"device {device!r} can't be used here: {first_line}", "choose --device cpu or --device auto"
        ) from None

    if precision == "auto":
        precision, reason = _fastest_precision(chosen)
        reasons.append(f"precision {precision}: {reason}")
    elif precision == "bf16" and chosen.type == "cpu" and not _has_native_bf16():
        say(
            "warning: this processor has no bf16 instructions, so that bf16 is emulated and many times slower than "
            "fp32; --precision auto chooses what is fastest"
        )

    if threads == 0:
        threads = _available_cores()
        reasons.append(f"threads {threads}: the cores this process may use")
    torch.set_num_threads(threads)
    if chosen.type == "cpu":
        keep_freed_memory()
    return Execution(chosen, precision, threads, tuple(reasons))


def _fastest_precision(device: torch.device) -> tuple[Arithmetic, str]:
    if device.type == "cuda":
        if torch.cuda.is_bf16_supported():
            return "bf16", "the GPU multiplies bf16 natively"
        return "fp32", "the GPU has no native bf16"
    features = cpu_features()
    if "amx_bf16" in features:
        return "bf16", "the processor has AMX, about twice as fast as fp32 for our convolutions"
    if "avx512_bf16" in features:
        # Zen 4, 2 cores: label-conv 6,700 img/s in fp32 channels_last, 5,600 in bf16.
        return "fp32", "the processor has AVX512-bf16 but no AMX, which gains nothing for networks this small"
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


def keep_freed_memory() -> None:
    """Stops glibc from returning each step's activations to the kernel, which hands them out again page by page.

    Without it, label-conv spends a fifth of its training in page faults. Values do not change. Elsewhere: nothing.
    """
    if platform.libc_ver()[0] != "glibc":
        return
    mmap_threshold, trim_threshold = -3, -1  # mallopt(3)
    mallopt = ctypes.CDLL(None).mallopt
    mallopt(mmap_threshold, 32 << 20)  # the most it takes
    mallopt(trim_threshold, 1 << 30)


def _available_cores() -> int:
    # OMP_NUM_THREADS is the user's word on the matter; torch has read it at import.
    if "OMP_NUM_THREADS" in os.environ:
        return torch.get_num_threads()
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def to_device(model: nn.Module, device: torch.device) -> None:
    """Moves a model to a device, convolution weights in channels-last layout: the fastest on all we measured."""
    model.to(device)
    for parameter in model.parameters():
        if parameter.dim() == 4:
            # Not contiguous(): with one channel it finds both layouts fulfilled and does nothing, the convolution then
            # answers in channels-first, and every layer above and below converts (an eighth of label-conv's time).
            parameter.data = parameter.data.to(memory_format=torch.channels_last)
