"""Paths that are stored relative to a file."""

import ntpath
import os
from pathlib import Path

from c2f_core.io.paths import relative_path


def test_a_path_is_seen_from_its_folder_with_forward_slashes(tmp_path):
    assert relative_path(tmp_path / "images" / "a.png", tmp_path / "maps") == "../images/a.png"


def test_links_are_resolved_as_the_system_follows_them(tmp_path):
    (tmp_path / "elsewhere" / "deep").mkdir(parents=True)
    (tmp_path / "maps").symlink_to(tmp_path / "elsewhere" / "deep")
    found = relative_path(tmp_path / "a.png", tmp_path / "maps")
    assert found == "../../a.png"
    assert (tmp_path / "maps" / found).resolve() == tmp_path / "a.png"


def test_a_path_on_another_drive_is_absolute(tmp_path, monkeypatch):
    monkeypatch.setattr(
        os.path, "relpath", lambda path, start: ntpath.relpath(f"D:{path}", f"C:{start}")
    )
    found = relative_path(tmp_path / "a.png", Path("/other"))
    assert found == (tmp_path / "a.png").as_posix()
