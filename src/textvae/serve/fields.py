"""The fields of a request, read and checked one by one."""

import json
import math
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from textvae.pipeline import TextToImage
from textvae.serve.limits import APIError, Limits

FORMATS = {"png": "PNG", "jpeg": "JPEG", "webp": "WEBP"}
"""Output formats, and Pillow's names of them."""
IGNORED = (
    "background", "input_fidelity", "moderation", "output_compression", "partial_images", "quality", "style", "user",
)  # fmt: skip
"""Fields of OpenAI's API that mean nothing to these models. Other unknown fields are errors."""
COMMON = ("prompt", "model", "n", "size", "response_format", "output_format", "stream", "seed", "guidance_scale")
MAX_SEED = 2**62 - 1
MISSING: Any = object()


def parsed_json(body: bytes) -> Mapping[str, Any]:
    """The JSON object of a body.

    Raises:
        APIError: it is none.
    """

    def refuse(constant: str) -> None:
        raise ValueError(f"{constant} is not JSON")

    try:
        fields = json.loads(body, parse_constant=refuse)
    except (ValueError, RecursionError) as error:
        raise APIError(400, f"the body cannot be read as JSON: {error}") from None
    if not isinstance(fields, dict):
        raise APIError(400, "the body is not a JSON object")
    return fields


@dataclass(frozen=True)
class Fields:
    """The fields of a JSON object, or of a form, where numbers are text. Fields that are null count as left out."""

    values: Mapping[str, Any]
    form: bool = False

    def allow_only(self, names: Sequence[str]) -> None:
        """Checks the names of all fields.

        Raises:
            APIError: one is not known.
        """
        for name in self.values:
            if name not in names and name not in IGNORED:
                known = ", ".join(names)
                raise APIError(400, f"there is no field {name[:80]!r}; fields: {known}", name[:80], "unknown_parameter")

    def text(self, name: str, default: Any = MISSING, limit: int = 200) -> Any:
        """A text.

        Raises:
            APIError: it is missing without a default, not a text, or too long.
        """
        value = self._value(name, default)
        if value is default:
            return value
        if not isinstance(value, str):
            raise APIError(400, f"{name} is not a text", name)
        try:
            value.encode()
        except UnicodeEncodeError:  # half of a surrogate pair, as "\ud800" in JSON
            raise APIError(400, f"{name} is not valid Unicode", name) from None
        if len(value) > limit:
            raise APIError(400, f"{name} has {len(value)} characters, at most {limit} are read", name, "too_long")
        return value

    def choice(self, name: str, choices: Sequence[str]) -> str:
        """One of several words; the first is the default.

        Raises:
            APIError: it is another.
        """
        value: str = self.text(name, choices[0])
        if value not in choices:
            raise APIError(400, f"{name} is {value!r}; choose one of: {', '.join(choices)}", name)
        return value

    def integer(self, name: str, low: int, high: int, default: int | None) -> Any:
        """An integer in [low, high].

        Raises:
            APIError: it is another, or no integer.
        """
        value = self._number(name, int, default)
        if value is not default and not low <= value <= high:
            raise APIError(400, f"{name} is {value}; choose an integer from {low} to {high}", name)
        return value

    def number(self, name: str) -> float | None:
        """A finite number, or None where it is left out.

        Raises:
            APIError: it is none.
        """
        value = self._number(name, float, None)
        if value is not None and not math.isfinite(value):
            raise APIError(400, f"{name} is not finite", name)
        return None if value is None else float(value)

    def _number(self, name: str, kind: type[int] | type[float], default: int | None) -> Any:
        value = self._value(name, default)
        if value is default:
            return value
        if self.form and isinstance(value, str) and len(value) <= 30:
            try:
                return kind(value)
            except ValueError:
                value = None
        if isinstance(value, bool) or not isinstance(value, (int, kind)) or abs(value) > 2**64:
            raise APIError(400, f"{name} is not {'an integer' if kind is int else 'a number'}", name)
        return value

    def _value(self, name: str, default: Any) -> Any:
        value = self.values.get(name)
        if value is not None:
            return value
        if default is MISSING:
            raise APIError(400, f"{name} is missing", name, "missing_parameter")
        return default


@dataclass(frozen=True)
class Asked:
    """The fields that generation and edits share."""

    model: str
    prompt: str
    seeds: tuple[int, ...]
    """One for each image."""
    guidance_scale: float | None
    output_format: str


def asked(fields: Fields, models: Mapping[str, TextToImage], limits: Limits) -> Asked:
    """Reads the fields that generation and edits share.

    Args:
        fields: of the request.
        models: by name; the first is the default.
        limits: of the server.

    Raises:
        APIError: a field is wrong, or there is no such model.
    """
    model = fields.text("model", next(iter(models)))
    if model not in models:
        raise APIError(404, f"there is no model {model!r}; models: {', '.join(models)}", "model", "model_not_found")
    prompt = fields.text("prompt", limit=limits.prompt_characters)
    count = fields.integer("n", 1, limits.images, 1)
    own = size_of(models[model])
    size = fields.text("size", "auto")
    if size not in ("auto", own):
        raise APIError(400, f"size is {size!r}; {model} draws images of {own}: leave size out", "size")
    fields.choice("response_format", ["b64_json"])
    if fields.values.get("stream") not in (None, False, "false"):
        raise APIError(400, "images are not streamed", "stream")
    seed = fields.integer("seed", 0, MAX_SEED - count + 1, None)
    first = secrets.randbelow(2**32) if seed is None else seed
    return Asked(
        model,
        prompt,
        tuple(range(first, first + count)),
        fields.number("guidance_scale"),
        fields.choice("output_format", list(FORMATS)),
    )


def size_of(model: TextToImage) -> str:
    """Width and height of a model's images, as OpenAI's API writes them."""
    _, height, width = model.model.image_shape
    return f"{width}x{height}"
