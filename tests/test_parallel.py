import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import bdd100k_d2
from bdd100k_d2 import parallel
from bdd100k_d2.errors import DataError, LostProcessError

ROOT = Path(bdd100k_d2.__file__).parents[1]


def test_the_users_own_setting_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GOMP_SPINCOUNT", raising=False)
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    parallel.spin_little()
    assert "GOMP_SPINCOUNT" not in os.environ
    monkeypatch.setenv("GOMP_SPINCOUNT", "7")
    monkeypatch.delenv("OMP_WAIT_POLICY")
    parallel.spin_little()
    assert os.environ["GOMP_SPINCOUNT"] == "7"


@pytest.mark.parametrize(
    "command",
    [
        ("tools/train_net.py", "--help"),
        ("tools/predict.py", "--config-file", "no.yaml", "--input", "docs/images/demo.jpg", "--output", "unused"),
        ("tools/submit.py", "det", "--config-file", "no.yaml", "--out", "unused.json"),
    ],
    ids=lambda command: command[0],
)
def test_commands_set_it_before_they_import_pytorch(tmp_path: Path, command: tuple[str, ...]) -> None:
    """OpenMP looks at it when PyTorch loads it; here a module of that name tells what it would find."""
    (tmp_path / "torch.py").write_text("import os, sys\nsys.exit(f'spins {os.environ.get(\"GOMP_SPINCOUNT\")}')\n")
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("OMP_", "GOMP_"))}
    path = os.pathsep.join([str(tmp_path), str(ROOT)])
    done = subprocess.run(
        [sys.executable, *command],
        cwd=ROOT,
        env=environment | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr.strip() == f"spins {parallel._SPINS}"


def square(number: int) -> int:
    if number == -1:
        os.kill(os.getpid(), signal.SIGKILL)
    if number == -2:
        raise DataError("b.png: cut off.")
    return number**2


@pytest.mark.parametrize("threads", [False, True], ids=["processes", "threads"])
def test_answers_come_in_order_and_errors_are_raised_here(threads: bool) -> None:
    numbers = range(2 * 4 * parallel._AHEAD + 3)
    for workers in (1, 2, 10**9):
        found = list(parallel.map_frames(square, numbers if workers == 2 else range(9), workers, "squaring", threads))
        assert found == [number**2 for number in (numbers if workers == 2 else range(9))]
        with pytest.raises(DataError, match="^b.png: cut off.$"):
            list(parallel.map_frames(square, [*range(20), -2], workers, "squaring", threads))


def test_a_process_that_the_system_ends_is_named_and_not_waited_for() -> None:
    message = "a process that read files was ended by the system, perhaps for want of memory; try fewer --workers"
    for place in (0, 30, 99):
        with pytest.raises(LostProcessError, match=message):
            list(parallel.map_frames(square, [-1 if i == place else i for i in range(100)], 2, "squaring"))
    with pytest.raises(LostProcessError, match=message), parallel.readers(2, _prepare) as pool:
        list(parallel.map_files(square, [1, 2, -1, 3], pool, "squaring"))


def _prepare() -> None:
    pass


def ignores_ctrl_c(_: int) -> bool:
    return signal.getsignal(signal.SIGINT) == signal.SIG_IGN


def test_ctrl_c_is_the_parents() -> None:
    assert all(parallel.map_frames(ignores_ctrl_c, range(8), 2, "looking"))
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, [])


def test_as_many_workers_as_make_sense() -> None:
    assert [parallel.bounded_workers(n) for n in (1, 2, 16)] == [1, 2, 16]
    assert parallel.bounded_workers(10**9) <= max(4 * parallel.cores(), 16)


ORPHANS = """
import os, signal, time
from bdd100k_d2.parallel import submit, working_processes
with working_processes(2, int, method="fork") as pool:
    pids = {submit(pool, os.getpid).result() for _ in range(20)}
    begun = [submit(pool, time.sleep, 60) for _ in pids]
    print(*pids, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process of its parent's end")
def test_processes_do_not_outlive_their_parent() -> None:
    done = subprocess.run([sys.executable, "-c", ORPHANS], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
    assert done.returncode == -signal.SIGKILL
    left = [Path("/proc", pid) for pid in done.stdout.split()]
    assert left
    deadline = time.monotonic() + 10
    while any(_runs(pid) for pid in left):
        assert time.monotonic() < deadline, left
        time.sleep(0.02)


def _runs(process: Path) -> bool:
    try:
        return process.joinpath("stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
