"""Weights, training state and history of a run belong together, whatever a killed process left behind."""

import random

import pytest
import torch

from textvae.runs import checkpoint
from textvae.runs.checkpoint import PENDING, STATE, read_state, recover, write_checkpoint
from textvae.runs.files import HISTORY, MODEL
from textvae.runs.run import checksum, read_history, stored_checksum, write_weights
from textvae.utils.errors import UserError


def state(step: int) -> dict:
    return {"step": step, "history": [{"step": step, "seconds": 1.0, "loss": {"total": 2.0}}]}


def weights(step: int) -> dict[str, torch.Tensor]:
    return {"weight": torch.full((2, 3), float(step)), "count": torch.tensor(step), "flag": torch.tensor(True)}


class Killed(Exception):
    pass


def test_a_checkpoint_is_replaced_whole_or_not_at_all(tmp_path, monkeypatch):
    write_checkpoint(tmp_path, weights(1), state(1))
    assert recover(tmp_path) == state(1)

    def kill(*_: object) -> None:
        raise Killed

    for name, after in (("write_weights", 1), ("write_history", 2)):
        with monkeypatch.context() as patch:
            patch.setattr(checkpoint, name, kill)
            with pytest.raises(Killed):
                write_checkpoint(tmp_path, weights(2), state(2))
        assert (tmp_path / PENDING).exists()
        assert recover(tmp_path) == state(after)
        assert stored_checksum(tmp_path) == checksum(weights(after))
        assert read_history(tmp_path) == state(after)["history"]
        assert {path.name for path in tmp_path.iterdir()} == {MODEL, STATE, HISTORY}


def test_weights_of_another_moment_are_noticed(tmp_path):
    write_checkpoint(tmp_path, weights(1), state(1))
    write_weights(tmp_path, weights(2))
    with pytest.raises(UserError, match="belongs to another"):
        recover(tmp_path)


def test_equal_weights_are_equal_files_and_different_ones_have_other_checksums(tmp_path):
    for folder in ("one", "two"):
        write_weights(tmp_path / folder, weights(1))
    assert (tmp_path / "one" / MODEL).read_bytes() == (tmp_path / "two" / MODEL).read_bytes()
    named = weights(1)
    others = [
        {**named, "weight": named["weight"].half()},
        {**named, "weight": named["weight"].reshape(3, 2)},
        {"w": named["weight"], "count": named["count"], "flag": named["flag"]},
    ]
    assert len({checksum(each) for each in (named, *others)}) == 4


def test_a_flipped_bit_in_a_tensor_of_the_state_is_noticed(tmp_path):
    write_checkpoint(tmp_path, {"w": torch.zeros(1)}, {**state(1), "moment": torch.randn(20_000)})
    content, chance = (tmp_path / STATE).read_bytes(), random.Random(0)
    start = content.index(read_state(tmp_path)["moment"].numpy().tobytes())
    for _ in range(20):
        damaged = bytearray(content)
        damaged[start + chance.randrange(80_000)] ^= 1 << chance.randrange(8)
        (tmp_path / STATE).write_bytes(damaged)
        with pytest.raises(UserError, match="damaged"):
            read_state(tmp_path)


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "3", '{"loss": 3}', '{"step": 1, "seconds": "1", "loss": {}}', "\xff"]
)
def test_a_broken_history_is_refused(tmp_path, content):
    (tmp_path / HISTORY).write_bytes(content.encode("latin-1"))
    if content:
        with pytest.raises(UserError, match="cannot be read"):
            read_history(tmp_path)
    else:
        assert read_history(tmp_path) == []
