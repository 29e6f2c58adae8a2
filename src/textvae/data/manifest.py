"""What a prepared set declares of itself in its ``manifest.json``, and a run trained on it in its ``config.json``."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from textvae.text.embedding_length import EmbeddingLength
from textvae.utils.errors import UserError
from textvae.utils.files import read_json
from textvae.utils.printable import printable

MANIFEST = "manifest.json"

MOST_MANIFEST_BYTES = 1 << 24

MOST_SIDE = 1024
"""Pixels a side of the largest pictures that are prepared."""

TextName = Literal["words", "sentence", "sentence-tokens", "clip", "clip-tokens", "pair"]
"""What ``textvae data prepare --text`` takes. "words" stores captions only, for models that learn to read."""
ImageName = Literal["efficientnet", "pair", "clip"]
"""What ``textvae data prepare --image-encoder`` takes."""
TextKind = Literal["words", "pooled", "tokens"]
"""What is stored of each caption: its words alone, one vector, or a vector for each token."""

TEXT_KINDS: Mapping[str, TextKind] = {
    "words": "words",
    "sentence": "pooled",
    "sentence-tokens": "tokens",
    "clip": "pooled",
    "clip-tokens": "tokens",
    "pair": "pooled",
}


@dataclass(frozen=True)
class TextContents:
    """The stored conditions of a set's captions."""

    name: str
    """Of the encoder, such as "sentence-tokens"."""
    identity: str
    """Of the encoder and its weights; empty for "words"."""
    kind: TextKind
    shape: tuple[int, ...]
    """Of one condition: (width,) or (tokens, width); empty for "words"."""
    weights: str = ""
    """Where the encoder's weights were read from, if that was a choice: a CLIP model, or the run folder of a pair."""
    length: EmbeddingLength = "unit"
    """Of pooled embeddings."""

    @property
    def width(self) -> int:
        """Numbers in one vector; 0 for "words"."""
        return self.shape[-1] if self.shape else 0


@dataclass(frozen=True)
class ImageContents:
    """The stored embeddings of a set's images."""

    name: str
    """Of the encoder, such as "efficientnet"."""
    identity: str
    width: int
    """Numbers in one embedding."""


@dataclass(frozen=True)
class SetContents:
    """What a prepared set holds: all that decides which recipes fit it and how they read it."""

    name: str
    """Of the set, as on the command line."""
    source: str
    """The photograph set that it was prepared from: a name in ``catalog.PHOTOGRAPHS``, or that of a user's folder."""
    side: int
    """Pixels a side."""
    text: TextContents
    image: ImageContents | None = None
    features: bool = False
    """Whether the images' embeddings stand in the place of their pixels."""

    def to_dict(self) -> dict[str, Any]:
        """As ``config.json`` has it; ``from_dict`` reads it."""
        return {
            "source": self.source,
            "side": self.side,
            "text": {**vars(self.text), "shape": list(self.text.shape)},
            "image": None if self.image is None else dict(vars(self.image)),
            "features": self.features,
        }

    @classmethod
    def from_dict(cls, name: str, values: Mapping[str, Any]) -> "SetContents":
        """Reads what ``to_dict`` wrote.

        Raises:
            ValueError, KeyError, TypeError: the values are not of that form.
        """
        image = values["image"]
        return cls(
            name,
            _typed(str, values["source"]),
            _size(values["side"], MOST_SIDE),
            _text(values["text"], values["text"]["shape"]),
            None if image is None else _image(image, image["width"]),
            _typed(bool, values["features"]),
        )


def read_manifest(folder: Path) -> dict[str, Any]:
    """manifest.json, checked for what every reader relies on.

    Raises:
        UserError: it cannot be read.
    """
    try:
        manifest: dict[str, Any] = read_json(folder / MANIFEST, MOST_MANIFEST_BYTES)
        check_manifest(manifest)
        return manifest
    except (OSError, ValueError, KeyError, TypeError, LookupError, AttributeError) as error:
        raise UserError(
            f"{folder / MANIFEST} cannot be read: {error!r:.200}", "Prepare the set again with --overwrite"
        ) from None


def check_manifest(manifest: dict[str, Any]) -> None:
    """Checks what every reader relies on, and makes the texts of a manifest printable.

    Raises:
        ValueError, LookupError, TypeError, AttributeError: it is damaged.
    """
    for key, kind in {"source": dict, "splits": dict, "text": dict, "side": int, "command": str}.items():
        if not isinstance(manifest[key], kind):
            raise ValueError(f"{key} is of the wrong kind")
    for key in ("name", "title", "home", "terms"):
        manifest["source"][key] = printable(_typed(str, manifest["source"].get(key, "")))
    for facts in manifest["splits"].values():
        if facts["images"] is None:
            raise ValueError("images has no shape")
        for array in ("images", "text", "image"):
            if (shape := facts.get(array)) is not None and any(type(size) is not int for size in shape):
                raise ValueError(f"{array} has no shape of integers")
        _typed(int, facts.get("captions", 0))
        _typed(str, facts.get("fingerprint", ""))
    contents_of("", manifest)


def contents_of(name: str, manifest: Mapping[str, Any], features: bool = False) -> SetContents:
    """What a manifest declares. Manifests written before kinds and shapes were declared have them in other places:
    the kind follows from the encoder's name, a shape is that of the stored arrays.

    Raises:
        ValueError, LookupError, TypeError: the manifest is damaged.
    """
    text, image = manifest["text"], manifest.get("image")
    arrays: Mapping[str, Any] = next(iter(manifest["splits"].values()), {})
    shape = text.get("shape", arrays.get("text", [0])[1:])
    seen = None if image is None else _image(image, image.get("width") or arrays["image"][1])
    return SetContents(
        name, str(manifest["source"]["name"]), _size(manifest["side"], MOST_SIDE), _text(text, shape), seen, features
    )


class OfManifest:
    """What a data source with a manifest says of the photographs that it was prepared from."""

    manifest: dict[str, Any]

    @property
    def home(self) -> str:
        """The source's."""
        return str(self.manifest["source"]["home"])

    @property
    def terms(self) -> str:
        """The source's."""
        return str(self.manifest["source"]["terms"])


def _text(values: Mapping[str, Any], shape: Any) -> TextContents:
    name = _typed(str, values["name"])
    kind: Any = values.get("kind") or TEXT_KINDS.get(name)
    if kind not in get_args(TextKind):
        raise ValueError(f"the text encoder {name!r} gives no known kind of conditions")
    sizes = tuple(_size(size) for size in shape)
    if len(sizes) != {"words": 0, "pooled": 1, "tokens": 2}[kind]:
        raise ValueError(f"conditions of shape {list(sizes)} are not {kind}")
    length: Any = values.get("length", "unit")  # of all sets that were prepared before there was a choice
    if length not in get_args(EmbeddingLength):
        raise ValueError(f"{length!r} is no length of embeddings")
    weights = _typed(str, values.get("weights", ""))
    return TextContents(name, _typed(str, values["identity"]), kind, sizes, weights, length)


def _image(values: Mapping[str, Any], width: Any) -> ImageContents:
    return ImageContents(_typed(str, values["name"]), _typed(str, values["identity"]), _size(width))


def _size(value: Any, most: int = 1 << 16) -> int:
    size: int = _typed(int, value)
    if not 1 <= size <= most:
        raise ValueError(f"the size {size} is out of range")
    return size


def _typed(kind: type[Any], value: Any) -> Any:
    if type(value) is not kind:
        raise ValueError(f"{value!r} is a {type(value).__name__}, not a {kind.__name__}")
    return value
