"""Signals that end a run, sent to this process, to one of two, and to all of a run as a user starts it."""

import logging
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from detectron2.engine import HookBase, TrainerBase
from detectron2.engine.hooks import PeriodicCheckpointer
from support.processes import in_processes, start_command
from support.small_models import SMALL_MODELS
from torch import nn
from torch.utils.data import DataLoader

from bdd100k_d2.checkpoint.saving import TrainingCheckpointer
from bdd100k_d2.data.workers import outlive_signals
from bdd100k_d2.engine.hooks.termination import Termination


class Steps(TrainerBase):
    """A training that does ``what`` in each iteration."""

    def __init__(self, folder: Path, what: Callable[[int], None], *hooks: HookBase) -> None:
        super().__init__()
        self.what = what
        self.checkpointer = TrainingCheckpointer(nn.Linear(2, 2), str(folder), trainer=self)
        self.register_hooks([*hooks, Termination(self.checkpointer)])

    def run_step(self) -> None:
        self.what(self.iter)


def at(iteration: int, *numbers: int) -> Callable[[int], None]:
    def what(i: int) -> None:
        for number in numbers:
            if i == iteration:
                os.kill(os.getpid(), number)

    return what


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """The signals are given back; SIGINT, which a shell's background jobs ignore, interrupts."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    yield
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_the_iteration_is_finished_and_saved(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, number: signal.Signals, code: int
) -> None:
    class Counts(HookBase):
        done = 0

        def after_step(self) -> None:
            self.done += 1

    trainer = Steps(tmp_path, at(3, number), counts := Counts())
    with pytest.raises(SystemExit) as stopped, caplog.at_level(logging.WARNING, logger="bdd100k_d2"):
        trainer.train(0, 9)
    assert stopped.value.code == code and counts.done == 4
    assert (tmp_path / "last_checkpoint").read_text() == "model_0000003.pth"
    assert caplog.messages == [
        f"{number.name}: stopped after iteration 3, saved as model_0000003.pth; --resume goes on from it. "
        f"The exit code is {code}."
    ]
    resumed = Steps(tmp_path, lambda i: None)
    resumed.checkpointer.resume()
    resumed.train(resumed.iter + 1, 9)
    assert resumed.iter == 9 and resumed.start_iter == 4


def test_a_second_interrupt_stops_at_once(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        Steps(tmp_path, at(3, signal.SIGINT, signal.SIGINT)).train(0, 9)
    assert not list(tmp_path.iterdir())


def test_a_checkpoint_of_the_same_iteration_is_not_written_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved, save = [], torch.save
    monkeypatch.setattr(torch, "save", lambda *args: saved.append(1) or save(*args))
    trainer = Steps(tmp_path, at(3, signal.SIGTERM))
    trainer._hooks.insert(0, hook := PeriodicCheckpointer(trainer.checkpointer, 4))
    hook.trainer = trainer
    with pytest.raises(SystemExit):
        trainer.train(0, 9)
    assert len(saved) == 1 and trainer.checkpointer.last_good() == tmp_path / "model_0000003.pth"


def test_after_the_last_iteration_a_signal_is_not_held_back(tmp_path: Path) -> None:
    class Evaluates(HookBase):
        def after_train(self) -> None:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        Steps(tmp_path, lambda i: None, Evaluates()).train(0, 2)


def test_one_of_two_processes_gets_the_signal(tmp_path: Path) -> None:
    in_processes(2, _stop_and_resume, tmp_path)


def _stop_and_resume(folder: Path) -> None:
    dist.init_process_group("gloo")
    rank = dist.get_rank()
    # As on two machines, each with a disk of its own, the second with something older on it.
    own = folder / str(rank)
    what = at(3, signal.SIGTERM) if rank == 1 else lambda i: None
    trainer = Steps(own, what)
    nn.init.constant_(trainer.checkpointer.model.weight, 5.0 + rank)
    with pytest.raises(SystemExit) as stopped:
        trainer.train(0, 9)
    assert stopped.value.code == 143 and trainer.iter == 3
    assert (folder / "0" / "model_0000003.pth").is_file() and not (folder / "1").exists()
    dist.barrier()
    if rank == 1:
        other = TrainingCheckpointer(nn.Linear(2, 2), str(own), save_to_disk=True, trainer=Steps(own, what))
        other.save("model_0000003")
    dist.barrier()
    resumed = Steps(own, what)
    assert resumed.checkpointer.resume()["iteration"] == 3
    assert resumed.iter == 3 and resumed.checkpointer.model.weight[0, 0] == 5.0
    if rank == 0:
        (own / "model_0000003.pth").write_bytes(b"PK damaged")
    dist.barrier()
    with pytest.raises(RuntimeError, match="0/model_0000003.pth: damaged"):
        resumed.checkpointer.resume()
    dist.destroy_process_group()


def pending(pid: str) -> bool:
    """Whether a signal was sent to a process that it has neither ignored nor taken."""
    status = Path("/proc", pid, "status").read_text()
    return any(int(signals, 16) for signals in re.findall(r"^S..Pnd:\s*(\w+)", status, re.MULTILINE))


def test_the_workers_outlive_the_signals() -> None:
    loader = iter(DataLoader(list(range(100)), 1, num_workers=2, prefetch_factor=1, worker_init_fn=outlive_signals))
    workers = loader._workers
    # One from each: before, a worker may not have come to its function.
    next(loader), next(loader)
    # From another process than theirs.
    pids = [str(worker.pid) for worker in workers]
    for name in ("TERM", "INT"):
        subprocess.run(["kill", f"-{name}", *pids], check=True)
    while any(pending(pid) for pid in pids):
        time.sleep(0.001)
    assert [int(batch) for batch in loader] == list(range(2, 100))


def test_the_workers_end_when_their_parent_says_so() -> None:
    loader = iter(DataLoader(list(range(100)), 1, num_workers=2, prefetch_factor=1, worker_init_fn=outlive_signals))
    next(loader), next(loader)
    workers = loader._workers
    # As multiprocessing does at the end of a process, without a word to the loader.
    for worker in workers:
        worker.terminate()
        worker.join(10)
    assert [worker.exitcode for worker in workers] == [0, 0]


def test_a_run_is_told_to_stop(tiny_root: Path, tmp_path: Path) -> None:
    """The whole process group, as torchrun, SLURM and a terminal do it, with workers in it."""
    out = tmp_path / "out"
    small = ["INPUT.MIN_SIZE_TRAIN", "(72,)", "INPUT.CROP.SIZE", "[64,96]", "SOLVER.IMS_PER_BATCH", "2"]
    keys = [
        "MODEL.DEVICE",
        "cpu",
        "DATALOADER.NUM_WORKERS",
        "2",
        "SOLVER.CHECKPOINT_PERIOD",
        "1",
        "OUTPUT_DIR",
        str(out),
    ]
    config = ["--config-file", "configs/sample/semantic_fpn_R_18.yaml", *SMALL_MODELS["sem_seg"]]
    keep = ["SOLVER.CHECKPOINT_KEEP", "2", "SOLVER.MAX_ITER", "100000"]
    env = os.environ | {"DETECTRON2_DATASETS": str(tiny_root)}
    run = start_command("tools/train_net.py", *config, *small, *keys, *keep, stdout=tmp_path / "printed", env=env)
    until = time.monotonic() + 120
    while not (out / "model_0000001.pth").is_file() and run.is_alive() and time.monotonic() < until:
        time.sleep(0.05)
    os.killpg(run.pid, signal.SIGTERM)
    run.join(120)
    output = (tmp_path / "printed").read_text()
    assert run.exitcode == 143, output
    (stopped,) = re.findall(r"SIGTERM: stopped after iteration (\d+)", output)
    assert "Traceback" not in output
    assert (out / "last_checkpoint").read_text() == f"model_{int(stopped):07d}.pth"
    assert len(list(out.glob("model_*.pth"))) == 2
    assert TrainingCheckpointer(nn.Linear(2, 2), str(out)).last_good() == out / f"model_{int(stopped):07d}.pth"
