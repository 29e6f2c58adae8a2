"""An exported model, run by ONNX Runtime and numpy alone: torch is not imported.

The page in the browser has the same pipeline in JavaScript (serve/page/pipeline.js). The same prompt, seed and settings
give the same picture, to a grey level, as ``TextToImage`` on the model that was exported.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textvae.exported.spec import SPEC, read_spec, text_encoder_of
from textvae.utils.errors import UserError
from textvae.utils.philox import normals
from textvae.utils.progress import ProgressLine

Array = NDArray[np.float32]
Velocity = Callable[[Array, float], Array]

BATCH = 16
"""Pictures drawn together."""


class OnnxModel:
    """An exported model."""

    def __init__(self, spec: dict[str, Any], sessions: dict[str, Any]) -> None:
        """``spec`` is model.json, ``sessions`` an ``onnxruntime.InferenceSession`` for each of its graphs."""
        self.spec = spec
        self.text = text_encoder_of(spec["text"])
        self._sessions = sessions

    @property
    def is_flow(self) -> bool:
        """Whether it has a flow prior: guidance, steps, and an encoder for edits."""
        return bool(self.spec["sampling"]["kind"] == "flow")

    @classmethod
    def load(cls, folder: str | Path, threads: int = 0) -> "OnnxModel":
        """Opens a folder that ``textvae export`` wrote.

        Args:
            folder: holds model.json and the graphs.
            threads: CPU threads; 0 takes all cores.

        Raises:
            UserError: the folder holds no export, a graph is missing or damaged, or onnxruntime is not installed.
        """
        try:
            import onnxruntime
        except ImportError:
            raise UserError("exported models need the package onnxruntime", "pip install 'textvae[export]'") from None
        folder = Path(folder)
        spec = read_spec(folder)
        if spec is None:
            raise UserError(
                f"{folder} holds no exported model: it has no valid {SPEC}", "textvae export MODEL writes one"
            )
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        sessions = {}
        for name, graph in spec["graphs"].items():
            # A name, not a path: a file from a stranger must not lead out of the folder.
            file = folder / Path(graph["file"]).name
            try:
                sessions[name] = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
            except Exception as error:  # onnxruntime has a class of its own for each kind of damage
                first = str(error).splitlines()[0]
                raise UserError(f"{file} cannot be loaded: {first}", "export the model again") from None
        return cls(spec, sessions)

    def draw(
        self,
        conditions: NDArray[Any],
        seeds: Sequence[int],
        guidance_scale: float | None = None,
        steps: int | None = None,
        negative: NDArray[Any] | None = None,
    ) -> NDArray[np.uint8]:
        """One image for each condition and seed: [n, height, width, channels], 0 to 255.

        Raises:
            UserError: a number is out of range, or the model takes no such option.
        """
        if not self.is_flow and not (guidance_scale is None and steps is None and negative is None):
            raise UserError(
                f"{self.spec['name']} takes neither a guidance scale nor steps nor a negative prompt",
                "leave them out",
            )
        noise, images = normals(list(seeds), tuple(self.spec["latent"])), []
        with ProgressLine("sampling", len(noise), "images") as progress:
            for start in range(0, len(noise), BATCH):
                batch, condition = noise[start : start + BATCH], conditions[start : start + BATCH]
                if self.is_flow:
                    latent = self._latents(batch, condition, guidance_scale, steps, negative)
                    images.append(self.run("decode", latent=latent, condition=condition))
                else:
                    images.append(self.run("draw", noise=batch, condition=condition))
                progress.advance(len(batch))
        found: NDArray[np.uint8] = np.rint(np.concatenate(images).clip(0, 1) * 255).astype(np.uint8)
        return np.moveaxis(found, 1, 3)

    def _latents(
        self,
        noise: Array,
        condition: NDArray[Any],
        guidance: float | None,
        steps: int | None,
        negative: NDArray[Any] | None,
    ) -> Array:
        own = self.spec["sampling"]
        guidance = own["guidance"] if guidance is None else guidance
        steps = own["steps"] if steps is None else steps
        if not (0 <= guidance <= 20 and 1 <= steps <= 50):
            raise UserError(
                f"guidance scale {guidance:g} or {steps} steps out of range",
                "choose a scale from 0 to 20 and 1 to 50 steps",
            )
        n = len(noise)

        def full(number: float) -> Array:
            return np.full(n, number, np.float32)

        few = own["few_step"] and guidance == own["guidance"] and negative is None
        if few and steps <= own["steps"] and steps & (steps - 1) == 0:
            features = self.features(condition)
            x: Any = noise
            for step in range(steps):
                x = x + self.velocity(x, full(step / steps), full(1 / steps), features) / np.float32(steps)
            return np.asarray(x)
        rows = [condition]
        # A scale that the network reads takes one evaluation, as FlowPrior.guided_velocity has it.
        if negative is not None or not 1 <= guidance <= max(1, own.get("guidance_input", 0)):
            against = np.zeros_like(condition) if negative is None else np.broadcast_to(negative, condition.shape)
            rows.append(against)
        found = self.features(np.concatenate(rows))
        features = found.reshape(len(rows), n, *found.shape[1:])
        return _solve(
            lambda x, t: self._guided(x, full(t), full(0.0), features, guidance),
            noise,
            steps,
            own["solver"],
            own.get("spacing", 1.0),
        )

    def features(self, condition: NDArray[Any]) -> Array:
        """Features of conditions as ``velocity`` takes them: [n, features] or [n, words, features]."""
        if self.spec["text"]["kind"] == "words":
            condition = condition[:, : max(1, int((condition != 0).sum(1).max()))]
        return self.run("words", condition=condition)

    def velocity(self, x: Array, time: Array, stride: Array, features: Array, guidance: Array | None = None) -> Array:
        """The velocity of standardised latents, as the network itself computes it.

        ``guidance`` is the guidance scale, the same in all rows; None is no guidance.
        """
        return self._guided(x, time, stride, features[None], 1.0 if guidance is None else float(guidance[0]))

    def _guided(self, x: Array, time: Array, stride: Array, features: Array, guidance: float) -> Array:
        """The velocity; ``features`` are those of the prompt, or of the prompt and of what to move away from."""
        return self.run(
            "step", x=x, time=time, stride=stride, features=features, guidance=np.array(guidance, np.float32)
        )

    def run(self, name: str, **inputs: NDArray[Any]) -> Array:
        """The output of a graph; inputs that it does not take are ignored."""
        session = self._sessions[name]
        wanted = {one.name: np.ascontiguousarray(inputs[one.name]) for one in session.get_inputs()}
        found: Array = session.run(None, wanted)[0]
        return found


def _solve(velocity: Velocity, x: Any, steps: int, solver: str, spacing: float) -> Array:
    """Follows dx/dt = velocity(x, t) from 0 to 1, as ``textvae.priors.flow.solvers.solve`` does for tensors."""
    before, length = None, 1.0
    for now, after in pairwise((step / steps) ** spacing for step in range(steps + 1)):
        h = np.float32(after - now)
        first = velocity(x, now)
        if solver == "multistep":
            past = np.float32(0.5 * (after - now) / length)
            x = x + h * (first if before is None else (1 + past) * first - past * before)
            before, length = first, after - now
        elif solver == "midpoint":
            x = x + h * velocity(x + np.float32(0.5) * h * first, (now + after) / 2)
        else:
            x = x + np.float32(0.5) * h * (first + velocity(x + h * first, after))
    return np.asarray(x)
