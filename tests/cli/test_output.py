import os
from pathlib import Path

import pytest
from PIL import Image

from textvae.cli.output import check_folder, file_stem, numbered, output_file
from textvae.utils.errors import UserError


def test_the_default_name_gets_a_number_where_it_exists(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert output_file(None, "strip.png") == Path("strip.png")
    Path("strip.png").touch()
    assert output_file(None, "strip.png") == Path("strip-2.png")
    Path("strip-2.png").symlink_to("nowhere")
    assert numbered(Path("strip.png")) == Path("strip-3.png")


def test_a_file_that_was_named_is_replaced_with_a_notice(tmp_path, capsys):
    file = tmp_path / "new" / "a.png"
    assert output_file(file, "strip.png") == file
    assert capsys.readouterr().err == ""
    file.parent.mkdir()
    file.touch()
    assert output_file(file, "strip.png") == file
    assert "replaced" in capsys.readouterr().err


def test_what_must_not_be_replaced(tmp_path):
    given = tmp_path / "boot.png"
    Image.new("L", (4, 4)).save(given)
    (tmp_path / "hard.png").hardlink_to(given)
    (tmp_path / "link.png").symlink_to(given)
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "folder.png").mkdir()
    before = given.read_bytes()
    for out in ("boot.png", "hard.png", "link.png", "pipe.png", "folder.png", "boot.png/below.png", "a.pdf", "a", "-"):
        with pytest.raises(UserError):
            output_file(tmp_path / out, "edited.png", [given])
    with pytest.raises(UserError):
        output_file(Path("/dev/null"), "edited.png")
    assert given.read_bytes() == before
    with pytest.raises(UserError, match="file"):
        check_folder(given / "folder")


def test_file_stems():
    assert file_stem("A Dress, 2 sizes!") == "a-dress-2-sizes"
    assert file_stem("§§") == "image"
    assert len(file_stem("x" * 500)) == 60
    assert "/" not in file_stem("../../etc/passwd")
