import pytest
from hypothesis import given
from hypothesis import strategies as st

from textvae.data.caption_splits import FAMILIES, LOGIC
from textvae.text.digit_captions import DigitCaptions
from textvae.text.digit_grammar import (
    DIGIT_WORDS,
    SENTENCES,
    digit_of,
    longest,
    normalised,
    value_of,
    vocabulary,
)
from textvae.text.labels import DIGITS
from textvae.utils.errors import UserError

digits = st.integers(0, 9)


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
class TestFamilies:
    @pytest.mark.slow
    def test_captions_parse_back_to_their_digit(self, family):
        for split in family.splits:
            for caption, digit in family.captions(split):
                assert digit_of(caption) == digit
                assert normalised(caption) == caption

    def test_captions_are_distinct_sorted_and_of_every_digit(self, family):
        for split in family.splits:
            captions = family.captions(split)
            assert len(dict(captions)) == len(captions)
            values = [digit for _, digit in captions]
            assert values == sorted(values)
            assert set(values) == set(range(10))

    @pytest.mark.slow
    def test_words_and_length_suffice(self, family):
        captions = [c for split in family.splits for c, _ in family.captions(split)]
        assert {word for c in captions for word in c.split()} == set(vocabulary(family.name))
        assert max(len(c.split()) for c in captions) == longest(family.name)
        assert DigitCaptions(family.name).encode(captions).shape == (len(captions), longest(family.name) + 2)

    def test_test_is_its_parts(self, family):
        parts = [family.captions(split) for split in family.splits if split.startswith("test-")]
        if parts:
            assert sorted(family.captions("test")) == sorted(sum(parts, ()))


def texts(family: str, split: str) -> set[str]:
    return {caption for caption, _ in FAMILIES[family].captions(split)}


def test_splits_are_disjoint_where_the_paper_says_so():
    assert texts("arithmetic", "train") == texts("arithmetic", "val")
    for family in ("arithmetic", "logic"):
        assert not texts(family, "test") & (texts(family, "train") | texts(family, "val"))
    assert not texts("logic", "train") & texts("logic", "val")


def test_logic_shares_no_set_of_numbers():
    def sets(split):
        return {frozenset(caption.split()[1:]) for caption in texts("logic", split)}

    train, val, unseen, longer = map(sets, ("train", "val", "test-unseen", "test-longer"))
    assert not train & val
    assert not (train | val) & unseen
    assert {len(s) for s in train | val | unseen} == {2, 3, 4}
    assert {len(s) for s in longer} == {5, 6}
    assert all(len(caption.split()) == len(set(caption.split())) for caption in texts("logic", "test"))


def test_arithmetic_captions():
    per_digit = [sum(d == digit for _, d in FAMILIES["arithmetic"].captions("train")) for digit in range(10)]
    assert per_digit == [12, 12, 12, *[13] * 7]
    assert "one plus one plus one plus one plus one plus one plus one plus one plus one" in texts("arithmetic", "train")
    lengths = {len(caption.split()) for caption in texts("arithmetic", "test")}
    assert lengths == {5, 7, 9, 11}


def prefixes(caption: str) -> list[int]:
    words = caption.split()
    return [value_of(" ".join(words[: stop + 1])) for stop in range(0, len(words), 2)]


@pytest.mark.slow
def test_within_and_beyond():
    assert all(0 <= min(p) <= max(p) <= 9 for p in map(prefixes, texts("arithmetic", "test-within")))
    assert not any(0 <= min(p) <= max(p) <= 9 for p in map(prefixes, texts("arithmetic", "test-beyond")))


def test_every_run_draws_the_same_captions():
    # A word of the digest of all captions: it changes only when somebody means it to.
    import hashlib

    text = "\n".join(caption for caption, _ in (*LOGIC.captions("train"), *FAMILIES["arithmetic"].captions("test")))
    assert hashlib.sha256(text.encode()).hexdigest()[:8] == "ecb58dbe"


@given(st.lists(st.tuples(st.sampled_from(["plus", "minus"]), digits), max_size=8), digits)
@pytest.mark.slow
def test_sums_of_any_length(terms, first):
    caption = DIGIT_WORDS[first] + "".join(f" {op} {DIGIT_WORDS[term]}" for op, term in terms)
    total = first + sum(term if op == "plus" else -term for op, term in terms)
    assert value_of(caption) == total
    signs = f"{first}" + "".join(f"{'+' if op == 'plus' else '-'}{term}" for op, term in terms)
    assert normalised(signs) == caption
    if 0 <= total <= 9:
        assert digit_of(caption) == total
    else:
        with pytest.raises(UserError, match=f'"{caption}" is {total}, not a digit'):
            digit_of(caption)


@given(st.sampled_from(["min", "max"]), st.lists(digits, min_size=2, max_size=9))
def test_extremes_of_any_length(operator, numbers):
    caption = " ".join([operator, *(DIGIT_WORDS[n] for n in numbers)])
    assert value_of(caption) == {"min": min, "max": max}[operator](numbers)


@given(st.sampled_from(SENTENCES), digits)
def test_sentences(sentence, digit):
    assert value_of(sentence.format(DIGIT_WORDS[digit])) == digit
    assert value_of(sentence.format(digit).capitalize() + ".") == digit


def why_not(caption: str) -> str | None:
    try:
        value_of(caption)
    except UserError as error:
        return error.cause
    return None


@given(st.lists(st.sampled_from([*vocabulary("sentence"), "plus", "minus", "min", "max"]), max_size=6).map(" ".join))
def test_known_words_mean_a_number_or_an_explained_mistake(caption):
    mistake = why_not(caption)
    assert mistake is None or ("not a valid caption" in mistake or "empty" in mistake)


@pytest.mark.slow
@given(st.text(max_size=30))
def test_any_text_is_read_or_refused(text):
    assert normalised(normalised(text)) == normalised(text)
    mistake = why_not(text)
    assert mistake is None or "\n" not in mistake


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("9 - 2 + 1", "nine minus two plus one"),
        ("9 \u2212 2", "nine minus two"),
        ("Nine MINUS two, plus one!", "nine minus two plus one"),
        ("nine -two", "nine minus two"),
        ("hand-drawn", "hand drawn"),
        ("12", "12"),
        ("2.5", "2.5"),
        ("(nine)", "( nine )"),
        ("", ""),
    ],
)
def test_normalised(written, words):
    assert normalised(written) == words


@pytest.mark.parametrize(
    ("caption", "cause"),
    [
        ("", "empty"),
        ("plus plus five", 'word 1, "plus"'),
        ("five plus", "the end"),
        ("five plus plus", 'word 3, "plus"'),
        ("five six", 'word 2, "six"'),
        ("min five", "the end"),
        ("min nine plus two", 'word 3, "plus"'),
        ("a handwritten five six", 'word 4, "six"'),
        ("a handwritten", "the end"),
        ("9 - (2 + 1)", r'unknown word "\("'),
        ("twelve", 'unknown word "twelve"'),
        ("12", 'unknown word "12"'),
    ],
)
def test_malformed(caption, cause):
    with pytest.raises(UserError, match=cause):
        value_of(caption)


def test_the_same_digits_as_labels():
    assert DIGITS.class_names == DIGIT_WORDS
