"""Two processes do not write into one folder at a time."""

import errno
import fcntl
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from bdd100k_d2.errors import OutputError
from bdd100k_d2.lock import LOCK_NAME, locked

HOLDER = "import sys, pathlib, time; sys.path.insert(0, {root!r}); from bdd100k_d2.lock import locked\n"
HOLDER += "with locked(pathlib.Path({folder!r})): print('locked', flush=True); sys.stdin.read()"


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Another process that has the lock of ``tmp_path/out``."""
    root = str(Path(__file__).parents[1])
    code = HOLDER.format(root=root, folder=str(tmp_path / "out"))
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"locked\n"
        yield process
        process.kill()


def test_the_second_is_refused_until_the_first_ends(holder: subprocess.Popen[bytes], tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(OutputError, match=r"out: another process is writing there; wait for its end"), locked(out):
        pytest.fail("two have the lock")
    with locked(tmp_path / "other"):
        pass
    holder.communicate(b"")
    assert not any(out.iterdir())
    with locked(out):
        assert (out / LOCK_NAME).exists()


def test_a_lock_dies_with_its_process(holder: subprocess.Popen[bytes], tmp_path: Path) -> None:
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert (tmp_path / "out" / LOCK_NAME).exists()
    with locked(tmp_path / "out"), locked(tmp_path / "out"):
        pass
    assert not any((tmp_path / "out").iterdir())


def test_a_place_that_cannot_be_locked(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="file: the output folder cannot be written"), locked(tmp_path / "file"):
        pass
    (tmp_path / LOCK_NAME).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OutputError, match="lock: cannot be locked .*remove it"), locked(tmp_path):
        pass
    assert not (tmp_path / "elsewhere").exists()


def test_a_folder_that_stays_empty_after_an_error_is_removed(tmp_path: Path) -> None:
    with pytest.raises(KeyError), locked(tmp_path / "a/b"):
        raise KeyError
    assert not any(tmp_path.iterdir())
    with pytest.raises(KeyError), locked(tmp_path / "a/b"):
        (tmp_path / "a/c").touch()
        raise KeyError
    assert [path.name for path in tmp_path.rglob("*")] == ["a", "c"]


@pytest.mark.parametrize("name", ["a\0b", "x" * 300, "x" * 300 + "/y"])
def test_what_is_no_name_of_a_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(OutputError, match="the output folder cannot be written"), locked(tmp_path / name):
        pass


def refusing(number: int) -> Callable[..., NoReturn]:
    def refuse(*_: object, **__: object) -> NoReturn:
        raise OSError(number, os.strerror(number))

    return refuse


def test_users_of_one_folder_take_turns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = os.umask(0o022)
    with locked(tmp_path):
        assert stat.S_IMODE((tmp_path / LOCK_NAME).stat().st_mode) == 0o666
    os.umask(before)
    # A file that is there is somebody else's, and may have a second name.
    (tmp_path / LOCK_NAME).touch(0o600)
    os.link(tmp_path / LOCK_NAME, tmp_path / "second")
    with locked(tmp_path):
        assert stat.S_IMODE((tmp_path / "second").stat().st_mode) == 0o600
    (tmp_path / LOCK_NAME).touch()
    real = os.open

    def refuse_old(path: Path, flags: int, mode: int = 0o777) -> int:
        return real(path, flags, mode) if flags & os.O_CREAT else refusing(errno.EACCES)()

    monkeypatch.setattr(os, "open", refuse_old)
    with pytest.raises(OutputError, match=rf"{LOCK_NAME}: cannot be opened .*remove the file"), locked(tmp_path):
        pass
    assert (tmp_path / LOCK_NAME).exists()


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EINVAL, errno.ENOTSUP, errno.EIO])
def test_a_file_system_without_locks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, number: int
) -> None:
    monkeypatch.setattr(fcntl, "lockf", refusing(number))
    for _ in range(2):
        with locked(tmp_path):
            assert (tmp_path / LOCK_NAME).exists()
    assert not any(tmp_path.iterdir())
    assert [one.getMessage() for one in caplog.records] == [
        f"{tmp_path}: cannot be locked ({os.strerror(number)}); let no other process write there at the same time."
    ]


def test_what_went_wrong_is_told_though_the_file_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    open_before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    monkeypatch.setattr(Path, "unlink", refusing(errno.EROFS))
    with pytest.raises(KeyError), locked(tmp_path):
        raise KeyError
    assert len(os.listdir("/proc/self/fd")) == open_before  # noqa: PTH208
    with locked(tmp_path):
        pass


def test_a_file_that_always_goes_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fcntl, "lockf", lambda *_: (tmp_path / LOCK_NAME).unlink())
    with pytest.raises(OutputError, match="other processes write there by turns"), locked(tmp_path):
        pass
