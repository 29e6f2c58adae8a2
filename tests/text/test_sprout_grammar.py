import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from textvae.text.sprout_grammar import ATTRIBUTES, BLOOMING, Sprout, SproutVectors, parse_sprout, sprout_caption
from textvae.utils.errors import UserError


@st.composite
def sprouts(draw) -> Sprout:
    """Any part of the attributes, at least one; a bloom only of a plant that has one."""
    named = {name: draw(st.none() | st.sampled_from(values)) for name, values in ATTRIBUTES.items()}
    if named["plant"] not in BLOOMING:
        named["bloom"] = None
    if not any(named.values()):
        named["plant"] = draw(st.sampled_from(ATTRIBUTES["plant"]))
    return Sprout(**named)


@given(sprouts(), st.data())
@pytest.mark.slow
def test_every_wording_parses_back(sprout, data):
    caption = sprout_caption(sprout, lambda count: data.draw(st.integers(0, count - 1)))
    assert parse_sprout(caption) == sprout
    assert parse_sprout(caption.upper()) == sprout


@given(sprouts())
@pytest.mark.slow
def test_vectors_are_one_hot_parts_for_what_is_named(sprout):
    encoder = SproutVectors()
    row = encoder.rows([sprout_caption(sprout)])[0]
    parts = np.split(row, np.cumsum([len(values) for values in ATTRIBUTES.values()])[:-1])
    for part, value, values in zip(parts, sprout, ATTRIBUTES.values(), strict=True):
        assert part.sum() == (value is not None)
        assert value is None or values[part.argmax()] == value
    assert not encoder.rows(["none"]).any()


def test_canonical_wording():
    assert sprout_caption(Sprout("cactus", None, "smiling", "round", "yellow", "blue")) == (
        "a smiling cactus in a round yellow pot on a blue background"
    )
    assert sprout_caption(Sprout(expression="angry")) == "an angry plant"


@pytest.mark.parametrize(
    ("caption", "cause"),
    [
        ("a cactuss in a pot", 'unknown word "cactuss"'),
        ("a cactus and a palm", "names the plant twice"),
        ("a red cactus", "gives a colour to cactus"),
        ("a cactus in a magenta pot", "no magenta pot"),
        ("a cactus on blue", "does not say what is blue"),
        ("a red yellow tulip", "red and yellow in a row"),
        ("a plant", "names nothing"),
        ("", "names nothing"),
    ],
)
def test_malformed(caption, cause):
    with pytest.raises(UserError, match=cause):
        parse_sprout(caption)
