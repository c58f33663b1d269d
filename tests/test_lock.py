"""Two processes do not write into one folder at a time."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

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
    with pytest.raises(OutputError, match="lock: cannot be locked .*choose another one"), locked(tmp_path):
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
