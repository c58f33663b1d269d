"""A training under faults: processes killed at random, a signal, a damaged checkpoint, an image that vanishes.

python tests/soak.py

Each fault hits a tiny training on the CPU that is then started again. In the end the weights have to be those of a
training that was left alone, bit for bit. Prints what was done and what was lost, and exits with 1 if anything was
otherwise than it has to be. Takes some ten minutes on two cores; it is no part of the test suite.
"""

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import torch
from support.frames import make_frame, write_image
from support.processes import ROOT, children, train_net

from bdd100k_d2.data.labels import write_frames

IMAGES = 12
PERIOD = 5
KEYS = (
    "MODEL.DEVICE cpu INPUT.MIN_SIZE_TRAIN (64,) SOLVER.AMP.ENABLED False SOLVER.IMS_PER_BATCH 2 SOLVER.WARMUP_ITERS 5 "
    f"SOLVER.CHECKPOINT_PERIOD {PERIOD} DATALOADER.NUM_WORKERS 1 DATASETS.TEST () SEED 3"
).split()
# What one of the trainings may take at most, in seconds.
LIMIT = 300.0


def train(progress: Path, arguments: list[str]) -> None:
    """What the processes of this script run: the command, noting each iteration that is done."""
    from detectron2.engine import default_argument_parser
    from detectron2.utils import comm

    import bdd100k_d2
    from bdd100k_d2.errors import user_message

    class NotingTrainer(bdd100k_d2.Trainer):
        def run_step(self) -> None:
            super().run_step()
            if comm.is_main_process():
                with progress.open("a") as file:
                    file.write(f"{self.iter}\n")

    torch.set_num_threads(1)
    command = train_net()
    bdd100k_d2.Trainer = NotingTrainer
    try:
        command.launch(command.main, default_argument_parser().parse_args(arguments))
    except Exception as error:
        message = user_message(error)
        if message is None:
            raise
        sys.exit(f"error: {message}")


class Run:
    """A training of the script: its folder, and the processes that carry it on one after the other."""

    started: ClassVar[list[subprocess.Popen]] = []

    def __init__(self, folder: Path, data: Path, iterations: int, processes: int = 1) -> None:
        self.folder, self.data, self.processes = folder, data, processes
        self.out = folder / "out"
        self.progress = folder / "progress"
        self.keys = [*KEYS, "SOLVER.MAX_ITER", str(iterations), "OUTPUT_DIR", str(self.out)]
        folder.mkdir(parents=True)
        self.progress.touch()

    def start(self, resume: bool = True, restarts: int = 0) -> subprocess.Popen:
        python = [sys.executable]
        if self.processes > 1:
            torchrun = ["-m", "torch.distributed.run", "--standalone", "--monitor-interval=0.1"]
            python += [*torchrun, f"--nproc-per-node={self.processes}", f"--max-restarts={restarts}"]
        config = ["--config-file", "configs/sample/faster_rcnn_R_18_FPN.yaml", *self.keys]
        arguments = [__file__, "--train", str(self.progress), *(["--resume"] if resume else []), *config]
        environment = {"DETECTRON2_DATASETS": str(self.data), "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
        with (self.folder / "printed").open("a") as printed:
            process = subprocess.Popen(
                [*python, *arguments],
                cwd=ROOT,
                env=os.environ | environment,
                stdout=printed,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        Run.started.append(process)
        return process

    def done(self) -> list[int]:
        """The iterations that were done, in their order; repeated ones again."""
        return [int(line) for line in self.progress.read_text().split()]

    def wait_for(self, iterations: int, process: subprocess.Popen) -> bool:
        """Waits until so many iterations are done in all; False if the process ended before."""
        end = time.monotonic() + LIMIT
        while len(self.done()) < iterations:
            if process.poll() is not None:
                return False
            if time.monotonic() > end:
                raise TimeoutError(f"{self.folder}: no progress; see printed there.")
            time.sleep(0.005)
        return True

    def finish(self, process: subprocess.Popen) -> int | None:
        """Waits for the end and returns the exit code, None where there is no end."""
        try:
            return process.wait(LIMIT)
        except subprocess.TimeoutExpired:
            end(process)
            return None

    def last_lines(self) -> str:
        return "\n".join((self.folder / "printed").read_text(errors="replace").strip().splitlines()[-8:])

    def weights(self) -> dict[str, torch.Tensor]:
        return torch.load(self.out / "model_final.pth", weights_only=True)["model"]


class Report:
    """Counts faults and what they cost, and keeps what was not as it has to be."""

    def __init__(self) -> None:
        self.faults: Counter[str] = Counter()
        self.repeated: Counter[str] = Counter()
        self.problems: list[str] = []

    def fault(self, kind: str, repeated: int) -> None:
        self.faults[kind] += 1
        self.repeated[kind] += repeated

    def check(self, holds: bool, what: str, run: Run) -> None:
        if not holds:
            self.problems.append(f"{what}\n{run.last_lines()}")
            print(f"  NOT SO: {what}")

    def lines(self) -> Iterator[str]:
        yield f"{'fault':<40}{'injected':>10}{'iterations repeated':>22}"
        for kind, count in self.faults.items():
            yield f"{kind:<40}{count:>10}{self.repeated[kind]:>22}"
        yield f"{'all':<40}{self.faults.total():>10}{self.repeated.total():>22}"


def repeats(done: list[int]) -> int:
    return len(done) - len(set(done))


def make_data(root: Path) -> None:
    base = root / "bdd100k"
    for split in ("train", "val"):
        frames = []
        for i in range(IMAGES):
            name = f"{split}{i}.jpg"
            write_image(base / "images/100k" / split / name, seed=i)
            frames.append(make_frame(name, ("car", 10 + i, 20, 60 + i, 70), ("pedestrian", 100, 30 - i, 120, 80)))
        (base / "labels/det_20").mkdir(parents=True, exist_ok=True)
        write_frames(frames, base / f"labels/det_20/det_{split}.json")


def kill(process: subprocess.Popen) -> None:
    """As the operating system kills: at once, the loader's processes as well."""
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def end(process: subprocess.Popen) -> None:
    """Ends what still runs. torchrun is asked: what it started is in sessions of its own."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(40)
        except subprocess.TimeoutExpired:
            kill(process)


def kills(run: Run, count: int, rng: random.Random, report: Report) -> None:
    """SIGKILL at random moments: while it starts, within an iteration, while it saves."""
    for i in range(count):
        before = run.done()
        process = run.start()
        if rng.random() < 0.2:
            # While it starts, or shortly after.
            moment = time.monotonic() + rng.uniform(0, 8)
            while time.monotonic() < moment and process.poll() is None:
                time.sleep(0.01)
        else:
            run.wait_for(len(before) + rng.randint(1, 2 * PERIOD), process)
            time.sleep(rng.uniform(0, 0.3))
        ended = process.poll()
        kill(process)
        report.check(ended is None, f"kill {i}: the training had ended before, with {ended}", run)
        repeated = repeats(run.done()) - repeats(before)
        report.fault("SIGKILL", repeated)
        report.check(repeated <= 2 * PERIOD, f"kill {i}: {repeated} iterations were repeated", run)
        print(f"  kill {i + 1} of {count}: {len(set(run.done()))} iterations are done", flush=True)


def terminate(run: Run, report: Report) -> None:
    before = run.done()
    process = run.start()
    run.wait_for(len(before) + PERIOD + 2, process)
    after_start = run.done()
    process.send_signal(signal.SIGTERM)
    code = run.finish(process)
    report.check(code == 143, f"SIGTERM: the exit code is {code}, not 143", run)
    stopped = run.done()
    process = run.start()
    run.wait_for(len(stopped) + 1, process)
    resumed = run.done()[len(stopped)]
    kill(process)
    report.fault("SIGTERM", max(stopped[-1] + 1 - resumed, 0))
    report.check(resumed == stopped[-1] + 1, f"SIGTERM: stopped after {stopped[-1]}, went on with {resumed}", run)
    report.check(len(stopped) <= len(after_start) + 2, "SIGTERM: it did not stop at once", run)


def damage(run: Run, report: Report) -> None:
    """Cuts the last checkpoint off, as a full disk or a lost power supply would."""
    last = run.out / (run.out / "last_checkpoint").read_text().strip()
    last.write_bytes(last.read_bytes()[: last.stat().st_size // 2])
    before = run.done()
    process = run.start()
    found = run.wait_for(len(before) + PERIOD + 1, process)
    kill(process)
    report.check(found, "damaged checkpoint: the training did not go on", run)
    repeated = repeats(run.done()) - repeats(before)
    report.fault("last checkpoint cut off", repeated)
    named = last.name in (run.folder / "printed").read_text(errors="replace").rpartition("passed over")[0]
    report.check(named, f"damaged checkpoint: {last.name} was not named", run)


def lose_an_image(run: Run, report: Report) -> None:
    image = run.data / "bdd100k/images/100k/train/train5.jpg"
    content = image.read_bytes()
    before = run.done()
    process = run.start()
    run.wait_for(len(before) + 1, process)
    image.unlink()
    code = run.finish(process)
    image.write_bytes(content)
    report.check(code == 1, f"an image was deleted: the exit code is {code}, not 1", run)
    report.check(f"error: {image}" in run.last_lines(), "an image was deleted: the error does not name it", run)
    stopped = run.done()
    process = run.start()
    run.wait_for(len(stopped) + PERIOD + 1, process)
    kill(process)
    report.fault("image deleted", repeats(run.done()) - repeats(before))


def lose_workers(run: Run, count: int, rng: random.Random, report: Report) -> None:
    """Kills one of the processes of torchrun, which starts all of them again."""
    process = run.start(resume=False, restarts=count)
    for i in range(count):
        before = run.done()
        if not run.wait_for(len(before) + PERIOD + rng.randint(1, PERIOD), process):
            report.check(False, f"lost worker {i}: torchrun had ended", run)
            break
        os.kill(rng.choice(children(process.pid)[: run.processes]), signal.SIGKILL)
        killed = run.done()
        if run.wait_for(len(killed) + 2, process):
            repeated = repeats(run.done()[: len(killed) + 2]) - repeats(before)
            report.fault(f"one of {run.processes} processes killed", repeated)
            report.check(repeated <= 2 * PERIOD, f"lost worker {i}: {repeated} iterations were repeated", run)
        print(f"  worker {i + 1} of {count}: {len(set(run.done()))} iterations are done", flush=True)
    report.check(run.finish(process) == 0, "lost workers: torchrun did not end well", run)


def compare(run: Run, alone: Run, iterations: int, report: Report) -> None:
    report.check(set(run.done()) == set(range(iterations)), "an iteration was left out", run)
    if not (run.out / "model_final.pth").is_file():
        report.check(False, "there are no final weights", run)
        return
    ours, theirs = run.weights(), alone.weights()
    far = max(float((ours[name].double() - theirs[name].double()).abs().max()) for name in theirs)
    equal = all(torch.equal(ours[name], theirs[name]) for name in theirs)
    report.check(equal, f"the final weights differ from those of a training left alone, by up to {far:.3g}", run)
    print(f"  final weights: {'equal to the bit' if equal else f'apart by {far:.3g}'}", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20, help="SIGKILLs of the training in one process")
    parser.add_argument("--worker-kills", type=int, default=4, help="kills of one of two processes")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--folder", type=Path, help="an empty folder to work in, which stays (default: temporary)")
    parser.add_argument("--json", type=Path, help="write the figures into this file")
    args = parser.parse_args()
    folder = args.folder or Path(tempfile.mkdtemp(prefix="soak-"))
    started = time.monotonic()
    rng, report = random.Random(args.seed), Report()
    data = folder / "data"
    make_data(data)

    # A kill costs about as much as is done between two of them.
    iterations = (args.kills + 5) * 7
    print(f"A training of {iterations} iterations, left alone ...", flush=True)
    alone = Run(folder / "alone", data, iterations)
    report.check(alone.finish(alone.start(resume=False)) == 0, "the training left alone failed", alone)
    print("The same under faults ...", flush=True)
    run = Run(folder / "faults", data, iterations)
    kills(run, args.kills, rng, report)
    terminate(run, report)
    damage(run, report)
    lose_an_image(run, report)
    report.check(run.finish(run.start()) == 0, "it did not finish", run)
    compare(run, alone, iterations, report)

    iterations = (args.worker_kills + 2) * 2 * PERIOD
    print(f"A training of {iterations} iterations in two processes, left alone ...", flush=True)
    alone = Run(folder / "alone2", data, iterations, processes=2)
    report.check(alone.finish(alone.start(resume=False)) == 0, "the training left alone failed", alone)
    print("The same, with processes killed ...", flush=True)
    run = Run(folder / "faults2", data, iterations, processes=2)
    lose_workers(run, args.worker_kills, rng, report)
    compare(run, alone, iterations, report)

    minutes = (time.monotonic() - started) / 60
    print("\n".join(["", *report.lines(), f"{minutes:.1f} minutes"]))
    if args.json:
        figures = {"faults": report.faults, "iterations_repeated": report.repeated, "minutes": minutes}
        args.json.write_text(json.dumps(figures | {"problems": report.problems}, indent=1))
    for problem in report.problems:
        print(f"\nNOT SO: {problem}")
    if args.folder is None and not report.problems:
        shutil.rmtree(folder)
    else:
        print(f"\nThe runs are in {folder}")
    return 1 if report.problems else 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["--train"]:
        train(Path(sys.argv[2]), sys.argv[3:])
    else:
        try:
            sys.exit(main())
        finally:
            for process in Run.started:
                end(process)
