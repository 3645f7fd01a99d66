import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from distill.errors import RunError
from distill.rows.atomic import atomic_file


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 KiB, where this machine lets us make one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    if os.geteuid() or subprocess.run(mount, capture_output=True, timeout=20).returncode:
        pytest.skip("a small file system can only be mounted by root")
    yield folder
    subprocess.run(["umount", str(folder)], check=True, timeout=20)


def test_whole_or_not_at_all(tmp_path: Path) -> None:
    """A file that was not finished leaves the earlier one, and nothing beside it."""
    path = tmp_path / "deep" / "a.txt"
    with atomic_file(path) as file:
        file.write("old é\n")
    with pytest.raises(TypeError), atomic_file(path) as file:
        file.writelines(["new", None])
    assert path.read_bytes() == "old é\n".encode()
    with atomic_file(path, "wb") as file:
        file.write(b"new")
    assert path.read_bytes() == b"new"
    assert [p.name for p in path.parent.iterdir()] == ["a.txt"]


def test_full_disk(tiny_disk: Path) -> None:
    """A full disk is said in words, with what to do; the earlier file is still there."""
    path = tiny_disk / "a.txt"
    with atomic_file(path) as file:
        file.write("old")
    with pytest.raises(RunError, match="disk is full") as caught, atomic_file(path) as file:
        file.write("x" * 200_000)
    assert caught.value.problems[0].file == str(path)
    assert "same command" in str(caught.value)
    assert path.read_text() == "old"
    assert [p.name for p in tiny_disk.iterdir()] == ["a.txt"]


def test_read_only_folder(tiny_disk: Path) -> None:
    """A read-only folder is said in words."""
    subprocess.run(["mount", "-o", "remount,ro", str(tiny_disk)], check=True, timeout=20)
    with (
        pytest.raises(RunError, match="cannot be written"),
        atomic_file(tiny_disk / "sub" / "a.txt") as file,
    ):
        file.write("x")


def test_a_folder_that_is_a_file(tmp_path: Path) -> None:
    """A path through a file is an error of the run, not a traceback."""
    (tmp_path / "a").write_text("")
    with pytest.raises(RunError, match="cannot be written"), atomic_file(tmp_path / "a" / "b"):
        pass


def test_other_files_errors_are_not_ours(tmp_path: Path) -> None:
    """What the caller cannot read is not reported as a file that cannot be written."""
    with pytest.raises(FileNotFoundError), atomic_file(tmp_path / "a"):
        (tmp_path / "missing").read_text()
    assert list(tmp_path.iterdir()) == []
