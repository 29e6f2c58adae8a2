import dataclasses

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from textvae.text.base import NONE
from textvae.text.labels import DIGITS, FASHION, LabelText
from textvae.utils.errors import UserError

quick = settings(max_examples=150, deadline=None)
texts = pytest.mark.parametrize("text", [FASHION, DIGITS], ids=["fashion", "digits"])


def keys(text: LabelText) -> list[tuple[str, int]]:
    groups = zip(text.class_names, text.synonyms, strict=True)
    return [(key, number) for number, (name, more) in enumerate(groups) for key in (name, *more)]


def plural(key: str) -> str:
    if key.endswith("s") and not key.endswith("ss"):
        return key
    return key + ("es" if key.endswith(("ss", "x", "ch")) else "s")


def refused(text: LabelText, phrase: str) -> UserError:
    with pytest.raises(UserError) as error:
        text.read(phrase)
    assert "\n" not in error.value.cause + error.value.cure
    assert all(name in error.value.cure for name in text.class_names)
    return error.value


@texts
def test_every_key_word_names_its_class_alone(text):
    for key, number in keys(text):
        assert text.read(key) == number, key
        assert text.read(plural(key)) == number, plural(key)


@quick
@given(st.data())
@pytest.mark.slow
def test_casing_punctuation_and_surroundings_make_no_difference(data):
    text = data.draw(st.sampled_from([FASHION, DIGITS]))
    key, number = data.draw(st.sampled_from(keys(text)))
    spoken = plural(key) if data.draw(st.booleans()) else key
    spoken = "".join(c.upper() if data.draw(st.booleans()) else c for c in spoken)
    for space in "- ":
        spoken = spoken.replace(space, data.draw(st.sampled_from([" ", "-", "\u2011", "\u2013", "  ", "_", "\u00a0"])))
    if data.draw(st.booleans()):
        # Full-width forms of ASCII.
        spoken = "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in spoken)
    before = data.draw(st.sampled_from(["", "a ", "Some pairs of the best ", "«", "  \n", "red, "]))
    after = data.draw(st.sampled_from(["", ".", "!?", " in blue", "»", ", please", "\t"]))
    assert text.read(before + spoken + after) == number


@pytest.mark.slow
@texts
@quick
@given(phrase=st.text(max_size=60))
@example(phrase="")
@example(phrase=" \n\t ")
@example(phrase="\ud800 \x00 \u202e")
@example(phrase="word " * 50_000)
def test_arbitrary_text_gives_a_class_or_a_user_error(text, phrase):
    try:
        number = text.read(phrase)
    except UserError:
        assert len(refused(text, phrase).cause) < 300
    else:
        assert 0 <= number < len(text.class_names)


@pytest.mark.parametrize(
    ("phrase", "name"),
    [
        ("a t-shirt", "t-shirt"),
        ("T Shirts", "t-shirt"),
        ("a shirt", "shirt"),
        ("dress shirt", "shirt"),
        ("a shirt dress", "dress"),
        ("pull\u00adover", "pullover"),
        ("ankle boots", "ankle boot"),
        ("a coat or jacket", "coat"),
        ("a trench coat", "coat"),
        ("a jean jacket", "coat"),
        ("a pair of blue jeans", "trouser"),
        ("the lady’s handbag", "bag"),
        ("my coat's", "coat"),
        ("my coat’s", "coat"),
        ("flip flops", "sandal"),
        ("dresses", "dress"),
    ],
)
def test_phrases_of_clothing(phrase, name):
    assert FASHION.class_names[FASHION.read(phrase)] == name


@pytest.mark.parametrize(
    ("phrase", "name"),
    [("a 7", "seven"), ("７", "seven"), ("two sixes", None), ("zeroes", "zero"), ("zeros", "zero"), ("17", None)],
)
def test_phrases_of_digits(phrase, name):
    if name is None:
        refused(DIGITS, phrase)
    else:
        assert DIGITS.class_names[DIGITS.read(phrase)] == name


def test_two_classes_are_refused_with_what_was_understood():
    error = refused(FASHION, "Sneakers with a JUMPER")
    assert '"sneakers" as sneaker' in error.cause
    assert '"jumper" as pullover' in error.cause


def test_unknown_words_are_refused_with_what_is_known():
    error = refused(FASHION, "a hat")
    assert '"a hat"' in error.cause
    assert all(key in error.cure for key, _ in keys(FASHION))
    assert "did you mean" not in error.cure


@pytest.mark.parametrize(
    ("typo", "meant"),
    [("a pulover", "pullover"), ("snaeker", "sneaker"), ("jackte", "jacket"), ("my t-shrit", "t shirt")],
)
def test_typos_are_answered_with_the_nearest_word(typo, meant):
    assert f"did you mean {meant}?" in refused(FASHION, typo).cure


def test_parts_of_words_are_not_key_words():
    for phrase in ("address", "coating", "bagpipe", "shirtless", "bone", "tent"):
        refused(FASHION, phrase)
        refused(DIGITS, phrase)


@texts
def test_encoding_is_one_hot(text):
    rows = text.encode(text.class_names)
    assert rows.dtype == torch.float32
    assert torch.equal(rows, torch.eye(len(text.class_names)))


def test_only_the_reserved_word_encodes_to_zero():
    rows = FASHION.encode(["a bag", NONE, "coats"])
    assert rows.argmax(1)[[0, 2]].tolist() == [8, 4]
    assert rows.sum(1).tolist() == [1, 0, 1]
    for phrase in ("None", "none ", "nothing", ""):
        with pytest.raises(UserError):
            FASHION.encode([phrase])


def test_no_captions_give_no_rows():
    assert FASHION.encode([]).shape == (0, 10)


def test_contradictory_configs_are_refused():
    with pytest.raises(ValueError, match="hat"):
        LabelText(("cap", "hat"), (("hat",), ()))
    with pytest.raises(ValueError, match="none"):
        LabelText(("none",), ((),))
    with pytest.raises(ValueError, match="cannot be a keyword"):
        LabelText(("cap",), (("-",),))
    with pytest.raises(ValueError, match="synonyms for 1"):
        LabelText(("cap", "hat"), ((),))


def test_config_survives_json_like_round_trip():
    # Recipes are written to config.json and read back.
    FASHION.read("coat")
    assert LabelText(**dataclasses.asdict(FASHION)) == FASHION
