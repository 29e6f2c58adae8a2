"""coco-mini built from MS-COCO by ids, caption hashes and image bits; the list against the set that it names."""

import io
import json
import os
from pathlib import Path

import pytest
from helpers import coco_server, photos
from PIL import Image

from textvae.data import archives as fetching
from textvae.data import coco
from textvae.data.coco import ARCHIVES
from textvae.preparation import coco_mini
from textvae.preparation.coco_mini import Member, build_coco_mini, caption_hash, image_bits
from textvae.preparation.layouts import find_photographs

OURS = Path(os.environ.get("TEXTVAE_DATA", "")) / "coco-mini"


def scene(number: int) -> Image.Image:
    """A picture with large areas, which scaling keeps."""
    small = photos.picture(number, (9, 8)).resize((9, 8))
    for x in range(9):
        for y in range(8):
            small.putpixel((x, y), ((number * 37 + x * x * 11 + y * 53) % 256,) * 3)
    return small.resize((480, 360), Image.Resampling.BICUBIC)


SCENES = {
    1: ["a bus", "a red bus", "the bus", "one bus", "bus", "a sixth caption"],
    2: ["a cow"],
    3: ["a man on a wave", "surfing"],
    4: ["a man on a wave", "a surfer"],
    5: ["a plate"],
    6: ["a man on a wave"],
}
# 3, 4 and 6 have one caption in common; the first of "val" is a training image of MS-COCO's.
MEMBERS = {
    "train": [
        Member(1, tuple(caption_hash(caption)[:6] for caption in SCENES[1][:5])),
        Member(None, (caption_hash("a man on a wave"),), image_bits(scene(4).resize((240, 180)))),
        Member(None, (caption_hash("a caption of no image"),), 0),
    ],
    "val": [Member(2, (caption_hash("a cow")[:6],)), Member(5, (caption_hash("a dish")[:6],))],
}


@pytest.fixture
def server(tmp_path, monkeypatch):
    monkeypatch.setenv("TEXTVAE_CACHE", str(tmp_path))
    monkeypatch.delenv("TEXTVAE_DATA", raising=False)
    monkeypatch.setattr(fetching, "PAUSE_S", 0.01)
    monkeypatch.setattr(coco_mini, "_members", lambda: MEMBERS)
    split = {"train2017": [1, 2, 3, 4], "val2017": [5, 6]}
    contents = {
        "annotations/annotations_trainval2017.zip": coco_server.packed(
            {
                f"annotations/captions_{name}.json": coco_server.annotations({n: SCENES[n] for n in numbers})
                for name, numbers in split.items()
            }
        )
    }
    for name, numbers in split.items():
        contents |= {f"{name}/{n:012d}.jpg": photos.encoded(scene(n)) for n in numbers}
    first = ARCHIVES[2017][0]
    made = [coco_server.archive(first.path, contents[first.path], first.wanted, first.proof)]
    with coco_server.serving(contents) as running:
        monkeypatch.setattr(coco, "ARCHIVES", {2017: made})
        monkeypatch.setattr(coco, "ADDRESSES", (running.address,))
        yield running


def check(folder: Path) -> None:
    splits = {split: list(records) for split, records in find_photographs("coco-mini").parts[0].layout.splits().items()}
    assert {split: [record.key for record in records] for split, records in splits.items()} == {
        "train": ["1", "4"], "test": ["2", "5"]
    }  # fmt: skip
    assert [record.captions for record in splits["train"]] == [tuple(SCENES[1][:5]), ("a man on a wave",)]
    # A caption that was corrected: all that the image has.
    assert [record.captions for record in splits["test"]] == [("a cow",), ("a plate",)]
    for record in splits["train"]:
        with Image.open(io.BytesIO(record.image.read())) as picture:
            assert picture.size == (341, 256)
            assert (image_bits(picture) ^ image_bits(scene(int(record.key)))).bit_count() <= 4


def test_it_is_built_from_single_photographs(server, tmp_path, capsys) -> None:
    folder = build_coco_mini()
    assert folder == tmp_path / "data" / "coco-mini"
    check(folder)
    # Those that it needs, or may need.
    assert {path for path, _ in server.asked if path.endswith(".jpg")} == {
        *(f"train2017/{n:012d}.jpg" for n in (1, 2, 3, 4)), *(f"val2017/{n:012d}.jpg" for n in (5, 6)),
    }  # fmt: skip
    assert "1 of 3 images of train" in capsys.readouterr().err
    assert sorted(path.name for path in folder.parent.iterdir()) == ["coco", "coco-mini"]
    asked = len(server.asked)
    assert build_coco_mini() == folder
    assert len(server.asked) == asked


def test_a_failed_build_continues(server, tmp_path) -> None:
    lost = server.files.pop("val2017/000000000006.jpg")
    with pytest.raises(coco_mini.UserError, match="404"):
        build_coco_mini()
    assert not (tmp_path / "data" / "coco-mini").exists()
    server.files["val2017/000000000006.jpg"] = lost
    check(build_coco_mini())
    assert len([path for path, _ in server.asked if path == "train2017/000000000001.jpg"]) == 1


def test_it_is_built_from_the_whole_of_coco(server, tmp_path, monkeypatch) -> None:
    whole = tmp_path / "mine" / "coco"
    for path, content in server.files.items():
        if path.endswith(".jpg"):
            (whole / path).parent.mkdir(parents=True, exist_ok=True)
            (whole / path).write_bytes(content)
    (whole / "annotations").mkdir()
    for name, numbers in (("train2017", (1, 2, 3, 4)), ("val2017", (5, 6))):
        (whole / "annotations" / f"captions_{name}.json").write_bytes(
            coco_server.annotations({n: SCENES[n] for n in numbers})
        )
    monkeypatch.setenv("TEXTVAE_DATA", str(tmp_path / "mine"))
    check(build_coco_mini())
    assert server.asked == []


@pytest.mark.skipif(not OURS.is_dir(), reason="coco-mini is not here: textvae data fetch coco-mini")
@pytest.mark.parametrize("split", ["train", "val"])
def test_the_list_names_the_images_of_the_set(split) -> None:
    folder = coco_mini.SPLITS[split]
    content = json.loads((OURS / "annotations" / f"captions_{folder}.json").read_text())
    captions: dict[int, list[str]] = {}
    for annotation in content["annotations"]:
        captions.setdefault(annotation["image_id"], []).append(annotation["caption"])
    members = coco_mini._members()[split]
    assert len(members) == len(content["images"])
    by_number = {member.number: member for member in members}
    by_caption = {member.captions[0]: member for member in members if member.number is None}
    # Every tenth image is opened: all take a few seconds.
    for place, image in enumerate(content["images"]):
        own = captions[image["id"]]
        if member := by_number.get(image["id"]):
            assert all(caption_hash(caption).startswith(member.captions) for caption in own)
            assert len(member.captions) == len(own)
        else:
            member = by_caption[caption_hash(own[0])]
            if place % 10 == 0 and len({m.bits for m in members if m.captions == member.captions}) == 1:
                with Image.open(OURS / folder / image["file_name"]) as picture:
                    assert (image_bits(picture) ^ member.bits).bit_count() <= 2


def test_no_caption_and_no_image_is_in_the_list() -> None:
    listed = (Path(coco_mini.__file__).parent / "coco_mini.json").read_text()
    strings = [text for part in json.loads(listed).values() for _, text in part["known"]]
    strings += [text for part in json.loads(listed).values() for text in part["unknown"]]
    assert all(set(text) <= set("0123456789abcdef ") for text in strings)
    assert len(listed) < 100_000
