"""Sets in parts: published, trained on by their URL with bounded room, and refused where they are damaged."""

import contextlib
import http.server
import json
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import fsspec
import pytest
import torch
from helpers import tiny
from helpers.pictures import folder_of_pictures
from helpers.together import commands

from textvae import data
from textvae.data import part_cache, remote
from textvae.data.captioned_images import CaptionedImages
from textvae.data.remote import ImagesInParts, remote_set
from textvae.experiment.stages import start_stage
from textvae.experiment.train import train_recipe
from textvae.preparation import publish as publishing
from textvae.preparation.prepare import prepare
from textvae.preparation.publish import publish
from textvae.recipes.conditions import conditions_for, with_captions
from textvae.recipes.resolve import resolve
from textvae.training.loop import Training
from textvae.utils.errors import UserError
from textvae.utils.permutation import Permutation
from textvae.utils.processes import Processes
from textvae.utils.windows import WindowedOrder

PICTURES, ROWS = 70, 5
"""63 training pictures, in 13 parts."""


@pytest.fixture
def local(tmp_path, tiny_data, monkeypatch) -> str:
    """A prepared set, by its name."""
    tiny.write(tmp_path / "cache")
    monkeypatch.setenv("TEXTVAE_CACHE", str(tmp_path / "cache"))
    tiny.pictures_in_this_process(monkeypatch.setitem)
    made = prepare(str(folder_of_pictures(tmp_path / "boats", PICTURES)), 64, "words", workers=1)
    monkeypatch.setattr(publishing, "PART_BYTES", ROWS * (3 * 64 * 64 + 400))
    monkeypatch.setattr(part_cache, "PAUSE_S", 0.0)
    remote_set.cache_clear()
    return str(made["name"])


@pytest.fixture
def url(local, tmp_path) -> str:
    url = f"file://{tmp_path / 'bucket' / 'boats'}"
    publish(local, url)
    return url


def parts_here(cache: Path) -> list[Path]:
    return list(cache.glob("parts/*/*.safetensors"))


def published(numbers: torch.Tensor) -> torch.Tensor:
    """The rows in the prepared set, which is published in random order."""
    order = Permutation(0, 63).part(0, 63)
    assert sorted(order.tolist()) == list(range(63)) != order.tolist()
    return order[numbers]


def trained(images: CaptionedImages | ImagesInParts, cpu, steps: int, begin: int = 0) -> list[torch.Tensor]:
    """Losses of some steps, from the initial weights, and the weights."""
    recipe = resolve("latent-flow-photos", data=images.name, overrides={"trainer": {"batch_size": 4, "epochs": 3}})
    recipe = with_captions(recipe, images)
    torch.manual_seed(0)
    conditions = conditions_for(images, recipe)
    known, ranges = conditions if isinstance(conditions, tuple) else (conditions, None)
    training = Training(recipe.model.build(), images, known, recipe.trainer, cpu, ranges)
    training.step = begin
    losses = [step.loss.total.detach() for step, _ in zip(training.steps(), range(steps), strict=False)]
    return [*losses, *training.model.state_dict().values()]


def test_all_rows_of_all_parts_are_visited_once_in_an_order_by_seed_and_epoch() -> None:
    sizes = [5, 5, 5, 5, 5, 2]
    orders = {key: WindowedOrder(*key[:1], sizes, key[1], 2) for key in ((0, 0), (0, 1), (1, 0))}
    whole = {key: order.part(0, 99).tolist() for key, order in orders.items()}
    assert all(sorted(rows) == list(range(27)) for rows in whole.values())
    assert len({tuple(rows) for rows in whole.values()}) == 3
    first = orders[0, 0]
    assert whole[0, 0] == WindowedOrder(0, sizes, 0, 2).part(0, 27).tolist()
    assert [*first.part(0, 7).tolist(), *first.part(7, 8).tolist(), *first.part(8, 30).tolist()] == whole[0, 0]
    # The rows of a window are those of its two parts, mixed.
    window = first.part(0, int(sum(sizes[part] for part in first.windows[0])))
    assert {row // 5 for row in window.tolist()} == set(first.windows[0].tolist())
    assert window.tolist() != sorted(window.tolist())
    assert first.next.equal(orders[0, 1].windows[0])


def test_a_published_set_holds_what_the_prepared_set_holds(local, url) -> None:
    whole, images = data.load(local, "train"), data.training_images(url)
    assert isinstance(images, ImagesInParts)
    assert len(images) == len(whole) == 63
    assert len(images.parts) > 10
    numbers = torch.tensor([62, 0, 7, 31, 7])
    before = published(numbers)
    assert images[numbers].equal(whole.images[before])
    which, rows = images.places(numbers)
    for number, part, row in zip(before.tolist(), which.tolist(), rows.tolist(), strict=True):
        found = images.cache.part(part)
        mine = slice(*found.caption_range[row].tolist())
        assert found.captions[mine] == whole.captions[slice(*whole.caption_range[number].tolist())]
    tests = data.load(url, "test"), data.load(local, "test")
    assert tests[0].images.equal(tests[1].images)
    assert [tests[0].captions[n] for n in tests[0].caption_range[:, 0].tolist()] == [
        tests[1].captions[n] for n in tests[1].caption_range[:, 0].tolist()
    ]
    recipes = [with_captions(resolve("latent-flow-photos", data=images.name), images) for images in (whole, images)]
    assert recipes[0].text == recipes[1].text
    assert len(recipes[0].text.words) > 4


@pytest.mark.slow
def test_a_training_resumes_in_the_middle_of_an_epoch_with_the_room_of_two_windows(
    url, local, cpu, tmp_path, monkeypatch
) -> None:
    monkeypatch.setattr("textvae.training.rows.WINDOW", 2)
    most = []
    plain = part_cache.Bucket.copy

    def copied(self, facts, target) -> None:
        plain(self, facts, target)
        most.append(len(parts_here(tmp_path / "cache")))

    monkeypatch.setattr(part_cache.Bucket, "copy", copied)
    images = data.training_images(url)
    whole = trained(images, cpu, 20)
    assert max(most) <= 2 * 2 + 1
    assert len(most) > len(images.parts)  # all were fetched, and some again in the second epoch
    # Another cache, and from the sixth step on: other weights, but the same images.
    monkeypatch.setenv("TEXTVAE_CACHE", str(tmp_path / "other"))
    again = trained(data.training_images(url), cpu, 20)
    assert all(a.equal(b) for a, b in zip(whole, again, strict=True))
    seen: list[torch.Tensor] = []
    plain_rows = ImagesInParts.__getitem__

    def noted(self, numbers):
        seen.append(numbers)
        return plain_rows(self, numbers)

    monkeypatch.setattr(ImagesInParts, "__getitem__", noted)
    trained(data.training_images(url), cpu, 3, begin=5)
    order = WindowedOrder(0, images.sizes, 0, 2)
    assert seen[0].equal(order.part(20, 24))


@pytest.mark.slow
def test_every_stage_is_trained_on_a_url_by_one_and_by_three_processes(url, tmp_path, textvae, monkeypatch) -> None:
    words = ("train", "latent-flow-photos", "--data", url, *tiny.HOW, "--trainer.validation-images", "6")
    words += ("--flow.trainer.flip", "--flow.trainer.epochs", "1")
    code, _, err = textvae(*words, "--out", tmp_path / "one")
    assert code == 0, err
    case = {"words": [*map(str, words), "--out", str(tmp_path / "three")], "processes": 3}
    (result,) = commands(tmp_path, [case], TINY_PHOTOS="1")
    assert result["codes"] == [0, 0, 0], result["stderr"]
    rows = [(tmp_path / run / "history.jsonl").read_text().splitlines() for run in ("one", "three")]
    for one, three in zip(*[map(json.loads, lines) for lines in rows], strict=True):
        assert one["loss"] == pytest.approx(three["loss"], rel=1e-3, abs=1e-4)
    code, out, err = textvae("evaluate", tmp_path / "one", "--importance-samples", "2", "--json")
    assert code == 0, err
    assert json.loads(out)["protocol"]["data"] == url


@pytest.mark.slow
def test_the_flow_is_trained_on_the_latents_of_images_in_parts(url, local, cpu, tmp_path, textvae) -> None:
    words = ("train", "latent-flow-photos", "--prior", "own", *tiny.HOW)
    code, _, err = textvae(*words, "--data", url, "--out", tmp_path / "run")
    assert code == 0, err
    found = []
    for name in (local, url):
        images = data.training_images(name)
        recipe = with_captions(resolve("latent-flow-photos", data=name), images)
        stage = start_stage(
            "flow", recipe, images, conditions_for(images, recipe), cpu, tmp_path / "run", {}, Processes()
        )
        numbers = torch.tensor([3, 40, 11])
        numbers = published(numbers) if name == local else numbers
        latents, chosen = stage.training.rows.gather(numbers, torch.tensor([0.0, 0.9, 0.5]))
        found.append((latents, chosen, stage.training.model.prior.scale))
    for of_local, of_url in zip(*found, strict=True):
        torch.testing.assert_close(of_local, of_url)


def test_any_file_system_of_fsspec_will_do(local, url, tmp_path, monkeypatch) -> None:
    made = publish(local, "memory://boats")
    assert made["splits"]["train"]["images"] == 63
    with pytest.raises(UserError, match="overwrite"):
        publish(local, "memory://boats")
    monkeypatch.setattr(publishing, "PART_BYTES", 10**9)
    publish(local, "memory://boats", overwrite=True)
    assert len(fsspec.filesystem("memory").ls("/boats")) == 4  # two parts, words and the manifest
    images, there = data.training_images("memory://boats"), data.training_images(url)
    assert images[torch.arange(63)].equal(there[torch.arange(63)])
    with pytest.raises(UserError, match="chain"):
        publish(local, "simplecache::memory://boats")
    with pytest.raises(UserError):
        data.load("nosuchscheme://boats", "test")
    with pytest.raises(UserError, match="cannot be read"):
        data.load("memory://nothing", "test")


@contextlib.contextmanager
def served(folder: Path, cut: int | None = None) -> Iterator[str]:
    """The URL of a folder that Python's own server serves, which knows no ranges; with ``cut``, the first answer ends
    after so many bytes.
    """
    left = [cut]

    class Handler(http.server.SimpleHTTPRequestHandler):
        def copyfile(self, source, outputfile) -> None:
            limit = left.pop() if left else None
            if limit is None:
                super().copyfile(source, outputfile)
            else:
                outputfile.write(source.read(limit))
                self.close_connection = True

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


def test_a_set_is_read_from_any_http_server(url, local, tmp_path, cpu) -> None:
    with served(tmp_path / "bucket") as server:
        there = f"{server}/boats"
        images = data.training_images(there)
        assert images[torch.arange(63)].equal(data.training_images(url)[torch.arange(63)])
        losses = [trained(data.training_images(place), cpu, 2)[:2] for place in (there, url)]
        assert losses[0] == losses[1]
        next((tmp_path / "bucket" / "boats").glob("test-*")).unlink()
        with pytest.raises(UserError, match=r"test-000000.*cannot be read"):
            data.load(there, "test")
        with pytest.raises(UserError, match="cannot be read"):
            data.load(f"{server}/nothing", "test")
        with pytest.raises(UserError, match="cannot be written"):
            publish(local, f"{server}/new")
    with pytest.raises(UserError, match="cannot be read"):
        part_cache.Bucket(server).read("manifest.json", 10)


def test_a_large_file_of_an_http_server_is_read_to_its_end(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(part_cache, "PAUSE_S", 0.0)
    content = torch.arange(3_000_000, dtype=torch.int32).numpy().tobytes()
    (tmp_path / "file").write_bytes(content)
    for cut in (None, 7_000_001):
        with served(tmp_path, cut) as server:
            assert part_cache.Bucket(server).read("file", len(content)) == content
            with pytest.raises(UserError, match="has more than"):
                part_cache.Bucket(server).read("file", len(content) - 1)


@pytest.mark.parametrize("damage", ["truncated", "changed", "gone", "replaced"])
def test_a_damaged_part_is_one_clear_line(damage, url, tmp_path) -> None:
    part = next((tmp_path / "bucket" / "boats").glob("train-000003-*"))
    content = part.read_bytes()
    if damage == "truncated":
        part.write_bytes(content[:-1])
    elif damage == "changed":
        part.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    elif damage == "gone":
        part.unlink()
    else:
        part.write_bytes(b"a" * len(content))
    images = data.training_images(url)
    assert images[torch.tensor([0])].shape == (1, 3, 64, 64)
    with pytest.raises(UserError, match="train-000003"):
        images[torch.arange(63)]
    assert not [file for file in parts_here(tmp_path / "cache") if "train-000003" in file.name]


def test_a_part_that_was_damaged_in_the_cache_is_fetched_again(url, tmp_path) -> None:
    images = data.training_images(url)
    images.cache.part(0)
    (file,) = parts_here(tmp_path / "cache")
    file.write_bytes(b"a" * file.stat().st_size)
    again = data.training_images(url)
    assert again[torch.arange(3)].float().std() > 1


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("parts", {}),
        ("parts", {"train": [["../../etc/passwd", 5, 5, "0"]], "test": [["x", 1, 1, "0"]]}),
        ("parts", {"train": [["train-000000-00000000.safetensors", -5, 5, "0"]], "test": []}),
        ("splits", []),
        ("side", 10**9),
        ("text", None),
    ],
)
def test_a_damaged_manifest_is_one_clear_line(key, value, url, tmp_path) -> None:
    file = tmp_path / "bucket" / "boats" / "manifest.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {key: value}))
    remote_set.cache_clear()
    with pytest.raises(UserError, match="manifest"):
        data.training_images(url)


def test_a_part_that_is_not_what_the_manifest_declares_is_refused(url, tmp_path) -> None:
    folder = tmp_path / "bucket" / "boats"
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["parts"]["train"][0][1] += 1
    (folder / "manifest.json").write_text(json.dumps(manifest))
    remote_set.cache_clear()
    with pytest.raises(UserError, match="damaged"):
        data.training_images(url)[torch.tensor([0])]


def test_reading_goes_on_after_a_failure(url, tmp_path, monkeypatch) -> None:
    bucket = part_cache.Bucket(url)
    plain, failed = bucket._files.open, []

    def flaky(path: str, mode: str):
        if len(failed) < part_cache.TRIES - 1:
            failed.append(path)
            raise TimeoutError("the network is slow")
        return plain(path, mode)

    monkeypatch.setattr(bucket._files, "open", flaky)
    assert json.loads(bucket.read("manifest.json", 10**6))["side"] == 64
    assert len(failed) == 2
    with pytest.raises(UserError, match="more than 10 bytes"):
        bucket.read("manifest.json", 10)
    assert fsspec.filesystem("file").exists(str(tmp_path))
    assert remote.is_url(url)


def test_images_whose_mirrored_ones_are_trained_on_are_not_held_out(url, cpu, tmp_path) -> None:
    held_out = {"flow": {"trainer": {"validation_images": 4}}}
    with pytest.raises(UserError, match="mirrored"):
        train_recipe(resolve("latent-flow-photos", data=url, overrides=held_out), tmp_path / "run", cpu)
    assert not (tmp_path / "run").exists()
