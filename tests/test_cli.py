import errno
import importlib
import logging
import os
import shutil
import subprocess
import sys
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Callable
from pathlib import Path

import pytest
from support import ROOT

from bdd100k_d2.cli import command, count, of_the_checkout, path, positive, refuse_inside_data, share, workers
from bdd100k_d2.errors import DataError, printable, shown
from bdd100k_d2.inside import expanded
from bdd100k_d2.interruption import INTERRUPTED


def test_numbers_are_read() -> None:
    assert (count("0"), count("12"), positive("1"), share("0"), share("0.25"), share("1")) == (0, 12, 1, 0.0, 0.25, 1.0)


@pytest.mark.parametrize(
    ("kind", "text", "message"),
    [
        (count, "-1", "-1 is negative"),
        (count, "1.5", "1.5 is no whole number"),
        (positive, "0", "0 is not positive"),
        (positive, "many", "many is no whole number"),
        (share, "1.01", "1.01 is not between 0 and 1"),
        (share, "nan", "nan is not between 0 and 1"),
        (share, "half", "half is no number"),
        (path, "", "'' is no path"),
        (path, " ", "' ' is no path"),
        (path, "a\0b", r"'a\\x00b' is no path"),
        (workers, "0", "0 is not positive"),
    ],
)
def test_other_texts_are_refused(kind: Callable[[str], float], text: str, message: str) -> None:
    with pytest.raises(ArgumentTypeError, match=f"^{message}$"):
        kind(text)


# An error of the package, and one as PyTorch hands it on from a worker.
MESSAGE = "a.json: cut off; fetch it again."
WORKER = f"Caught DataError in worker 1.\nTraceback ...\n{DataError.__module__}.DataError: {MESSAGE}"
ERRORS = [DataError(MESSAGE), RuntimeError(WORKER)]


@pytest.mark.parametrize("error", ERRORS, ids=["own", "of a worker"])
def test_an_error_of_the_package_is_one_line(error: Exception, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended, command():
        raise error
    # Python writes such a code to standard error and exits with status 1.
    assert ended.value.code == f"error: {MESSAGE}"
    with pytest.raises(SystemExit) as ended, command(failed=2):
        raise error
    assert ended.value.code == 2
    assert capsys.readouterr().err == f"error: {MESSAGE}\n"


@pytest.mark.parametrize("error", [ValueError("of a library"), KeyError("name")], ids=["text", "key"])
def test_another_error_keeps_its_traceback(error: Exception) -> None:
    with pytest.raises(type(error)), command():
        raise error


REFUSED = [
    (PermissionError(13, "Permission denied", "/a/b.json"), "/a/b.json: Permission denied."),
    (NotADirectoryError(20, "Not a directory", b"/a\xff/\x1b[2J"), r"/a\udcff/\x1b[2J: Not a directory."),
    (OSError(28, "No space left on device"), "No space left on device."),
    (MemoryError(), "not enough memory; try fewer --workers where there are any, or less at once."),
    (MemoryError("Unable to allocate 9 TiB\nfor an array"), "not enough memory (Unable to allocate 9 TiB); try fewer"),
    (OSError(12, "Cannot allocate memory"), "not enough memory ("),
    (DataError("a\x1b[31m.json\r\u202e\ud800: bad\nsee b"), "a\\x1b[31m.json\\r\\u202e\\ud800: bad\nsee b"),
]


@pytest.mark.parametrize(("error", "message"), REFUSED, ids=[message[:20] for _, message in REFUSED])
def test_what_the_system_refuses_is_one_line(
    error: Exception, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"), command(failed=2):
        raise error
    assert capsys.readouterr().err.startswith(f"error: {message}")
    with pytest.raises(ConnectionError), command():
        raise ConnectionError("of a library")


def test_text_of_files_does_nothing_to_a_terminal() -> None:
    text = "é 文 a\tb\x9b\u2028\u202e\x7f\ud800"
    assert printable(text) == shown(text) == r"é 文 a\tb\x9b\u2028\u202e\x7f\ud800"
    assert printable("x" * 999 + "\n\ny") == "x" * 999 + "\n\ny"


SAYS = """
import logging, sys
from bdd100k_d2.cli import command, say
with command():
    logging.warning("of %s", "\\x1b[2J\\ud800 é")
    say("\\x1b]0;é\\ud800\\nmore")
    for i in range(int(sys.argv[1])):
        say("x" * 100)
    sys.exit(3)
"""


@pytest.mark.parametrize(
    ("out", "lines", "status", "printed", "told"),
    [
        ("pipe", 0, 3, "\\x1b]0;\\xe9\\ud800\nmore\n", ""),
        ("closed pipe", 2000, 3, None, ""),
        ("/dev/full", 2000, 1, None, "error: standard output cannot be written: No space left on device.\n"),
        (None, 0, 3, None, ""),
    ],
    ids=["ascii", "closed pipe", "full", "no stdout"],
)
def test_output_that_cannot_be_written(
    tmp_path: Path, out: str | None, lines: int, status: int, printed: str | None, told: str
) -> None:
    command = [sys.executable, "-c", SAYS, str(lines)]
    environment = os.environ | {"PYTHONIOENCODING": "ascii", "PYTHONPATH": str(ROOT)}
    reads, writes = os.pipe()
    if out == "closed pipe":
        os.close(reads)
    elif out == "/dev/full":
        if not os.path.exists(out):  # noqa: PTH110, no file to open
            pytest.skip("only Linux has /dev/full")
        os.dup2(os.open(out, os.O_WRONLY), writes)
    if out is None:
        command = ["sh", "-c", 'exec "$@" >&-', "sh", *command]
    done = subprocess.run(command, env=environment, stdout=writes, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writes)
    assert (done.returncode, done.stderr) == (status, "WARNING: of \\x1b[2J\\ud800 \\xe9\n" + told)
    if printed is not None:
        with open(reads) as pipe:  # noqa: PTH123, of a pipe
            assert pipe.read() == printed


def test_an_exit_status_stays() -> None:
    with pytest.raises(SystemExit) as ended, command(failed=2, interrupted="stopped"):
        sys.exit(3)
    assert ended.value.code == 3


def test_ctrl_c_says_how_to_go_on(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended, command(interrupted="stopped; --resume goes on from here"):
        raise KeyboardInterrupt
    assert (ended.value.code, INTERRUPTED) == (130, 130)
    assert capsys.readouterr().err == "stopped; --resume goes on from here\n"
    with pytest.raises(SystemExit, match="130"), command():
        raise KeyboardInterrupt
    assert capsys.readouterr().err == "stopped\n"


def test_a_command_logs_from_its_level_on(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(logging.root, "handlers", [])
    monkeypatch.setattr(logging.root, "level", logging.WARNING)
    with command(level=None):
        assert logging.root.handlers == []
    with command(level=logging.INFO):
        logging.getLogger("of.a.tool").info("reading")
        logging.getLogger("of.a.tool").debug("details")
    assert capsys.readouterr().err == "INFO: reading\n"


def test_nothing_is_written_into_the_data(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, parser = tmp_path / "bdd100k", ArgumentParser(prog="check")
    (tmp_path / "link").symlink_to(data)
    refuse_inside_data(parser, data, None, tmp_path / "out", tmp_path / "bdd100k2")
    for inside in (data, data / "new" / "a.json", tmp_path / "link" / "new"):
        with pytest.raises(SystemExit) as ended:
            refuse_inside_data(parser, data, tmp_path / "out", inside)
        assert ended.value.code == 2
        assert f"check: error: {inside} lies in the data, which is only read" in capsys.readouterr().err


MISSING = "error: tools/benchmarks is not here; it is in the repository, not in the wheel. Run this from a checkout."


def test_what_only_a_checkout_has_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    # What Python finds where there is no such module.
    monkeypatch.setitem(sys.modules, "benchmarks", None)
    with pytest.raises(SystemExit) as ended, of_the_checkout("tools/benchmarks"):
        importlib.import_module("benchmarks")
    assert ended.value.code == MISSING
    with pytest.raises(ModuleNotFoundError, match="of_a_library"), of_the_checkout("tools/benchmarks"):
        importlib.import_module("of_a_library")
    with of_the_checkout("tools/benchmarks"):
        assert importlib.import_module("json")


def test_a_copied_command_names_it_too(tmp_path: Path) -> None:
    """As from a wheel: the command stands alone, in a process, because this one finds tools/benchmarks."""
    tool = shutil.copy(ROOT / "tools" / "evaluate.py", tmp_path)
    arguments = ("sem_seg", "--gt", "truth", "--pred", "predicted", "--toolkit")
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, tool, *arguments], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (1, "", f"{MISSING}\n")


def test_what_the_system_says_without_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for error, message in (
        (OSError(errno.EFBIG, "File too large"), "error: File too large."),
        (ImportError("libopenblas.so: failed to map segment from shared object"), "error: not enough memory"),
    ):
        with pytest.raises(SystemExit, match=message), command():
            raise error
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    with (
        pytest.raises(SystemExit, match="error: the current folder no longer exists; change to another one"),
        command(),
    ):
        Path.cwd()


def test_a_home_that_is_nobodys_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with (
        pytest.raises(SystemExit, match="^error: ~nobody-here/x: there is no such home folder; write the path in full"),
        command(),
    ):
        expanded("~nobody-here/x")
