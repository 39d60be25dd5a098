"""Files that are whole or not there, and never written over."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from config.outbox import OtherContent, put


def test_a_file_is_put_once_and_nothing_is_left_beside(tmp_path: Path) -> None:
    folder = tmp_path / "made" / "for it"
    assert put(folder, "a.xml", b"one")
    assert not put(folder, "a.xml", b"one")
    assert [(file.name, file.read_bytes()) for file in folder.iterdir()] == [("a.xml", b"one")]


def test_a_file_of_that_name_is_never_written_over(tmp_path: Path) -> None:
    put(tmp_path, "a.xml", b"one")
    with pytest.raises(OtherContent):
        put(tmp_path, "a.xml", b"two")
    assert [(file.name, file.read_bytes()) for file in tmp_path.iterdir()] == [("a.xml", b"one")]


def test_a_full_disk_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        put(tmp_path, "a.xml", b"one")
    assert list(tmp_path.iterdir()) == []
