import contextlib
import gzip
import hashlib
import math
import struct
import tracemalloc
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from textvae.data.idx import MAX_BYTES, read_idx
from textvae.utils.errors import UserError

quick = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def idx(shape: list[int], content: bytes) -> bytes:
    return bytes([0, 0, 8, len(shape)]) + struct.pack(f">{len(shape)}I", *shape) + content


def written(folder: Path, content: bytes) -> Path:
    path = folder / "some-idx"
    path.write_bytes(content)
    return path


def refused(path: Path, sha256: str | None = None) -> str:
    with pytest.raises(UserError) as error:
        read_idx(path, sha256)
    assert str(path) in error.value.cause
    assert "\n" not in error.value.cause
    assert "fetch" in error.value.cure
    return error.value.cause


@st.composite
def files(draw: st.DrawFn) -> tuple[list[int], bytes]:
    shape = draw(st.lists(st.integers(1, 5), min_size=1, max_size=4))
    return shape, draw(st.binary(min_size=math.prod(shape), max_size=math.prod(shape)))


packings = st.sampled_from([bytes, gzip.compress])


@quick
@given(files(), packings)
def test_round_trip(tmp_path, file, pack):
    shape, content = file
    data = idx(shape, content)
    read = read_idx(written(tmp_path, pack(data)), hashlib.sha256(data).hexdigest())
    assert read.shape == tuple(shape)
    assert read.dtype == torch.uint8
    assert read.flatten().numpy().tobytes() == content


@quick
@given(files(), packings, st.data())
def test_any_truncation_is_refused(tmp_path, file, pack, data):
    whole = idx(*file)
    refused(written(tmp_path, pack(whole[: data.draw(st.integers(0, len(whole) - 1))])))


@quick
@given(files(), st.data())
def test_any_truncation_of_the_packing_is_refused(tmp_path, file, data):
    packed = gzip.compress(idx(*file))
    refused(written(tmp_path, packed[: data.draw(st.integers(0, len(packed) - 1))]))


@quick
@given(files(), packings, st.binary(min_size=1, max_size=20))
def test_any_extension_is_refused(tmp_path, file, pack, tail):
    refused(written(tmp_path, pack(idx(*file) + tail)))


@quick
@given(files(), packings, st.data())
def test_any_changed_header_byte_is_refused(tmp_path, file, pack, data):
    shape, content = file
    changed = bytearray(idx(shape, content))
    place = data.draw(st.integers(0, 3 + 4 * len(shape)))
    changed[place] ^= data.draw(st.integers(1, 255))
    refused(written(tmp_path, pack(bytes(changed))))


@quick
@given(files(), st.data())
def test_damaged_packing_never_passes_for_the_file(tmp_path, file, data):
    whole = idx(*file)
    changed = bytearray(gzip.compress(whole))
    changed[data.draw(st.integers(0, len(changed) - 1))] ^= data.draw(st.integers(1, 255))
    path = written(tmp_path, bytes(changed))
    # gzip's header has bytes that mean nothing (its time stamp); whatever is accepted must be the content.
    try:
        read = read_idx(path)
    except UserError:
        return
    assert read.flatten().numpy().tobytes() == file[1]


@quick
@given(st.binary(max_size=60))
def test_arbitrary_bytes_raise_nothing_but_a_user_error(tmp_path, content):
    for data in (content, gzip.compress(content), b"\x1f\x8b" + content, b"\0\0\x08" + content):
        with contextlib.suppress(UserError):
            read_idx(written(tmp_path, data))


def test_wrong_checksum_is_refused(tmp_path):
    assert "SHA-256" in refused(written(tmp_path, idx([2], b"ab")), "0" * 64)


def test_wrong_crc_is_refused(tmp_path):
    packed = bytearray(gzip.compress(idx([400], bytes(400))))
    packed[-8] ^= 1
    assert "gzip" in refused(written(tmp_path, bytes(packed)))


@pytest.mark.parametrize("shape", [[0], [3, 0], [0xFFFFFFFF] * 4, [MAX_BYTES + 1], [1 << 16, 1 << 16]])
def test_empty_and_absurd_dimensions_are_refused(tmp_path, shape):
    assert "promises" in refused(written(tmp_path, idx(shape, b"")))


@pytest.mark.parametrize("head", [b"\0\0\x09\x01", b"\0\0\x08\x00", b"\0\0\x08\x05", b"\x01\0\x08\x01"])
def test_other_types_and_dimension_counts_are_refused(tmp_path, head):
    assert head.hex() in refused(written(tmp_path, head + bytes(4 * 5) + b"x"))


@pytest.mark.parametrize("shape", [[8], [MAX_BYTES]])
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_neither_bombs_nor_lying_headers_cost_memory(tmp_path, shape, pack):
    bomb = written(tmp_path, pack(idx(shape, bytes(30_000_000))))
    tracemalloc.start()
    try:
        if shape == [8] or pack is bytes:
            refused(bomb)
            assert tracemalloc.get_traced_memory()[1] < 1_000_000
        else:
            # The header promises a gigabyte: memory follows what has arrived, not what was promised.
            refused(bomb)
            assert tracemalloc.get_traced_memory()[1] < 80_000_000
    finally:
        tracemalloc.stop()


def test_missing_file_and_folder_are_user_errors(tmp_path):
    assert "no such file" in refused(tmp_path / "nowhere")
    assert "directory" in refused(tmp_path)
