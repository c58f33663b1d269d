import sys
import time

import pytest
from benchmarks.parts import run_part_benchmark
from benchmarks.process import measure

from bdd100k_d2.errors import DataError

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

# Holds 80 MB for a while, in a child process of its own and in itself.
HOLD = "import time; held = bytearray(b'x') * 80_000_000; time.sleep(0.6)"


def test_one_process() -> None:
    start = time.perf_counter()
    usage = measure([sys.executable, "-c", f"{HOLD}; print('done')"])
    assert 0.6 < usage.seconds < time.perf_counter() - start and usage.output == "done\n"
    assert 80e6 < usage.peak < 120e6


def test_the_memory_of_several_processes_is_added_up() -> None:
    start = f"import subprocess, sys; child = subprocess.Popen([sys.executable, '-c', {HOLD!r}])"
    usage = measure([sys.executable, "-c", f"{start}; {HOLD}; child.wait()"])
    assert 160e6 < usage.peak < 220e6


def test_memory_that_processes_share_counts_once() -> None:
    fork = "import os, time; held = bytearray(b'x') * 80_000_000; pid = os.fork(); time.sleep(0.6); pid and os.wait()"
    assert 80e6 < measure([sys.executable, "-c", fork]).peak < 130e6


def test_the_memory_of_the_caller_does_not_count() -> None:
    held = bytearray(b"x") * 200_000_000
    assert measure([sys.executable, "-c", "pass"]).peak < 50e6
    assert len(held) == 200_000_000


def test_a_command_that_is_not_there() -> None:
    with pytest.raises(DataError, match=r"no-such-command -x: fails with exit status 127:[\s\S]*No such file"):
        measure(["no-such-command", "-x"])


def test_a_command_that_fails() -> None:
    with pytest.raises(DataError, match=r"fails with exit status 3:\nno such luck"):
        measure([sys.executable, "-c", "import sys; print('no such luck', file=sys.stderr); sys.exit(3)"])


def test_parts_are_measured() -> None:
    report = run_part_benchmark(frames=20, repeat=1)
    assert [one.name for one in report.parts] == [
        "draw 30 objects with boxes",
        "draw 30 objects with masks",
        "read the labels of 20 frames",
        "import bdd100k_d2",
    ]
    assert all(one.milliseconds > 0 for one in report.parts)
    assert report._replace(machine={"Python": "3.11"}).text().startswith("Python 3.11\n\n| part | ms |\n|---|--:|\n")
