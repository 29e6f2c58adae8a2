"""What the verbs share: how arguments are read, what comes back."""

import dataclasses
from collections.abc import Callable
from typing import Annotated, Any, Literal

import tyro

Result = dict[str, Any]
"""What a verb found: printed as JSON with --json, else rendered by the verb's own printer."""

Model = Annotated[str, tyro.conf.Positional]


def parsed(verb: str, options: Callable[..., Any], arguments: list[str]) -> Any:
    """What ``options`` returns, called with what stands on the command line."""
    return tyro.cli(options, prog=f"textvae {verb}", args=arguments)


@dataclasses.dataclass(frozen=True)
class ExecutionOptions:
    """How to compute."""

    device: str = "auto"
    """auto, cpu, cuda or cuda:N."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """Of the network's arithmetic in training; auto chooses by processor and says why."""
    threads: int = 0
    """CPU threads; 0 takes the cores this process may use."""


def opened(model: str, device: str) -> tuple[Any, Any]:
    """The run of a model, and what draws with it."""
    from textvae.pipeline import TextToImage
    from textvae.runs.run import open_run
    from textvae.utils.device import choose_execution

    run = open_run(model)
    return run, TextToImage.load(run, choose_execution(device).device)


def rendered(renderable: Any) -> str:
    """A table of rich as text."""
    from rich.console import Console

    console = Console(width=120)
    with console.capture() as capture:
        console.print(renderable)
    return capture.get().rstrip()
