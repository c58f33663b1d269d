"""Time and memory of a command and all processes that it starts. Linux only: it reads ``/proc``."""

import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from bdd100k_d2.errors import DataError

# Where the benchmarks that run in a process of their own are found.
_TOOLS = Path(__file__).parents[1]

# Seconds between two looks; each costs some milliseconds of another core.
_INTERVAL = 0.05

# The kernel counts into a process's peak what its parent held when it was started, so that the parent has to be small.
_START = """
import os, sys, time
start = time.perf_counter()
child = os.posix_spawnp(sys.argv[2], sys.argv[2:], os.environ)
_, status, usage = os.wait4(child, 0)
seconds = time.perf_counter() - start
os.write(int(sys.argv[1]), f"{seconds} {usage.ru_maxrss} {os.waitstatus_to_exitcode(status)}".encode())
"""


class Usage(NamedTuple):
    """What a command took.

    Attributes:
        seconds: from its start to its end, by the wall clock.
        peak: bytes of memory at the most. For one process it is what the kernel counted (``ru_maxrss``). For several it
            is the sum of their proportional shares (PSS, in which a page that n processes share counts 1/n in each),
            looked at 20 times a second; the larger of the two is given.
        output: what it printed to standard output.
    """

    seconds: float
    peak: int
    output: str


def measure(command: Sequence[str]) -> Usage:
    """Runs a command to its end and measures it.

    Raises:
        DataError: it fails; the message ends with what it printed.
    """
    with (
        tempfile.TemporaryFile("w+") as output,
        tempfile.TemporaryFile("w+") as errors,
        tempfile.TemporaryFile("w+") as answer,
    ):
        starter = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _START, str(answer.fileno()), *command],
            stdout=output,
            stderr=errors,
            pass_fds=[answer.fileno()],
            env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, [str(_TOOLS), os.environ.get("PYTHONPATH")]))},
        )
        watch = _Watch(starter.pid)
        watch.start()
        starter.wait()
        watch.stop()
        for file in (output, errors, answer):
            file.seek(0)
        # There is no answer where the command could not be started.
        seconds, kilobytes, exit_status = answer.read().split() or ("0", "0", "127")
        if exit_status != "0":
            last = "\n".join(errors.read().strip().splitlines()[-20:])
            raise DataError(f"{' '.join(command)}: fails with exit status {exit_status}:\n{last}")
        return Usage(float(seconds), max(watch.peak, int(kilobytes) * 1024), output.read())


def memory_of(pid: int, kind: str = "Pss") -> int:
    """Bytes of a process and all below it: the sum of their proportional shares, see `Usage`.

    Args:
        pid: of the process.
        kind: "Pss" for all, or a part as Linux names it in ``smaps_rollup``: "Pss_Anon" for what belongs to no file and
            is not shared memory either.
    """
    return sum(_share(one, kind) for one in _descendants(pid))


class _Watch(threading.Thread):
    """Looks at the memory of what a process starts, without that process itself, until it is stopped."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.pid = pid
        self.peak = 0
        self._end = threading.Event()

    def run(self) -> None:
        while not self._end.wait(_INTERVAL):
            tree = _descendants(self.pid)[1:]
            # The kernel's own count is exact for one process, and costs nothing.
            if len(tree) > 1:
                self.peak = max(self.peak, sum(map(_share, tree)))

    def stop(self) -> None:
        self._end.set()
        self.join()


def _descendants(pid: int) -> list[int]:
    """``pid`` and all below it that still run."""
    found, new = [], [pid]
    while new:
        found += new
        new = [child for parent in new for child in _children(parent)]
    return found


def _children(pid: int) -> list[int]:
    try:
        threads = list(Path(f"/proc/{pid}/task").iterdir())
        return [int(child) for thread in threads for child in (thread / "children").read_text().split()]
    except (OSError, ValueError):  # it has ended
        return []


def _share(pid: int, kind: str = "Pss") -> int:
    """The proportional share of memory of a process, in bytes; 0 when it has ended."""
    try:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0
    (share,) = (line.split()[1] for line in rollup.splitlines() if line.startswith(f"{kind}:"))
    return int(share) * 1024
