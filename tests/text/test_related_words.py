"""Words outside a vocabulary are read as known words of related meaning, in Python and by the page alike."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

import textvae.serve
from textvae.exported.spec import text_of
from textvae.runs.run import open_run
from textvae.text.caption_words import CaptionWords
from textvae.text.related_words import readings, related_words, table
from textvae.text.related_words.colours import COLOURS, colour_words, oklab
from textvae.utils.errors import UserError

PAGE = Path(textvae.serve.__file__).parent / "page"
KNOWN = ("white", "purple", "black", "red", "green", "blue", "yellow")


@pytest.mark.parametrize(
    ("word", "others", "reading"),
    [
        ("crimson", KNOWN, "red"),
        ("scarlet", KNOWN, "red"),
        ("navy", KNOWN, "blue"),
        ("teal", KNOWN, "green"),
        # Colours whose nearest known one the table does not have.
        ("orange", ("peach", "blue", "color"), "peach"),
        ("red", ("pink", "coral", "blue", "color"), "coral"),
        ("maroon", ("red", "burgundy", "brown"), "burgundy"),
        ("periwinkle", ("lavender", "flower"), "lavender"),
        # The table relates these as well: "orange" to "white", "yellow" to "black".
        ("orange", ("white", "black"), None),
        ("yellow", ("black", "grey"), None),
        # Two basic colours that mix to it.
        ("orange", (*KNOWN, "peach", "color"), "red yellow"),
        ("magenta", KNOWN, "red purple"),
        ("salmon", (*KNOWN, "pink", "orange"), "orange pink"),
        # A thing, or its colour where things are not known.
        ("olive", ("tree", "green", "bronze"), "tree"),
        ("olive", ("shirt", "bronze"), "bronze"),
        ("tulip", ("oval", "plant", "flower"), "flower"),
        ("daffodils", ("oval", "plant", "flower"), "flower"),
        ("spectacles", ("shirt", "ring", "sunglasses"), "sunglasses"),
        ("cardigan", ("shirt", "sweater", "bag"), "sweater"),
        ("grinning", ("angry", "smiling", "sad"), "smiling"),
        ("petal", ("flower", "petals"), "petals"),
        ("dresses", ("skirt", "dress"), "dress"),
        ("berries", ("berry", "fruit"), "berry"),
        # Opposites, other kinds of the same, homonyms, and what is merely said together.
        ("blue", ("red", "green"), None),
        ("cyan", ("pink", "yellow", "brown"), None),
        ("sad", ("happy", "big"), None),
        ("messy", ("clean", "tidy", "room"), None),
        ("messy", ("clean", "tidy", "untidy"), "untidy"),
        ("chilly", ("hot", "sunny"), None),
        ("weightless", ("heavy", "big"), None),
        ("grandmother", ("mother", "brother"), "mother"),
        ("phone", ("ring", "bag"), None),
        ("dog", ("tree", "track", "tag"), None),
        ("parliament", KNOWN, None),
        ("qwertz", KNOWN, None),
    ],
)
def test_a_word_is_read_as_known_ones_of_related_meaning(
    word: str, others: tuple[str, ...], reading: str | None
) -> None:
    known = {other: place for place, other in enumerate(others, start=1)}
    assert " ".join(related_words(word, known)) == (reading or "")


@pytest.mark.parametrize(
    ("word", "common", "rare", "reading"),
    [
        ("lavender", ("purple", "flower"), ("lilac",), "lilac purple"),
        ("lavender", ("lilac", "purple"), (), "lilac"),
        ("lavender", ("leaf",), ("lilac",), "lilac"),
        # A rare colour, however near, does not stand for what common ones can say.
        ("orange", ("red", "yellow"), ("orangish",), "red yellow"),
        ("orange", ("blue", "green"), ("orangish",), "orangish"),
        ("petal", ("flower",), ("petals",), "petals"),
        # Two forms of one word say no more than one.
        ("throttle", ("pedals",), ("pedal",), "pedal"),
    ],
)
def test_rare_words_are_joined_by_common_ones(
    word: str, common: tuple[str, ...], rare: tuple[str, ...], reading: str
) -> None:
    words = (*common, *(f"word{number}" for number in range(200)), *rare)
    assert " ".join(related_words(word, {one: place for place, one in enumerate(words, start=1)})) == reading


def test_the_table_relates_each_word_to_other_words() -> None:
    assert len(table()) > 25_000
    assert all(word not in related and len(set(related)) == len(related) for word, related in table().items())


def test_colours_are_distances_of_the_oklab_space() -> None:
    # Ottosson's own example values: white has a lightness of 1 and no colour, and pure red is (0.628, 0.225, 0.126).
    assert oklab("ffffff") == pytest.approx((1, 0, 0), abs=1e-4)
    assert oklab("ff0000") == pytest.approx((0.628, 0.225, 0.126), abs=1e-3)
    assert not any(colour_words(name, {name}) for name in COLOURS)


def test_colours_that_nobody_mixes_stand_for_nothing() -> None:
    assert colour_words("brown", {"red", "green"}) == (), "their mean is near, but their hues are opposite"
    assert colour_words("brown", {"orange", "black"}) == ("orange", "black")
    assert colour_words("silver", {"orange", "green", "yellow", "blue"}) == ()
    assert colour_words("silver", {"white", "grey"}) == ("white", "grey")


def test_a_prompt_is_read_with_a_notice(capsys) -> None:
    text = CaptionWords(("red", "flower", "a"), length=4)
    assert text.encode(["A crimson tulip", "crimson qwertz"]).tolist() == [[3, 1, 2, 0], [1, 0, 0, 0]]
    err = capsys.readouterr().err
    assert '"crimson" as "red"' in err
    assert '"qwertz"' in err
    assert text.encode(["crimson"]).tolist() == [[1, 0, 0, 0]]
    both = CaptionWords(("red", "yellow", "flower"), length=3)
    assert both.encode(["orange flower", "a flower, orange"]).tolist() == [[1, 2, 3], [3, 1, 2]]
    assert '"orange" as "red yellow"' in capsys.readouterr().err
    with pytest.raises(UserError, match="no known word"):
        text.encode(["qwertz"])


def test_training_leaves_rare_words_out(capsys) -> None:
    assert CaptionWords(("red",), length=2).training_rows(["a crimson flower"]).tolist() == [[0, 0]]
    assert capsys.readouterr().err == ""


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
def test_the_page_reads_them_as_python_does(tmp_path: Path) -> None:
    known = open_run("flowers").recipe.text
    assert isinstance(known, CaptionWords)
    text = CaptionWords(known.words, 3)
    words = [word for word in table() if word not in text.words][::40]
    prompts = [f"red {form}" for word in words for form in (word, f"{word}s", f"{word}es")]
    (tmp_path / "case.json").write_text(json.dumps({"text": text_of(text), "prompts": prompts}), encoding="utf-8")
    program = (
        f"import {{ read }} from '{PAGE}/text.js'; import {{ readFileSync }} from 'node:fs';"
        "const { text, prompts } = JSON.parse(readFileSync(process.argv[1]));"
        "console.log(JSON.stringify(prompts.map((prompt) => Array.from(read(text, prompt).condition))));"
    )
    command = ["node", "--input-type=module", "-e", program, str(tmp_path / "case.json")]
    process = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert json.loads(process.stdout) == text.rows(prompts).tolist()


def test_an_export_has_the_part_of_the_table_that_a_model_needs() -> None:
    found = readings(KNOWN)
    assert "crimson" in found["red"].split()
    assert not {word for reading in found for word in reading.split()} - set(KNOWN)
    assert "orange" in found["red yellow"].split()
    assert not {word for others in found.values() for word in others.split()} & set(KNOWN)
