"""Parquet as the hub has it, Arrow as the datasets library saves it, and the hub's address: the same records."""

import json

import pytest
from helpers import photos

from textvae.preparation.layouts import find_photographs
from textvae.preparation.layouts.tables import Tables
from textvae.preparation.record import Record
from textvae.preparation.subset import Subset, splits_of
from textvae.utils.errors import UserError
from textvae.utils.pictures import Unreadable

pyarrow = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")


def rows(numbers: range) -> dict:
    images = [{"bytes": photos.encoded(photos.picture(n)), "path": f"{n}.jpg"} for n in numbers]
    return {"image": images, "text": [photos.captions(n) for n in numbers]}


def seen(records: list[Record]) -> list[tuple[list[str], bytes]]:
    return [(list(record.captions), record.image.read()) for record in records if record.image]


def expected(numbers: range) -> list[tuple[list[str], bytes]]:
    return [(photos.captions(n), photos.encoded(photos.picture(n))) for n in numbers]


def splits(folder: object) -> dict[str, list[Record]]:
    return splits_of(find_photographs(str(folder)), Subset())


@pytest.mark.slow
def test_parquet_files_of_the_hub(tmp_path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "README.md").write_text("a card")
    for split, first, last in (("train", 0, 50), ("test", 50, 53)):
        file = tmp_path / "data" / f"{split}-00000-of-00001.parquet"
        parquet.write_table(pyarrow.table(rows(range(first, last))), file, row_group_size=20)
    found = find_photographs(str(tmp_path))
    assert isinstance(found.parts[0].layout, Tables)
    records = splits(tmp_path)
    assert (seen(records["train"]), seen(records["test"])) == (expected(range(50)), expected(range(50, 53)))
    # In any order, though it is quick only forwards.
    for number in (45, 3, 22, 21):
        assert records["train"][number].image.read() == photos.encoded(photos.picture(number))
    assert len({record.key for record in records["train"]}) == 50


def test_classes_are_captions(tmp_path) -> None:
    names = ["red", "green", "blue", "white"]
    features = {"img": {"_type": "Image"}, "label": {"_type": "ClassLabel", "names": names}}
    table = pyarrow.table({"img": rows(range(12))["image"], "label": [n % 4 for n in range(11)] + [9]})
    metadata = {b"huggingface": json.dumps({"info": {"features": features}}).encode()}
    parquet.write_table(table.replace_schema_metadata(metadata), tmp_path / "a.parquet")
    records = list(find_photographs(str(tmp_path)).parts[0].layout.splits()["train"])
    assert [record.captions for record in records] == [(names[n % 4],) for n in range(11)] + [()]


def test_plain_bytes_names_of_files_and_missing_images(tmp_path) -> None:
    image = photos.encoded(photos.picture(0))
    table = pyarrow.table({"jpg": [image, None, b"", image], "caption": ["a", "b", "c", None]})
    parquet.write_table(table, tmp_path / "train.parquet")
    records = list(find_photographs(str(tmp_path)).parts[0].layout.splits()["train"])
    assert [record.captions for record in records] == [("a",), ("b",), ("c",), ()]
    assert records[0].image.read() == image
    with pytest.raises(Unreadable, match="no image"):
        records[1].image.read()
    other = tmp_path / "other"
    other.mkdir()
    (other / "0.jpg").write_bytes(image)
    table = pyarrow.table({"file_name": ["0.jpg", "../train.parquet"], "text": ["a", "b"]})
    parquet.write_table(table, other / "train.parquet")
    first, second = find_photographs(str(other)).parts[0].layout.splits()["train"]
    assert first.image.read() == image
    assert "leads out" in second.problem


@pytest.mark.parametrize("content", [b"PAR1 is how it begins", b""])
def test_damaged_and_unfit_tables_are_refused(tmp_path, content) -> None:
    (tmp_path / "train.parquet").write_bytes(content)
    with pytest.raises(UserError, match=r"train.parquet cannot be read"):
        splits(tmp_path)
    parquet.write_table(pyarrow.table({"a": ["x"], "b": [1]}), tmp_path / "train.parquet")
    with pytest.raises(UserError, match="no column of images; its columns: a, b"):
        splits(tmp_path)


@pytest.mark.slow
def test_saved_data_sets_and_the_address_of_the_hub(tmp_path, monkeypatch) -> None:
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "hf")
    datasets.disable_progress_bars()
    made = {}
    for split, numbers in (("train", range(30)), ("validation", range(30, 33))):
        made[split] = datasets.Dataset.from_dict(rows(numbers)).cast_column("image", datasets.Image())
    datasets.DatasetDict(made).save_to_disk(tmp_path / "saved")
    for split, table in made.items():
        file = tmp_path / "owner" / "blocks" / "data" / f"{split}-00000-of-00001.parquet"
        file.parent.mkdir(parents=True, exist_ok=True)
        table.to_parquet(file)
    # A folder OWNER/NAME is to the library what a data set of the hub is.
    monkeypatch.chdir(tmp_path)
    for source in (tmp_path / "saved", tmp_path / "owner" / "blocks", "hf://datasets/owner/blocks"):
        records = splits(source)
        assert (seen(records["train"]), seen(records["test"])) == (expected(range(30)), expected(range(30, 33)))
    about = find_photographs("hf://datasets/owner/blocks").about
    assert (about.name, about.home) == ("owner-blocks", "https://huggingface.co/datasets/owner/blocks")


def test_addresses_that_are_none(tmp_path, monkeypatch) -> None:
    with pytest.raises(UserError, match="no address"):
        find_photographs("hf://datasets/../../etc/x")
    datasets = pytest.importorskip("datasets")

    def refuse(*_: object, **__: object) -> None:
        raise ConnectionError("Couldn't reach the hub\n\x1b[31m")

    monkeypatch.setattr(datasets, "load_dataset", refuse)
    with pytest.raises(UserError, match=r"Couldn't reach the hub") as error:
        splits("hf://datasets/owner/name")
    assert "\x1b" not in str(error.value)


def test_without_pyarrow_it_says_what_to_install(tmp_path, monkeypatch) -> None:
    parquet.write_table(pyarrow.table(rows(range(2))), tmp_path / "train.parquet")
    for module in ("pyarrow", "pyarrow.parquet", "pyarrow.types"):
        monkeypatch.setitem(__import__("sys").modules, module, None)
    with pytest.raises(UserError, match="need pyarrow") as error:
        splits(tmp_path)
    assert "textvae[parquet]" in error.value.cure


def test_an_arrow_file_with_a_wrong_offset_is_refused(tmp_path) -> None:
    file = tmp_path / "data-00000-of-00001.arrow"
    table = pyarrow.record_batch([pyarrow.array([b"abcd", b"efgh"]), pyarrow.array(["a", "b"])], ["image", "text"])
    with pyarrow.OSFile(str(file), "wb") as out, pyarrow.ipc.new_stream(out, table.schema) as writer:
        writer.write_batch(table)
    right, wrong = (b"".join(end.to_bytes(4, "little") for end in (0, 4, last)) for last in (8, 1 << 30))
    content = file.read_bytes()
    assert content.count(right) == 1
    file.write_bytes(content.replace(right, wrong))
    with pytest.raises(UserError, match="cannot be read"):
        splits(tmp_path)
