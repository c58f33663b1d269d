"""What a path leads to when a file is written: links, devices, folders."""

import os
import threading
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from bdd100k_d2.atomic import check_writable, write_atomic
from bdd100k_d2.errors import OutputError


def test_a_link_is_replaced_and_what_it_leads_to_stays(tmp_path: Path) -> None:
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_text("mine")
    link.symlink_to(target)
    write_atomic(link, "new")
    assert (link.is_symlink(), link.read_text(), target.read_text()) == (False, "new", "mine")


def test_a_hard_link_is_replaced_and_the_other_name_stays(tmp_path: Path) -> None:
    (tmp_path / "one").write_text("mine")
    os.link(tmp_path / "one", tmp_path / "two")
    write_atomic(tmp_path / "two", "new")
    assert ((tmp_path / "one").read_text(), (tmp_path / "two").read_text()) == ("mine", "new")


def test_a_device_stays_a_device(tmp_path: Path) -> None:
    before = Path(os.devnull).stat()
    write_atomic(os.devnull, "new")
    (tmp_path / "null").symlink_to(os.devnull)
    write_atomic(tmp_path / "null", "new")
    assert Path(os.devnull).stat().st_rdev == before.st_rdev and (tmp_path / "null").is_symlink()


def test_a_pipe_is_written_into(tmp_path: Path) -> None:
    pipe, got = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: got.append(pipe.read_text()), daemon=True)
    reader.start()
    write_atomic(pipe, "new")
    reader.join(20)
    assert got == ["new"] and pipe.is_fifo()


@pytest.mark.parametrize("name", ["", ".", "folder"])
def test_a_folder_is_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    with pytest.raises(OutputError, match="is a folder; give the path of a file"):
        write_atomic(name, "new")
    assert [path.name for path in tmp_path.rglob("*")] == ["folder"]


def test_a_name_as_long_as_names_may_be(tmp_path: Path) -> None:
    for name in ("a" * 255, "ü" * 127):
        write_atomic(tmp_path / name, "new")
        assert (tmp_path / name).read_text() == "new"
    with pytest.raises(OutputError, match="cannot be written"):
        write_atomic(tmp_path / ("a" * 256), "new")


def test_a_link_to_a_redirected_file_is_written_into(tmp_path: Path) -> None:
    """As /dev/stdout is one, which `> file` opens; what is printed then comes after it."""
    link = tmp_path / "stdout"
    with (tmp_path / "file").open("wb", buffering=0) as file:
        for target in (f"/proc/self/fd/{file.fileno()}", f"/dev/fd/{file.fileno()}", "again"):
            link.unlink(missing_ok=True)
            link.symlink_to(target)
            (tmp_path / "again").unlink(missing_ok=True)
            (tmp_path / "again").symlink_to(f"/proc/{os.getpid()}/fd/{file.fileno()}")
            write_atomic(link, "new ")
            file.write(b"and more ")
            assert link.is_symlink()
    assert (tmp_path / "file").read_text() == "new and more " * 3
    link.unlink()
    link.symlink_to("/proc/self/fd/999")
    with pytest.raises(OutputError, match="stdout: cannot be written"):
        write_atomic(link, "new")
    assert link.is_symlink()


def test_a_folder_below_dev_has_files_of_its_own() -> None:
    if not os.access("/dev/shm", os.W_OK):
        pytest.skip("no /dev/shm")
    with TemporaryDirectory(dir="/dev/shm") as folder:
        path = Path(folder, "a.json")
        write_atomic(path, "old")
        first = path.stat().st_ino
        with path.open() as open_before:
            write_atomic(path, "new")
            assert path.read_text() == "new" and open_before.read() == "old" and path.stat().st_ino != first


@pytest.mark.parametrize("kind", ["link", "hard link", "dangling link", "pipe"])
def test_what_has_the_temporary_name_is_not_written_through(tmp_path: Path, kind: str) -> None:
    (tmp_path / "mine").write_text("mine")
    for name in (f".a.json.{os.getpid()}.tmp", f".write_test_{os.getpid()}"):
        if kind == "pipe":
            os.mkfifo(tmp_path / name)
        elif kind == "hard link":
            os.link(tmp_path / "mine", tmp_path / name)
        else:
            (tmp_path / name).symlink_to(tmp_path / ("mine" if kind == "link" else "new"))
    before = (tmp_path / "mine").stat().st_mtime_ns
    write_atomic(tmp_path / "a.json", "new")
    check_writable(tmp_path, "choose another")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.json", "mine"]
    assert (tmp_path / "a.json").read_text() == "new" and not (tmp_path / "a.json").is_symlink()
    assert (tmp_path / "mine").read_text() == "mine" and (tmp_path / "mine").stat().st_mtime_ns == before


def test_a_folder_of_the_temporary_name_stays(tmp_path: Path) -> None:
    (tmp_path / f".a.json.{os.getpid()}.tmp").mkdir()
    with pytest.raises(OutputError, match=r"a\.json: cannot be written \(Is a directory\)"):
        write_atomic(tmp_path / "a.json", "new")
    assert [path.name for path in tmp_path.iterdir()] == [f".a.json.{os.getpid()}.tmp"]
