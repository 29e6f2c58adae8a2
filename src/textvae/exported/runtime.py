"""An exported model in use, by ONNX Runtime and numpy alone: torch is not imported.

The page in the browser has the same pipeline in JavaScript (serve/page/pipeline.js). The same prompt, seed and settings
give the same picture, to a grey level, as ``TextToImage`` on the model that was exported.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from textvae.exported.spec import SPEC, read_spec, text_encoder_of
from textvae.utils.errors import UserError
from textvae.utils.philox import normals

Array = NDArray[np.float32]
Velocity = Callable[[Array, float], Array]

BATCH = 16
"""Pictures drawn together."""


class OnnxTextToImage:
    """An exported text-to-image model.

    >>> pictures = OnnxTextToImage.load("exports/fashion")("a dress", num_images=4, seed=0)
    """

    def __init__(self, spec: dict[str, Any], sessions: dict[str, Any]) -> None:
        """``spec`` is model.json, ``sessions`` an ``onnxruntime.InferenceSession`` for each of its graphs."""
        self.spec = spec
        self.text = text_encoder_of(spec["text"])
        self._sessions = sessions

    @classmethod
    def load(cls, folder: str | Path, threads: int = 0) -> "OnnxTextToImage":
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

    def __call__(
        self,
        prompt: str | Sequence[str],
        num_images: int = 1,
        seed: int = 0,
        guidance_scale: float | None = None,
        steps: int | None = None,
        negative_prompt: str | None = None,
    ) -> list[Image.Image]:
        """Pictures of one prompt or several, ``num_images`` each, prompt by prompt.

        Args:
            prompt: what to draw.
            num_images: pictures per prompt.
            seed: of the first picture of each prompt; the others count on.
            guidance_scale: classifier-free guidance scale; default: the model's.
            steps: sampling steps; default: the model's.
            negative_prompt: what to move away from.

        Raises:
            UserError: a prompt cannot be read, a number is out of range, or the model takes no such option.
        """
        prompts = [prompt] if isinstance(prompt, str) else list(prompt)
        if num_images < 1 or not prompts:
            raise UserError(f"{num_images} pictures of {len(prompts)} prompts", "ask for at least one picture")
        conditions = np.repeat(self.text.rows(prompts), num_images, axis=0)
        against = None if negative_prompt is None else self.text.rows([negative_prompt])
        seeds = [seed + number for _ in prompts for number in range(num_images)]
        pixels = self.draw(conditions, seeds, guidance_scale, steps, against)
        return [Image.fromarray(image.squeeze(2) if image.shape[2] == 1 else image) for image in pixels]

    def draw(
        self,
        conditions: NDArray[Any],
        seeds: Sequence[int],
        guidance_scale: float | None = None,
        steps: int | None = None,
        negative: NDArray[Any] | None = None,
    ) -> NDArray[np.uint8]:
        """One image for each condition and seed: [n, height, width, channels], 0 to 255."""
        noise = normals(list(seeds), tuple(self.spec["latent"]))
        images = self.images(noise, conditions, guidance_scale, steps, negative)
        pixels: NDArray[np.uint8] = np.rint(images.clip(0, 1) * 255).astype(np.uint8).transpose(0, 2, 3, 1)
        return pixels

    def images(
        self,
        noise: Array,
        conditions: NDArray[Any],
        guidance_scale: float | None = None,
        steps: int | None = None,
        negative: NDArray[Any] | None = None,
    ) -> Array:
        """One image in [0, 1] for each row of standard normal noise and condition: [n, channels, height, width].

        Raises:
            UserError: a number is out of range, or the model takes no such option.
        """
        sampling = self.spec["sampling"]
        if sampling["kind"] != "flow" and not (guidance_scale is None and steps is None and negative is None):
            raise UserError(
                f"{self.spec['name']} takes neither a guidance scale nor steps nor a negative prompt",
                "leave them out",
            )
        images = []
        for start in range(0, len(noise), BATCH):
            batch, condition = noise[start : start + BATCH], conditions[start : start + BATCH]
            if sampling["kind"] == "flow":
                latent = self._latents(batch, condition, guidance_scale, steps, negative)
                images.append(self._run("decode", latent=latent, condition=condition))
            else:
                images.append(self._run("draw", noise=batch, condition=condition))
        return np.concatenate(images)

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
        few = own["few_step"] and guidance == own["guidance"] and negative is None
        if few and steps <= own["steps"] and steps & (steps - 1) == 0:
            features = self._features(condition)[None]
            x: Any = noise
            for step in range(steps):
                x = x + self._velocity(x, step / steps, 1 / steps, features, 1.0) / np.float32(steps)
            return np.asarray(x)
        rows = [condition]
        if guidance != 1 or negative is not None:
            against = np.zeros_like(condition) if negative is None else np.broadcast_to(negative, condition.shape)
            rows.append(against)
        found = self._features(np.concatenate(rows))
        features = found.reshape(len(rows), n, *found.shape[1:])
        return _solve(lambda x, t: self._velocity(x, t, 0.0, features, guidance), noise, steps, own["solver"])

    def _features(self, condition: NDArray[Any]) -> Array:
        if self.spec["text"]["kind"] == "words":
            condition = condition[:, : max(1, int((condition != 0).sum(1).max()))]
        return self._run("words", condition=condition)

    def _velocity(self, x: Array, time: float, stride: float, features: Array, guidance: float) -> Array:
        n = len(x)
        return self._run(
            "step",
            x=x,
            time=np.full(n, time, np.float32),
            stride=np.full(n, stride, np.float32),
            features=features,
            guidance=np.float32(guidance),
        )

    def _run(self, name: str, **inputs: Any) -> Array:
        session = self._sessions[name]
        wanted = {one.name: np.ascontiguousarray(inputs[one.name]) for one in session.get_inputs()}
        found: Array = session.run(None, wanted)[0]
        return found


def _solve(velocity: Velocity, x: Any, steps: int, solver: str) -> Array:
    """Follows dx/dt = velocity(x, t) from 0 to 1, as ``textvae.priors.flow.solvers.solve`` does for tensors."""
    h, before = np.float32(1 / steps), None
    for step in range(steps):
        now = step / steps
        first = velocity(x, now)
        if solver == "multistep":
            x = x + h * (first if before is None else np.float32(1.5) * first - np.float32(0.5) * before)
            before = first
        elif solver == "midpoint":
            x = x + h * velocity(x + np.float32(0.5) * h * first, now + 0.5 * float(h))
        else:
            x = x + np.float32(0.5) * h * (first + velocity(x + h * first, now + float(h)))
    return np.asarray(x)
