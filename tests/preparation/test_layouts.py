"""COCO's layout, image folders and shards: the same records from each."""

import bz2
import gzip
import json
import lzma
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest
from helpers import photos

from textvae.data.catalog import PHOTOGRAPHS
from textvae.preparation.layouts import find_photographs
from textvae.preparation.layouts.class_folders import ClassFolders
from textvae.preparation.layouts.coco import CocoCaptions
from textvae.preparation.layouts.image_folder import ImageFolder
from textvae.preparation.layouts.side_cars import SideCars
from textvae.preparation.layouts.webdataset import Shards, read_shard
from textvae.preparation.recognise import Recognised, summary
from textvae.preparation.record import Record, clean
from textvae.preparation.subset import Subset, splits_of
from textvae.utils.errors import UserError
from textvae.utils.paths import data_folders
from textvae.utils.pictures import Unreadable


def told(records: list[Record]) -> list[tuple[list[str], bytes]]:
    return [(sorted(record.captions), record.image.read()) for record in records if record.image]


def expected(numbers: range) -> list[tuple[list[str], bytes]]:
    return [(sorted(photos.captions(n)), photos.encoded(photos.picture(n))) for n in numbers]


def test_coco_2017_and_2014(tmp_path) -> None:
    source = find_photographs(str(photos.coco_folder(tmp_path / "Photos of me", 5, 3)))
    assert isinstance(source.parts[0].layout, CocoCaptions)
    assert source.about.name == "photos-of-me"
    splits = splits_of(source, Subset())
    assert told(splits["train"]) == expected(range(5))
    # What COCO calls val is what papers test on.
    assert told(splits["test"]) == expected(range(5, 8))
    for kind in ("train", "val"):
        (tmp_path / "Photos of me" / f"{kind}2017").rename(tmp_path / "Photos of me" / f"{kind}2014")
        old = tmp_path / "Photos of me" / "annotations" / f"captions_{kind}2017.json"
        old.rename(old.with_name(f"captions_{kind}2014.json"))
    assert told(splits_of(source, Subset())["train"]) == expected(range(5))


def test_coco_with_gaps(tmp_path) -> None:
    folder = photos.coco_folder(tmp_path, 3, 1)
    path = folder / "annotations" / "captions_train2017.json"
    content = json.loads(path.read_text())
    content["images"] += [{"id": 0, "file_name": "again.jpg"}, {"id": 77, "file_name": "../../etc/passwd"}]
    content["annotations"].append({"id": 9, "image_id": 12345, "caption": "of nothing"})
    path.write_text(json.dumps(content))
    problems = [
        record.problem for record in splits_of(find_photographs(str(folder)), Subset())["train"] if record.problem
    ]
    assert [problem.split(":")[0] for problem in problems] == [
        "this image id is listed twice",
        "its file name leads out of the folder",
        "1 captions belong to no image of this file",
    ]
    path.write_text('{"images": [{"id": 3}]')
    with pytest.raises(UserError, match="cannot be read as COCO captions"):
        splits_of(find_photographs(str(folder)), Subset())


def test_image_folders(tmp_path) -> None:
    source = find_photographs(str(photos.image_folder(tmp_path, {"train": 4, "validation": 1, "test": 2})))
    assert isinstance(source.parts[0].layout, ImageFolder)
    splits = splits_of(source, Subset())
    assert told(splits["train"]) == expected(range(4))
    assert told(splits["val"]) == expected(range(4, 5))
    assert told(splits["test"]) == expected(range(5, 7))


def test_metadata_lines_of_one_file_are_its_captions_and_bad_lines_are_told(tmp_path) -> None:
    lines = [
        '{"file_name": "a.jpg", "text": "one"}',
        "",
        "not json",
        '{"file_name": "a.jpg", "text": ["two", "three"]}',
        '{"file_name": "/etc/passwd", "text": "x"}',
        '{"text": "x"}',
        '{"file_name": "b.jpg", "text": 7}',
        "[]",
        "[" * 100_000,
    ]
    (tmp_path / "metadata.jsonl").write_text("\n".join(lines), encoding="utf-8")
    records = list(ImageFolder(tmp_path).splits()["train"])
    assert [record.captions for record in records if not record.problem] == [("one", "two", "three")]
    assert [record.key for record in records if record.problem] == [
        "/etc/passwd",
        *(f"line {number}" for number in (3, 6, 7, 8, 9)),
    ]


def test_one_folder_gives_a_tenth_to_test(tmp_path) -> None:
    folder = photos.image_folder(tmp_path, {"train": 30}) / "train"
    splits = splits_of(find_photographs(str(folder)), Subset())
    assert (len(splits["train"]), len(splits["test"])) == (27, 3)
    assert not {r.key for r in splits["train"]} & {r.key for r in splits["test"]}
    assert splits == splits_of(find_photographs(str(folder)), Subset())
    # One picture less, and only that one is missing where it was.
    metadata = folder / "metadata.jsonl"
    gone = splits["train"][5].key
    metadata.write_text("\n".join(line for line in metadata.read_text().splitlines() if gone not in line))
    fewer = splits_of(find_photographs(str(folder)), Subset())
    assert fewer["test"] == splits["test"]
    assert [record.key for record in splits["train"] if record not in fewer["train"]] == [gone]


def test_shards(tmp_path) -> None:
    samples = {f"{n:03d}": (photos.encoded(photos.picture(n)), photos.captions(n)[0]) for n in range(6)}
    photos.shard(tmp_path / "my-train-0000.tar", dict(list(samples.items())[:3]))
    photos.shard(tmp_path / "my-train-0001.tar", dict(list(samples.items())[3:5]))
    photos.shard(tmp_path / "my-val-0000.tar", dict(list(samples.items())[5:]))
    source = find_photographs(str(tmp_path))
    assert isinstance(source.parts[0].layout, Shards)
    splits = splits_of(source, Subset())
    assert [record.key for record in splits["train"]] == [
        *(f"my-train-0000/00{n}" for n in range(3)),
        *(f"my-train-0001/00{n}" for n in range(3, 5)),
    ]
    for record, (image, text) in zip([*splits["train"], *splits["test"]], samples.values(), strict=True):
        assert record.image is not None
        assert (record.image.read(), record.captions) == (image, (text,))


@pytest.mark.parametrize(
    ("ending", "compress"),
    [(".tar.gz", gzip.compress), (".tgz", gzip.compress), (".tar.bz2", bz2.compress), (".tar.xz", lzma.compress)],
)
def test_compressed_shards_are_read_as_plain_ones(tmp_path, ending, compress) -> None:
    samples = {f"{n:03d}": (photos.encoded(photos.picture(n)), photos.captions(n)[0]) for n in range(9)}
    plain = photos.shard(tmp_path / "plain" / "my-train-0000.tar", samples)
    packed = tmp_path / "packed" / f"my-train-0000{ending}"
    packed.parent.mkdir()
    packed.write_bytes(compress(plain.read_bytes()))
    before, after = (splits_of(find_photographs(str(path.parent)), Subset())["train"] for path in (plain, packed))
    assert [(record.key, record.captions) for record in after] == [(record.key, record.captions) for record in before]
    # In any order, though it is quick only forwards.
    for number in (3, 7, 0, 4):
        assert after[number].image.read() == before[number].image.read()
    cut = tmp_path / f"cut{ending}"
    cut.write_bytes(packed.read_bytes()[: packed.stat().st_size // 2])
    assert "cannot be read to its end" in list(read_shard(cut))[-1].problem
    with pytest.raises(Unreadable, match="cannot be unpacked"):
        replace(after[7].image, path=str(cut)).read()


def test_shards_that_python_cannot_unpack_are_refused(tmp_path) -> None:
    (tmp_path / "my-train-0000.tar.zst").write_bytes(b"")
    with pytest.raises(UserError, match="cannot unpack") as error:
        splits_of(find_photographs(str(tmp_path)), Subset())
    assert ".tar.gz" in error.value.cure


def test_a_table_of_captions_in_csv(tmp_path) -> None:
    for n in range(3):
        (tmp_path / f"{n}.jpg").write_bytes(photos.encoded(photos.picture(n)))
    rows = 'file_name,text\n0.jpg,"a red block, picture 0"\n0.jpg,this is red\n1.jpg,"a ""green"" one"\n2.jpg\n'
    (tmp_path / "metadata.csv").write_bytes(b"\xef\xbb\xbf" + rows.encode() + b"1.jpg,caf\xe9\n../x.jpg,x\n")
    records = list(find_photographs(str(tmp_path)).parts[0].layout.splits()["train"])
    assert [record.captions for record in records if not record.problem] == [
        ("a red block, picture 0", "this is red"),
        ('a "green" one',),
    ]
    assert [record.key for record in records if record.problem] == ["../x.jpg", "line 5", "line 6"]
    assert records[0].image.read() == photos.encoded(photos.picture(0))


def test_a_table_whose_header_is_no_csv_is_no_table(tmp_path) -> None:
    (tmp_path / "0.jpg").write_bytes(photos.encoded(photos.picture(0)))
    (tmp_path / "metadata.csv").write_bytes(b"file\rname,text\n0.jpg,red\n")
    with pytest.raises(UserError):
        find_photographs(str(tmp_path))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        # As Kaggle has Flickr8k and Flickr30k.
        ("captions.txt", "image,caption\n0.jpg,one , two\n0.jpg,other\n".replace("one , two", '"one , two"')),
        ("results.csv", "image_name| comment_number| comment\n0.jpg| 0| one , two\n0.jpg| 1| other\n"),
        ("captions.csv", "Image;Caption\n0.jpg;one , two\n0.jpg;other\n"),
        ("metadata.jsonl", '{"file_name": "0.jpg", "caption": ["one , two", "other"]}\n'),
        ("captions.jsonl", '{"image": "0.jpg", "prompt": "one , two"}\n{"image": "0.jpg", "prompt": "other"}\n'),
    ],
)
def test_tables_of_captions_as_others_write_them(tmp_path, name, content) -> None:
    (tmp_path / "Images").mkdir()
    (tmp_path / "Images" / "0.jpg").write_bytes(photos.encoded(photos.picture(0)))
    (tmp_path / name).write_text(content)
    (record,) = find_photographs(str(tmp_path)).parts[0].layout.splits()["train"]
    assert record.captions == ("one , two", "other")
    assert record.image.read() == photos.encoded(photos.picture(0))


def test_one_table_for_folders_of_splits(tmp_path) -> None:
    folder = photos.image_folder(tmp_path, {"train": 3, "test": 2})
    lines = []
    for split in ("train", "test"):
        for line in (folder / split / "metadata.jsonl").read_text().splitlines():
            entry = json.loads(line)
            lines.append(json.dumps(entry | {"file_name": f"{split}/{entry['file_name']}"}))
        (folder / split / "metadata.jsonl").unlink()
    (folder / "metadata.jsonl").write_text("\n".join(lines))
    splits = splits_of(find_photographs(str(folder)), Subset())
    assert (told(splits["train"]), told(splits["test"])) == (expected(range(3)), expected(range(3, 5)))


def test_captions_in_text_files_beside_the_images(tmp_path) -> None:
    for number, kind in enumerate(("txt", "caption", "JPG.txt", "TXT")):
        (tmp_path / "deeper").mkdir(exist_ok=True)
        (tmp_path / "deeper" / f"{number}.JPG").write_bytes(photos.encoded(photos.picture(number)))
        (tmp_path / "deeper" / f"{number}.{kind}").write_text("\n".join(photos.captions(number)) + "\n")
    (tmp_path / "none.png").write_bytes(b"")
    (tmp_path / "latin.png").write_bytes(b"")
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9")
    (tmp_path / "readme.txt").write_text("about the pictures")
    source = find_photographs(str(tmp_path))
    assert isinstance(source.parts[0].layout, SideCars)
    records = list(source.parts[0].layout.splits()["train"])
    assert told([record for record in records if not record.problem]) == expected(range(4))
    assert {record.key: record.problem for record in records if record.problem} == {
        "latin.png": "its text file is not UTF-8",
        "none.png": "no text file of its name",
    }


def test_text_files_in_folders_of_splits(tmp_path) -> None:
    for number, split in enumerate(("train", "train", "valid")):
        (tmp_path / split).mkdir(exist_ok=True)
        (tmp_path / split / f"{number}.jpg").write_bytes(photos.encoded(photos.picture(number)))
        (tmp_path / split / f"{number}.txt").write_text("\n".join(photos.captions(number)))
    splits = splits_of(find_photographs(str(tmp_path)), Subset())
    # What is called validation is what is tested on, where there are no test images.
    assert (told(splits["train"]), told(splits["test"])) == (expected(range(2)), expected(range(2, 3)))


def test_a_folder_for_each_class(tmp_path) -> None:
    names = {"001.Black_footed_Albatross": "Black footed Albatross", "n02099601-golden_retriever": "golden retriever"}
    names |= {"AnnualCrop": "Annual Crop", "train": "train", "2CV": "2CV"}
    for number, name in enumerate(names):
        (tmp_path / name).mkdir()
        (tmp_path / name / "1.jpg").write_bytes(photos.encoded(photos.picture(number)))
    (tmp_path / "stray.jpg").write_bytes(b"")
    source = find_photographs(str(tmp_path))
    assert isinstance(source.parts[0].layout, ClassFolders)
    records = list(source.parts[0].layout.splits()["train"])
    assert [record.captions for record in records if not record.problem] == [(names[name],) for name in sorted(names)]
    assert [record.problem for record in records if record.problem] == ["in no folder of a class"]


def test_folders_of_classes_within_folders_of_splits(tmp_path) -> None:
    for split in ("train", "test"):
        for name in ("cat", "dog"):
            (tmp_path / split / name).mkdir(parents=True)
            (tmp_path / split / name / "1.jpg").write_bytes(photos.encoded(photos.picture(0)))
    splits = splits_of(find_photographs(str(tmp_path)), Subset())
    for split in ("train", "test"):
        assert [record.captions for record in splits[split]] == [("cat",), ("dog",)]


def test_pictures_without_captions_are_no_class_folder(tmp_path) -> None:
    for folder in ("images", "masks", "train", "test"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "1.jpg").write_bytes(photos.encoded(photos.picture(0)))
    (tmp_path / "train").rename(tmp_path / "images" / "train")
    with pytest.raises(UserError, match="4 images, but no captions") as error:
        find_photographs(str(tmp_path))
    for example in ("metadata.jsonl", ".tar", ".parquet", "boat.txt", "annotations/", "golden_retriever/"):
        assert example in error.value.cure


def test_a_shard_with_gaps_or_cut_short_gives_what_it_has(tmp_path) -> None:
    image = photos.encoded(photos.picture(0))
    path = photos.shard(
        tmp_path / "a.tar",
        {"no-image": (None, "x"), "no-text": (image, None), "b.c": (image, "é"), "last": (image, "z")},
    )
    records = list(read_shard(path))
    assert [bool(record.problem) for record in records] == [True, False, False, False]
    assert [record.captions for record in records] == [("x",), (), ("é",), ("z",)]
    path.write_bytes(path.read_bytes()[: 512 * 3])
    cut = list(read_shard(path))
    assert cut[0].captions == ("x",)
    assert "cannot be read to its end" in cut[-1].problem


def test_subsets_are_drawn_by_seed_and_by_theme(tmp_path) -> None:
    source = find_photographs(str(photos.coco_folder(tmp_path, 40, 20)))

    def keys(subset: Subset) -> list[str]:
        return [record.key for record in splits_of(source, subset)["train"]]

    assert len(keys(Subset(0.25))) == 10
    assert keys(Subset(0.25)) == keys(Subset(0.25)) == sorted(keys(Subset(0.25)), key=int)
    assert keys(Subset(0.25)) != keys(Subset(0.25, seed=1))
    assert keys(Subset(theme=("red", "white"))) == [str(n) for n in range(40) if n % 4 in (0, 3)]
    assert keys(Subset(theme=("BLOCK",))) == keys(Subset())
    # Words, or a theme that has a name.
    assert Subset.about("red, white,", 0.5, 3) == Subset(0.5, ("red", "white"), 3)
    assert Subset.about("livestock").theme == ("cow", "sheep")
    assert Subset.about("livestock", 0.5).suffix == "-livestock-0.5"
    assert set(Subset.about("pastoral").theme) < set(Subset.about("nature").theme)
    with pytest.raises(UserError, match="is left for train"):
        keys(Subset(theme=("re",)))
    with pytest.raises(UserError, match="fraction"):
        Subset(0.0)
    assert Subset(0.1, ("cow", "horse"), 3).suffix == "-cow-horse-0.1-seed3"


def test_words_can_be_left_out_of_training_captions(tmp_path) -> None:
    source = find_photographs(str(photos.coco_folder(tmp_path, 8, 4)))
    whole, part = splits_of(source, Subset()), splits_of(source, Subset.about("", without="red, picture"))
    assert [len(record.captions) for record in whole["train"]] == [2] * 8
    left = [record for record in whole["train"] if "this is red" not in record.captions]
    assert 0 < len(left) < 8
    assert [record.key for record in part["train"]] == [record.key for record in left]
    assert all(len(record.captions) == 1 and "picture" not in record.captions[0] for record in part["train"])
    assert part["test"] == whole["test"]  # what is measured on stays
    assert Subset.about("", without="red,spiky petal").suffix == "-without-red-spiky-petal"
    assert Subset.about("red", 0.5, without="blue").suffix == "-red-0.5-without-blue"
    with pytest.raises(UserError, match="is left for train"):
        splits_of(source, Subset.about("", without="block,this"))


def test_captions_are_cleaned_of_what_nobody_sees() -> None:
    long = "word " * 2500
    kept, notes = clean(["a\n dog\0 ", "a dog", "", " \t", "A dog", "狗在草地上", long])
    assert kept == ("a dog", "A dog", "狗在草地上", long.strip())
    assert sorted(notes) == ["empty caption dropped"] * 2 + ["repeated caption dropped"]


def test_unknown_names_and_folders_are_refused(tmp_path, monkeypatch) -> None:
    with pytest.raises(UserError, match="Did you mean coco-mini"):
        find_photographs("coco_mini")
    with pytest.raises(UserError, match="holds no images"):
        find_photographs(str(tmp_path))
    monkeypatch.setenv("TEXTVAE_DATA", str(tmp_path))
    monkeypatch.setenv("TEXTVAE_CACHE", str(tmp_path))
    with pytest.raises(UserError, match="TEXTVAE_DATA"):
        find_photographs("products")


def recognised(folder: Path) -> Recognised:
    photographs = find_photographs(str(folder))
    return summary(photographs, splits_of(photographs, Subset()))


def test_what_is_recognised_is_told(tmp_path) -> None:
    for number in range(20):
        (tmp_path / f"{number}.jpg").write_bytes(photos.encoded(photos.picture(number)))
        (tmp_path / f"{number}.txt").write_text("\n".join(photos.captions(number % 10)))
    (tmp_path / "blank.jpg").write_bytes(b"")
    (tmp_path / "blank.txt").write_text(" ")
    (tmp_path / "none.jpg").write_bytes(b"")
    found = recognised(tmp_path)
    assert found.layouts == {str(tmp_path): SideCars.TITLE}
    assert sum(found.images.values()) == 20
    assert set(found.images) == {"train", "test"}
    # "a red block, picture 0" and "this is red": 10 of the first kind, 4 of the second.
    assert (found.captions, found.words) == (14, 3 + 2 + 4 + 10)
    assert found.skipped == {"no caption": 1, "no text file of its name": 1}
    assert found.held_out == (str(tmp_path),)
    assert recognised(tmp_path) == found
    (tmp_path / "test").mkdir()
    (tmp_path / "train").mkdir()
    for path in [path for path in tmp_path.iterdir() if path.is_file()]:
        path.rename(tmp_path / ("test" if path.name.startswith("1") else "train") / path.name)
    assert recognised(tmp_path).images == {"test": 11, "train": 9}
    assert recognised(tmp_path).held_out == ()


def test_folders_are_searched_to_any_depth_but_not_through_links(tmp_path) -> None:
    deep = Path("/".join(["d"] * 300))
    (tmp_path / "a" / deep).mkdir(parents=True)
    (tmp_path / "a" / ".hidden").mkdir()
    (tmp_path / "a" / "round").symlink_to(tmp_path)
    for folder in (deep, ".hidden"):
        (tmp_path / "a" / folder / "1.jpg").write_bytes(photos.encoded(photos.picture(0)))
        (tmp_path / "a" / folder / "1.txt").write_text("x")
    (record,) = find_photographs(str(tmp_path / "a")).parts[0].layout.splits()["train"]
    assert record.key == f"{deep}/1.jpg"
    assert record.captions == ("x",)


def test_tables_beside_images_do_not_take_their_place(tmp_path) -> None:
    # As img2dataset leaves them.
    photos.shard(tmp_path / "one" / "00000.tar", {"a": (photos.encoded(photos.picture(0)), "x")})
    (tmp_path / "one" / "00000.parquet").write_bytes(b"")
    (tmp_path / "two" / "00000").mkdir(parents=True)
    (tmp_path / "two" / "00000" / "000000000.jpg").write_bytes(photos.encoded(photos.picture(0)))
    (tmp_path / "two" / "00000" / "000000000.txt").write_text("x")
    (tmp_path / "two" / "00000.parquet").write_bytes(b"")
    layouts = [find_photographs(str(tmp_path / name)).parts[0].layout for name in ("one", "two")]
    assert [type(layout) for layout in layouts] == [Shards, SideCars]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("coco-mini", {"train": (2145, 3009), "test": (400, 1997)}),
        ("flickr8k", {"train": (7086, 35421), "test": (1000, 4999)}),
        ("scenes", {"train": (9231, 38430), "test": (1400, 6996)}),
        ("flowers102", {"train": (6989, 6989), "test": (1200, 1200)}),
        ("products", {"train": (26000, 26000), "test": (3000, 3000)}),
    ],
)
def test_the_real_sources(name, counts) -> None:
    for source in PHOTOGRAPHS[name].parts or (name,):
        if not any(folder.is_dir() for folder in data_folders(source)):
            pytest.skip(f"{source} is not here: TEXTVAE_DATA does not hold it")
    splits = splits_of(find_photographs(name), Subset())
    found = {split: (len(records), sum(len(r.captions) for r in records)) for split, records in splits.items()}
    assert found == counts
    assert not any(record.problem for records in splits.values() for record in records)


def _tar(path: Path, *members: tuple[str, int | bytes, bytes]) -> Path:
    """A tar of (name, what its header says of its size, content)."""
    blocks = b""
    for name, size, content in members:
        header = tarfile.TarInfo(name)
        header.size = len(content)
        block = bytearray(header.tobuf(tarfile.USTAR_FORMAT, "utf-8", "surrogateescape"))
        if isinstance(size, int) and size != len(content):
            block[124:136] = (size % (1 << 96)).to_bytes(12, "big")  # base 256, in which negative sizes can be written
            block[124] |= 0x80
        block[148:156] = b"        "
        block[148:156] = f"{sum(block):06o}\0 ".encode()
        blocks += bytes(block) + content + b"\0" * (-len(content) % 512)
    path.write_bytes(blocks + b"\0" * 1024)
    return path


@pytest.mark.timeout(20)
@pytest.mark.parametrize("size", [-512, -1024, 1 << 42, 1600])
def test_a_shard_with_a_wrong_size_ends_there(tmp_path, size) -> None:
    image = photos.encoded(photos.picture(0))
    path = _tar(tmp_path / "a.tar", ("a.jpg", len(image), image), ("a.txt", 5, b"a dog"), ("b.txt", size, b"x" * 512))
    records = list(read_shard(path))
    assert (records[0].captions, records[0].problem) == (("a dog",), "")
    assert "cannot be read to its end" in records[-1].problem


def test_a_shard_with_a_damaged_header_says_so(tmp_path) -> None:
    path = _tar(tmp_path / "a.tar", ("a.txt", 5, b"a dog"), ("b.txt", 5, b"a cat"))
    content = bytearray(path.read_bytes())
    content[1024 + 150] ^= 1
    path.write_bytes(bytes(content))
    assert "header at byte 1,024 is damaged" in list(read_shard(path))[-1].problem


def test_latin_1_names_and_captions_are_told(tmp_path) -> None:
    image = photos.encoded(photos.picture(0))
    name = "caf\udce9"
    path = _tar(tmp_path / "a.tar", (f"{name}.jpg", len(image), image), (f"{name}.txt", 4, b"caf\xe9"))
    (record,) = read_shard(path)
    assert (record.key, record.captions, record.problem) == ("a/caf\\udce9", (), "its caption is not UTF-8")
    path = _tar(path, ("a.jpg", len(image), image), ("a.txt", 1 << 17, b"x" * (1 << 17)))
    assert "131,072 bytes" in next(read_shard(path)).problem
    (tmp_path / "metadata.jsonl").write_bytes(
        b'{"file_name": "a\\ud800\\u001b.jpg", "text": "\\ud800 a dog"}\n{"file_name": "b.jpg", "text": "caf\xe9"}\n'
        b'{"file_name": "c.jpg", "text": {"a": 1}}\n'
    )
    first, *others = ImageFolder(tmp_path).splits()["train"]
    assert (first.key, first.problem) == ("a\\ud800\\x1b.jpg", "")
    assert [record.key for record in others if record.problem] == ["line 2", "line 3"]
    with pytest.raises(Unreadable, match="no such file"):
        first.image.read()
