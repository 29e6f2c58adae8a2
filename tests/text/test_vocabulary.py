import pytest
import torch

from textvae.text.base import NONE
from textvae.text.digit_captions import DigitCaptions
from textvae.text.scene_grammar import SceneCaptions
from textvae.text.vocabulary import Vocabulary
from textvae.utils.errors import UserError

SMALL = Vocabulary(("five", "plus", "nine"), length=6)


def test_tokens():
    tokens = SMALL.encode(["five", "Five plus nine.", NONE])
    assert tokens.dtype == torch.int64
    assert tokens.tolist() == [[1, 3, 2, 0, 0, 0], [1, 3, 4, 5, 2, 0], [0] * 6]
    assert SMALL.num_tokens == 6 > int(tokens.max())


def test_no_captions():
    assert SMALL.encode([]).shape == (0, 6)


def test_unknown_word():
    with pytest.raises(UserError, match='unknown word "fve"') as raised:
        SMALL.encode(["five", "fve plus nine"])
    assert raised.value.cure == 'did you mean "five"? known words: five plus nine'


def test_too_long():
    assert SMALL.encode(["five plus nine five"])[0, -1] == 2
    with pytest.raises(UserError, match="has 5 words"):
        SMALL.encode(["five plus nine plus five"])


def test_empty():
    with pytest.raises(UserError, match="empty"):
        SMALL.encode([" . "])


def test_a_word_twice_is_a_defect():
    with pytest.raises(ValueError, match="twice"):
        Vocabulary(("five", "five"), 3)


def test_digit_captions_do_the_sum():
    text = DigitCaptions("arithmetic")
    written, signs = text.encode(["nine minus two plus one", "9 - 2 + 1"])
    assert written.equal(signs)
    assert text.encode(["None"]).count_nonzero() == 0
    with pytest.raises(UserError, match="is 18, not a digit"):
        text.encode(["nine plus nine"])
    with pytest.raises(UserError, match="is -4, not a digit"):
        text.encode(["five - nine"])


def test_digit_captions_know_their_family_only():
    with pytest.raises(UserError, match='unknown word "min"') as raised:
        DigitCaptions("arithmetic").encode(["min nine five"])
    assert raised.value.cure.endswith("seven eight nine plus minus")


def test_scene_captions_read_any_wording_as_one():
    text = SceneCaptions()
    plain, short, loose = text.encode(
        ["the digit three is on the left of the digit nine", "3 left of 9", "A three to the left of a nine."]
    )
    assert plain.equal(short)
    assert plain.equal(loose)
    assert int(plain.max()) < text.num_tokens
    assert plain[-1] == 2
    assert text.encode([NONE]).count_nonzero() == 0
