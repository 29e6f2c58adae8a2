"""model.json: what an export holds and how to run it. Read and written here; nothing of torch is needed."""

from collections.abc import Mapping
from pathlib import Path
from types import UnionType
from typing import Any

from textvae.runs.files import CONFIG
from textvae.runs.hub import HUB
from textvae.text.base import RowEncoder
from textvae.text.caption_words import CaptionWords
from textvae.text.digit_captions import DigitCaptions
from textvae.text.digit_grammar import SENTENCE_WORDS
from textvae.text.labels import LabelText
from textvae.text.related_words import readings
from textvae.text.scene_grammar import FILLERS, MEANINGS, PHRASES, SceneCaptions
from textvae.utils.errors import UserError
from textvae.utils.files import read_json

FORMAT = "textvae-onnx/1"
SPEC = "model.json"


def read_spec(folder: Path) -> dict[str, Any] | None:
    """model.json of an export; None where the folder holds none, or one that is damaged."""
    spec = _object(folder / SPEC)
    if spec.get("format") != FORMAT:
        return None
    whole = _has(spec, _KEYS) and all(_is_graph(graph) for graph in spec["graphs"].values())
    return spec if whole and (spec["sampling"].get("kind") != "flow" or _has(spec["sampling"], _FLOW_KEYS)) else None


def is_spec(file: Path) -> bool:
    """Whether a file is the model.json of an export, of any version, perhaps damaged in its values."""
    return str(_object(file).get("format")).startswith(FORMAT.partition("/")[0])


def _object(file: Path) -> dict[str, Any]:
    """The object that a JSON file holds; empty if it holds none or cannot be read."""
    try:
        found = read_json(file, 1 << 24)
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


_KEYS: dict[str, type | UnionType] = {
    "name": str,
    "weights": str,
    "image": list,
    "latent": list,
    "text": dict,
    "sampling": dict,
    "graphs": dict,
}
"""What model.json must have."""
_FLOW_KEYS: dict[str, type | UnionType] = {"guidance": float | int, "steps": int, "solver": str, "few_step": bool}
"""What its "sampling" must have for a model with a flow prior."""


def _has(found: Mapping[str, Any], keys: Mapping[str, type | UnionType]) -> bool:
    return all(isinstance(found.get(key), kind) for key, kind in keys.items())


def _is_graph(graph: object) -> bool:
    return isinstance(graph, dict) and isinstance(graph.get("file"), str)


def is_export(model: object) -> bool:
    """Whether this is a folder that ``textvae export`` wrote, and no run folder."""
    if not isinstance(model, str | Path) or str(model).startswith(HUB):
        return False
    return not (Path(model) / CONFIG).exists() and read_spec(Path(model)) is not None


def text_of(encoder: object) -> dict[str, Any]:
    """How a model reads prompts, as plain data that a reader in another language can use.

    Raises:
        UserError: the encoder is a frozen network, which is not exported.
    """
    match encoder:
        case LabelText():
            return {
                "kind": "labels",
                "class_names": list(encoder.class_names),
                "synonyms": [list(words) for words in encoder.synonyms],
                "phrases": {" ".join(words): number for words, number in encoder.phrases.items()},
                "longest": encoder.longest,
            }
        case CaptionWords():
            words = list(encoder.words)
            return {"kind": "words", "words": words, "length": encoder.length, "related": readings(words)}
        case DigitCaptions():
            words = list(SENTENCE_WORDS)
            return {
                "kind": "digits",
                "family": encoder.family,
                "sentence_words": words,
                **_vocabulary(encoder.vocabulary),
            }
        case SceneCaptions():
            grammar = {"phrases": dict(PHRASES), "meanings": dict(MEANINGS), "fillers": list(FILLERS)}
            return {"kind": "scenes", **grammar, **_vocabulary(encoder.vocabulary)}
    raise UserError(
        f"models that read prompts by {getattr(encoder, 'name', type(encoder).__name__)} cannot be exported",
        "export a model that reads labels or learned words: train on a set prepared with --text words",
    )


def text_encoder_of(text: dict[str, Any]) -> RowEncoder:
    """The text encoder that ``text_of`` described.

    Raises:
        UserError: the description is damaged.
    """
    try:
        match text["kind"]:
            case "labels":
                return LabelText(tuple(text["class_names"]), tuple(map(tuple, text["synonyms"])))
            case "words":
                return CaptionWords(tuple(text["words"]), int(text["length"]))
            case "digits":
                return DigitCaptions(str(text["family"]))
            case "scenes":
                return SceneCaptions()
        raise ValueError(f"unknown kind {text['kind']!r}")
    except (LookupError, TypeError, ValueError) as error:
        raise UserError(f"{SPEC} does not say how prompts are read: {error}", "export the model again") from None


def _vocabulary(vocabulary: Any) -> dict[str, Any]:
    return {"words": list(vocabulary.words), "length": vocabulary.length}
