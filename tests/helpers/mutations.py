"""Mutated files: bits flipped, parts cut out, repeated or overwritten; values of JSON replaced by hostile ones."""

import json
import random
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from textvae.utils.errors import UserError

HOSTILE: tuple[Any, ...] = (
    None, True, -1, 0, 1, 2**31, 2**63, 10**30, 1e308, float("nan"), float("inf"), "", "\0", "\ud800", "\x1b[2J",
    "../../x", "a" * 10_000, [], {}, [[]], [None], {"a": {}}, [0] * 1000,
)  # fmt: skip
LEAST = 10
"""Cases of each kind of file, however slow the machine is."""
CASE_S = 30
"""A case that takes more processor time hangs."""


def mutated(content: bytes, chance: random.Random) -> bytes:
    """The content after one to four mutations; most of them near its start, where formats have their headers."""
    changed = bytearray(content)
    for _ in range(chance.randint(1, 4)):
        if not changed:
            break
        span = len(changed) if chance.random() < 0.5 else min(len(changed), 256)
        at = chance.randrange(span)
        match chance.randrange(6):
            case 0:
                changed[at] ^= 1 << chance.randrange(8)
            case 1:
                del changed[at:]
            case 2:
                del changed[at : at + chance.randint(1, 64)]
            case 3:
                changed[at:at] = changed[at : at + chance.randint(1, 64)]
            case 4:
                size = chance.choice((1, 2, 4, 8))
                changed[at : at + size] = chance.choice((b"\xff", b"\0", b"\x7f", b"\x80", b"9")) * size
            case 5:
                changed[at : at + 8] = chance.randbytes(8)
    return bytes(changed)


def mutated_json(content: bytes, chance: random.Random) -> bytes:
    """JSON, or lines of JSON, of which some values or names are replaced; or mutated bytes."""
    if chance.random() < 0.3:
        return mutated(content, chance)
    lines = content.decode().splitlines() if content.count(b"\n{") else [content.decode()]
    at = chance.randrange(len(lines))
    value = json.loads(lines[at])
    for _ in range(chance.randint(1, 3)):
        value = _replaced(value, chance)
    lines[at] = json.dumps(value)
    return "\n".join(lines).encode("utf-8", "surrogatepass")


def _replaced(value: Any, chance: random.Random) -> Any:
    if isinstance(value, dict) and value and chance.random() < 0.9:
        key = chance.choice(list(value))
        if chance.random() < 0.1:
            return {name: item for name, item in value.items() if name != key}
        return {**value, key: _replaced(value[key], chance)}
    if isinstance(value, list) and value and chance.random() < 0.8:
        at = chance.randrange(len(value))
        return [*value[:at], _replaced(value[at], chance), *value[at + 1 :]]
    return chance.choice(HOSTILE)


def attack(
    name: str,
    content: bytes,
    mutate: Callable[[bytes, random.Random], bytes],
    read: Callable[[bytes], object],
    seconds: float,
) -> dict[str, int]:
    """Reads mutated contents, ``LEAST`` or until the time is over: each must be read, or refused with a ``UserError``.

    Returns:
        How many were "read" and "refused".
    """  # fmt: skip
    counts = {"read": 0, "refused": 0}
    began, before = time.monotonic(), memory()
    while time.monotonic() - began < seconds or sum(counts.values()) < LEAST:
        seed = f"{name} {sum(counts.values())}"
        try:
            with _alarm(seed):
                read(mutate(content, random.Random(seed)))
            counts["read"] += 1
        except UserError:
            counts["refused"] += 1
        except Exception as error:
            raise AssertionError(f"{seed}: {type(error).__name__}: {error}") from error
    assert memory() - before < 1_500_000_000, f"{name} took {memory() - before:,} bytes"
    return counts


def memory() -> int:
    """The most memory that this process has taken, in bytes."""
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) * 1024


@contextmanager
def _alarm(seed: str) -> Iterator[None]:
    def hangs(*_: object) -> None:
        raise TimeoutError(f"{seed} took more than {CASE_S} s")

    before = signal.signal(signal.SIGPROF, hangs)
    signal.setitimer(signal.ITIMER_PROF, CASE_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
