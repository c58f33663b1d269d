"""Commands run one after the other, each in a process that finds the libraries imported and can crash, hang or grow."""

import atexit
import json
import os
import resource
import runpy
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

from support import ROOT


class Case(NamedTuple):
    """A command as the interpreter takes it, ``-m module`` or a script, and around it what it is to meet.

    ``stdout`` is "closed" for a pipe that nobody reads, else a path; "no stderr" leaves it as it is, and has no
    standard error. With ``lose`` its processes are ended as soon as
    they work. ``memory`` is in bytes, beyond what is held at the start.
    """

    argv: Sequence[str]
    stdout: str = ""
    lose: bool = False
    memory: int = 0
    path: str = ""


class Ended(NamedTuple):
    """``status`` is negative after a signal; 14 is that of a command that hangs."""

    status: int
    out: str
    err: str


# What commands import, so that each case need not. PyTorch takes seconds, and what has it takes longer to fork.
_LIBRARIES = (
    "bdd100k_d2.data.check.dataset",
    "bdd100k_d2.data.convert.convert",
    "bdd100k_d2.evaluation.files.instances",
    "bdd100k_d2.evaluation.files.panoptic",
    "bdd100k_d2.evaluation.files.segmentation",
    "bdd100k_d2.report.results.page",
    "bdd100k_d2.report.page",
    # Which pages import when they draw.
    "matplotlib.figure",
    "matplotlib.backends.backend_svg",
)
_HEAVY = (
    "bdd100k_d2.drawing.dataset_images",
    "bdd100k_d2.checkpoint.convert",
    "bdd100k_d2.predict.run",
    "bdd100k_d2.engine.launch",
)
# Seconds of a case on a busy machine.
_HANGS = 60


def walk(case: Case, folder: Path, heavy: bool) -> Ended:
    """Runs a case in ``folder``, in a process that is forked from one that has imported everything and run nothing.

    ``heavy`` commands find PyTorch imported.
    """
    server = _server(heavy)
    server.stdin.write(json.dumps([str(folder), case._asdict()]) + "\n")
    server.stdin.flush()
    status = json.loads(server.stdout.readline())
    texts = [(folder / name).read_text(errors="replace") if (folder / name).is_file() else "" for name in _STREAMS]
    return Ended(status, *texts)


_STREAMS = (".out", ".err")


@cache
def _server(heavy: bool) -> "subprocess.Popen[str]":
    paths = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    server = subprocess.Popen(
        [sys.executable, "-m", "support.walk", *_LIBRARIES, *(_HEAVY if heavy else ())],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1"},
        text=True,
    )
    atexit.register(server.communicate)
    return server


def _serve() -> None:
    for library in sys.argv[1:]:
        import_module(library)
    for request in sys.stdin:
        folder, case = json.loads(request)
        pid = os.fork()
        if not pid:
            os.chdir(folder)
            _run(Case(**case))
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        # What it has left behind, as a thread that waits.
        with suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)
        print(status, flush=True)


def _run(case: Case) -> None:
    """As the interpreter would, to its end."""
    status = 1
    try:
        signal.alarm(_HANGS)
        os.setpgrp()
        _place_output(case.stdout)
        if case.memory:
            _limit(case.memory)
        if case.path:
            os.environ["PATH"] = case.path
        if case.lose:
            _lose_processes()
        is_module = case.argv[0] == "-m"
        sys.argv = list(case.argv[1:] if is_module else case.argv)
        if not is_module:
            sys.path.insert(0, str(Path(sys.argv[0]).parent))
        (runpy.run_module if is_module else runpy.run_path)(sys.argv[0], run_name="__main__")
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
    finally:
        try:
            sys.stdout.flush()
        except OSError as error:
            print(f"Exception ignored in: {error}", file=sys.stderr)
            status = 120
        if sys.stderr is not None:
            sys.stderr.flush()
        os._exit(status)


def _place_output(stdout: str) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    if stdout == "closed":
        reads, writes = os.pipe()
        os.close(reads)
    else:
        writes = os.open(".out" if stdout in ("", "no stderr") else stdout, flags)
    if stdout not in ("", "no stderr"):
        Path(".out").unlink(missing_ok=True)
    os.dup2(writes, 1)
    os.dup2(os.open(".err", flags), 2)
    if stdout == "no stderr":
        os.close(2)
        sys.stderr = None
    sys.stdin = Path(os.devnull).open()  # noqa: SIM115, to the end
    # Python's own buffer, whose size depends on what is written to.
    sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115


def _limit(memory: int) -> None:
    held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (held + memory,) * 2)


def _lose_processes() -> None:
    """Ends each process of this one: those that are forked when they work, others when they begin."""
    from bdd100k_d2 import parallel

    # By the module's own name: this one runs as __main__, and processes look it up.
    parallel._each = import_module("support.walk").end_worker
    os.environ[_PARENT] = str(os.getpid())

    def watch(pid: int) -> None:
        while True:
            for path in Path("/proc").glob("[0-9]*"):
                with suppress(OSError):
                    parent = int(path.joinpath("stat").read_text().rpartition(")")[2].split()[1])
                    if parent == pid and "spawn_main" in path.joinpath("cmdline").read_text():
                        os.kill(int(path.name), signal.SIGKILL)
            time.sleep(0.01)

    threading.Thread(target=watch, args=(os.getpid(),), daemon=True).start()


_PARENT = "PROCESS_THAT_STAYS"


def end_worker(function: Callable[[object], object], items: Sequence[object]) -> list[object]:
    """In place of the work: the system ends the process, unless a thread of the command was to do it."""
    if os.environ[_PARENT] != str(os.getpid()):
        os.kill(os.getpid(), signal.SIGKILL)
    return list(map(function, items))


if __name__ == "__main__":
    _serve()
