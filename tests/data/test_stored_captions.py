"""Captions in an array of bytes read like a list, and a training keeps none of them in memory."""

from dataclasses import replace

import pytest
import torch

from textvae.data.captioned_images import CaptionedImages
from textvae.data.stored_captions import READ_AT_ONCE, StoredCaptions, stored
from textvae.recipes.conditions import training_conditions, with_captions
from textvae.recipes.resolve import resolve
from textvae.utils import memory
from textvae.utils.errors import UserError

TEXTS = ["a red boat", "", "ein grünes Haus", "青い家", "a red house"]


def images(captions: list[str], name: str = "coco-mini-64-words") -> CaptionedImages:
    """An image for each caption, and one more for the first."""
    start = torch.cat([torch.arange(len(captions)), torch.zeros(1, dtype=torch.int64)])
    pixels = torch.zeros(len(start), 3, 64, 64, dtype=torch.uint8)
    return CaptionedImages(name, "train", pixels, captions, torch.stack([start, start + 1], 1))


def test_they_read_like_the_list() -> None:
    found = stored(TEXTS)
    assert list(found) == TEXTS
    assert [found[number] for number in range(-5, 5)] == TEXTS * 2
    for place in (slice(None), slice(1, 4), slice(3, 1), slice(None, None, 2), slice(-2, None), slice(None, None, -1)):
        assert found[place] == TEXTS[place]
    with pytest.raises(IndexError):
        found[5]
    many = [str(number) for number in range(READ_AT_ONCE + 3)]
    assert list(stored(many)) == many
    assert list(stored([])) == []


@pytest.mark.parametrize("ends", [[5, 3, 8], [-1, 3, 8], [3, 5, 9], [3, 5, 7]])
def test_ends_that_do_not_fit_are_refused(ends) -> None:
    with pytest.raises(ValueError, match="caption"):
        StoredCaptions(torch.zeros(8, dtype=torch.uint8), torch.tensor(ends))


def test_the_same_captions_have_the_same_fingerprint_and_are_joined_in_a_file(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("TEXTVAE_CACHE", str(tmp_path))
    many = [f"caption {number}" for number in range(READ_AT_ONCE + 3)]
    listed = replace(images(many), images=torch.zeros(len(many) + 1, 1, 1, 1, dtype=torch.uint8))
    mapped = replace(listed, captions=stored(many))
    assert mapped.fingerprint() == listed.fingerprint()
    assert replace(listed, captions=[*many[:-1], "other"]).fingerprint() != listed.fingerprint()
    monkeypatch.setattr(memory, "SHARE", 0.0)
    joined = mapped.first(4).followed_by(mapped)
    assert isinstance(joined.captions, StoredCaptions)
    assert list(joined.captions) == many * 2
    assert joined.caption_range.tolist()[:5] == [[0, 1], [1, 2], [2, 3], [3, 4], [len(many), len(many) + 1]]
    assert joined.fingerprint() == listed.first(4).followed_by(listed).fingerprint()


def test_a_training_set_beyond_memory_has_the_same_words_and_conditions(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("TEXTVAE_CACHE", str(tmp_path))
    captions = [f"a {colour} {thing}" for colour in ("red", "blue") for thing in ("boat", "house", "boat boat")]
    found = []
    for train in (images(captions), images(captions), replace(images(captions), captions=stored(captions))):
        recipe = with_captions(resolve("latent-flow-photos", data="coco-mini-64-words"), train)
        conditions, _ = training_conditions(train, recipe)
        found.append((recipe.text, recipe.prompts, conditions.tolist()))
        monkeypatch.setattr(memory, "SHARE", 0.0)
    assert found[0] == found[1] == found[2]
    assert found[0][2][0] == found[0][0].encode(captions[:1]).tolist()[0]


def test_times_shown_and_texts_of_images() -> None:
    some = CaptionedImages(
        "some",
        "train",
        torch.zeros(4, 1, 1, 1, dtype=torch.uint8),
        stored(["a", "b", "c", "d"]),
        torch.tensor([[0, 2], [1, 4], [0, 2], [3, 4]]),
    )
    assert list(some.times_shown()) == [2, 3, 1, 2]
    assert list(some.texts()) == ["a b", "b c d", "a b", "d"]


def test_captions_without_a_known_word_are_refused() -> None:
    train = images(["one", "two", "three"])
    recipe = with_captions(resolve("latent-flow-photos", data="coco-mini-64-words"), train)
    assert recipe.text.words == ()
    with pytest.raises(UserError, match="no known word"):
        training_conditions(train, recipe)
