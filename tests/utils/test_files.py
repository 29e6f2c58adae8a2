import os
import stat

import pytest

from textvae.utils.errors import UserError
from textvae.utils.files import alone, read_json, sweep, temporary_target, write_json, write_text, written_whole


def test_a_file_is_written_whole_or_not_at_all(tmp_path):
    path = tmp_path / "numbers.json"
    write_json(path, {"a": 1})
    with pytest.raises(RuntimeError, match="half way"), written_whole(path) as temporary:
        temporary.write_text("half of i")
        raise RuntimeError("half way")
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json(path, {"a": float("nan")})
    assert path.read_text() == '{\n  "a": 1\n}\n'
    assert [p.name for p in tmp_path.iterdir()] == ["numbers.json"]


def test_an_existing_file_keeps_its_permissions(tmp_path):
    path = tmp_path / "private"
    write_text(path, "one")
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    path.chmod(0o600)
    write_text(path, "two")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_only_regular_files_are_replaced(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "target").write_text("kept")
    (tmp_path / "link").symlink_to(tmp_path / "target")
    os.mkfifo(tmp_path / "pipe")
    for name in ("folder", "link", "pipe", "target/below"):
        with pytest.raises(UserError, match=r"folder|link|pipe|directory"):
            write_text(tmp_path / name, "new")
    assert (tmp_path / "target").read_text() == "kept"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["folder", "link", "pipe", "target"]


def test_an_unwritable_place_and_a_full_disk_are_the_user_s_to_mend(tmp_path):
    with pytest.raises(UserError, match="cannot be written"):
        write_text(tmp_path / ("x" * 250), "a name that is too long once it has a suffix")
    with pytest.raises(UserError, match="No space left"), written_whole(tmp_path / "big"):
        raise OSError(28, "No space left on device")
    with pytest.raises(OSError, match="not mine"), written_whole(tmp_path / "other"):
        raise OSError(5, "not mine")
    assert not list(tmp_path.iterdir())


def test_a_lock_is_held_once_and_removed(tmp_path):
    with alone(tmp_path / "lock") as first, alone(tmp_path / "lock") as second:
        assert (first, second) == (True, False)
    assert not list(tmp_path.iterdir())


def test_a_lock_follows_no_link_and_changes_no_file(tmp_path):
    (tmp_path / "target").write_text("kept")
    (tmp_path / "link").symlink_to(tmp_path / "target")
    os.mkfifo(tmp_path / "pipe")
    for name in ("link", "pipe", "target/below"):
        with pytest.raises(UserError), alone(tmp_path / name):
            pass
    # A hard link would be the same file: it is locked, not truncated.
    os.link(tmp_path / "target", tmp_path / "hard")
    with alone(tmp_path / "hard") as mine:
        assert mine
    assert (tmp_path / "target").read_text() == "kept"


def test_temporary_files_of_dead_writers_alone_are_swept(tmp_path):
    left = (".a.json.abcd1234.part", ".b.json.abcd1234.part", ".a.json.part", "a.json.abcd1234.part", ".a.json.next")
    for name in left:
        (tmp_path / name).touch()
    with written_whole(tmp_path / "a.json") as alive:
        alive.write_text("1")
        sweep(tmp_path, {"a.json"})
        assert alive.exists()
    assert (tmp_path / "a.json").read_text() == "1"
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted({*left, "a.json"} - {left[0]})
    assert [temporary_target(tmp_path / name) for name in left] == ["a.json", "b.json", None, None, None]


def test_json_with_half_of_a_character_is_refused(tmp_path):
    file = tmp_path / "a.json"
    file.write_text('{"a": "\\ud83d\\ude00"}')
    assert read_json(file, 100) == {"a": "\N{GRINNING FACE}"}
    for half in ("\\ud83d", "\\uDE00"):
        file.write_text(f'{{"a": ["{half}"]}}')
        with pytest.raises(ValueError, match="surrogates"):
            read_json(file, 100)
