"""The words of a prompt that a text encoder understood, read back from its condition."""

from typing import Any

from torch import Tensor

from textvae.text.base import NONE
from textvae.text.caption_words import CaptionWords
from textvae.text.labels import LabelText
from textvae.text.vocabulary import END, Vocabulary


def understood(text: Any, prompt: str, condition: Tensor) -> str:
    """Returns the part of a prompt that reached the model.

    The name of the class where a model knows classes, the known words where it has a vocabulary, "none" where nothing
    was understood. Encoders that read parts of words (MiniLM, CLIP) understand the whole prompt.

    Args:
        text: the model's text encoder.
        prompt: what was encoded.
        condition: the encoding of the prompt alone, without an axis for the batch.
    """
    if not condition.any():
        return NONE
    if isinstance(text, LabelText):
        return text.class_names[int(condition.argmax())]
    if isinstance(text, CaptionWords):
        return " ".join(text.words[token - 1] for token in condition.tolist() if token)
    vocabulary = text if isinstance(text, Vocabulary) else getattr(text, "vocabulary", None)
    if isinstance(vocabulary, Vocabulary):
        return " ".join(vocabulary.words[token - END - 1] for token in condition.tolist() if token > END)
    return prompt
