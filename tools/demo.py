"""Shows the package at work on sample data: draws streets, trains two models on them, scores them, makes a page.

`make demo` runs it. What is done already is not done again, so it goes on where it was stopped.
"""

import argparse
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import yaml
from tqdm import tqdm

from bdd100k_d2.interruption import INTERRUPTED

ROOT = Path(__file__).resolve().parents[1]
SEM_SEG, DET = "semantic_fpn_efficientnet_lite0", "faster_rcnn_efficientnet_lite0_FPN"
TRAIN_FRAMES, VAL_FRAMES = 64, 16
# Seconds between two looks at a command.
_PERIOD = 0.5
# Last lines of a failed command's output that are shown.
_LINES = 15
# Iterations between two lines of a training's metrics.json.
_METRICS_PERIOD = 20


class StepError(Exception):
    """A command of the demo failed, or cannot be run."""


@dataclass(frozen=True)
class Step:
    """A command of the demo.

    Attributes:
        title: what the progress bar says.
        command: what is run.
        result: the file that it leaves when it is done.
        seconds: about how long it takes on two cores.
        log: the file that its output goes to.
        inputs: what the result has to be newer than.
        always: run it even where the result is there, because it looks itself what is left to do.
    """

    title: str
    command: tuple[str, ...]
    result: Path
    seconds: float
    log: Path
    inputs: tuple[Path, ...] = ()
    always: bool = False

    def is_done(self) -> bool:
        """Whether the result is there, and newer than what it is made of."""
        if not self.result.is_file():
            return False
        made = self.result.stat().st_mtime
        return all(path.is_file() and path.stat().st_mtime <= made for path in self.inputs)

    def prepare(self) -> None:
        """Makes ready for the command."""
        self.log.parent.mkdir(parents=True, exist_ok=True)

    def progress(self, elapsed: float) -> float:
        """The share that is done after so many seconds, 0 to 1, by the usual time."""
        return min(elapsed / self.seconds, 0.95)


@dataclass(frozen=True)
class Training(Step):
    """A training of a shipped config, which goes on from its last checkpoint.

    Attributes:
        config: the config file.
        data: the root of the data set.
    """

    config: Path = Path()
    data: Path = Path()

    @property
    def folder(self) -> Path:
        """Its OUTPUT_DIR."""
        return self.result.parents[1]

    def is_done(self) -> bool:
        """Whether it was trained and scored, by the config and on the data of today.

        Raises:
            StepError: the folder holds a training by another config, or on other data.
        """
        note = self.folder / "demo.txt"
        there = self.folder.is_dir() and any(self.folder.iterdir())
        if there and not (note.is_file() and note.read_text(encoding="utf-8") == self._made_of()):
            raise StepError(
                f"{self.folder}: holds a training by another config or on other data; remove it, or give another --out."
            )
        return super().is_done()

    def prepare(self) -> None:
        """Notes in the folder what the training is of."""
        super().prepare()
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "demo.txt").write_text(self._made_of(), encoding="utf-8")

    def progress(self, elapsed: float) -> float:
        """The share of the iterations that is done, 0 to 1; between the lines of the metrics by the usual time."""
        total = yaml.safe_load(self.config.read_text(encoding="utf-8"))["SOLVER"]["MAX_ITER"]
        done = 0
        with suppress(OSError):
            for line in (self.folder / "metrics.json").read_text(encoding="utf-8").splitlines():
                # The last line may be half written, and those of scores have no losses.
                with suppress(json.JSONDecodeError, KeyError):
                    done = json.loads(line)["iteration"] + 1
        return min(max(elapsed / self.seconds, done / total), (done + _METRICS_PERIOD) / total, 0.95)

    def _made_of(self) -> str:
        """The data set's record and the config with its bases."""
        texts = [(self.data / "bdd100k" / "sample.json").read_text(encoding="utf-8")]
        files = [self.config]
        while files:
            file = files.pop(0)
            texts.append(file.read_text(encoding="utf-8"))
            bases = yaml.safe_load(texts[-1]).get("_BASE_", [])
            files += [file.parent / base for base in ([bases] if isinstance(bases, str) else bases)]
        return "\n".join(texts)


def demo_steps(python: str, data: Path, out: Path) -> list[Step]:
    """The commands of the demo, in their order.

    Args:
        python: the interpreter.
        data: where the sample data are drawn.
        out: the folder of runs, page and logs.
    """
    frames = ("--train", str(TRAIN_FRAMES), "--val", str(VAL_FRAMES))
    draw = (python, _path("datasets/make_sample.py"), "--out", str(data), *frames)
    sem_seg = _training("training a segmenter", python, SEM_SEG, data, out, 85)
    det = _training("training a detector", python, DET, data, out, 80)
    runs = (str(det.folder), str(sem_seg.folder), "--out", str(out / "report"), "--root", str(data))
    page = (python, _path("tools/report.py"), "runs", *runs)
    scores = (det.result, sem_seg.result)
    return [
        Step("drawing streets", draw, data / "bdd100k" / "sample.json", 45, out / "sample.log", always=True),
        sem_seg,
        det,
        Step("making the page", page, out / "report" / "index.html", 10, out / "report.log", scores),
    ]


def _training(title: str, python: str, name: str, data: Path, out: Path, seconds: float) -> Training:
    config, folder = _path(f"configs/sample/{name}.yaml"), out / name
    command = (python, _path("tools/train_net.py"), "--resume", "--config-file", config, "OUTPUT_DIR", str(folder))
    result, log = folder / "inference" / "scores.json", out / f"{name}.log"
    return Training(title, command, result, seconds, log, config=Path(config), data=data)


def _path(below: str) -> str:
    """A file of the repository, from the folder in which the demo was called."""
    return os.path.relpath(ROOT / below)


def run_steps(steps: Sequence[Step], environment: dict[str, str]) -> None:
    """Runs the steps that are not done, with one progress bar where a person watches, else a line each.

    Raises:
        StepError: a command failed; the message has the end of its output.
        KeyboardInterrupt: the running command was stopped, after it had saved what it can go on from.
    """
    watched = sys.stderr.isatty()
    form = "{desc:<22}{percentage:3.0f}%|{bar}| {elapsed} gone, about LEFT left"
    total = sum(step.seconds for step in steps)
    first = form.replace("LEFT", tqdm.format_interval(total))
    with tqdm(total=total, bar_format=first, disable=not watched) as bar:
        before, start = 0.0, time.monotonic()
        # Seconds of work that a run which goes on had done already, and which tell nothing of how fast it goes now.
        given = 0.0
        for step in steps:
            worth = 0.0 if step.is_done() else step.seconds
            bar.total -= step.seconds - worth
            if not worth and not step.always:
                continue
            title = step.title if worth else "checking what is there"
            bar.set_description_str(title, refresh=False)
            if not watched:
                print(f"{title} ...", flush=True)
            given += worth * step.progress(0)

            def show(elapsed: float, step: Step = step, before: float = before, worth: float = worth) -> None:
                bar.n = max(before + worth * step.progress(elapsed), bar.n)
                left = _seconds_left(bar.total - bar.n, bar.n - given, time.monotonic() - start)  # noqa: B023, of now
                bar.bar_format = form.replace("LEFT", tqdm.format_interval(left))
                bar.refresh()

            _run(step, environment, show)
            before += worth
            bar.n = before


def _seconds_left(work: float, done: float, elapsed: float) -> float:
    """How long it will take, in seconds.

    Args:
        work: that is left, in seconds on two cores that are not busy.
        done: what was done in ``elapsed`` seconds, likewise.
        elapsed: since the start.
    """
    # The first seconds, in which a command only starts, tell nothing.
    return work * (elapsed / done if done > 10 else 1.0)


def _run(step: Step, environment: dict[str, str], show: Callable[[float], None]) -> None:
    step.prepare()
    start = time.monotonic()
    with step.log.open("w", encoding="utf-8") as log:
        # A session of its own, so that Ctrl-C reaches it once, from here.
        process = subprocess.Popen(
            step.command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            while process.poll() is None:
                time.sleep(_PERIOD)
                show(time.monotonic() - start)
        except KeyboardInterrupt:
            process.send_signal(signal.SIGINT)
            process.wait()
            raise
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    if process.returncode or not step.result.is_file():
        end = "".join(step.log.read_text(encoding="utf-8", errors="replace").splitlines(True)[-_LINES:])
        failed = f"{step.title} failed (exit status {process.returncode}); {step.log} has all its output."
        raise StepError(f"{end}\n{failed}")


def summary(python: str, data: Path, out: Path) -> str:
    """Scores, the page's path, and three commands to go on with."""
    sem_seg, det = (json.loads((out / name / "inference/scores.json").read_text()) for name in (SEM_SEG, DET))
    val, labels = data / "bdd100k/images/100k/val", data / "bdd100k/labels/det_20/det_val.json"
    config, weights = _path(f"configs/sample/{DET}.yaml"), str(out / DET / "model_final.pth")
    predict = ("--config-file", config, "--input", str(val), "--output", "output/predictions", "--overlay")
    explain = ("--gt", str(labels), "--pred", str(out / DET / "inference/det.json"), "--images", str(val))
    commands = {
        "draw what the detector finds": (_path("tools/predict.py"), *predict, "MODEL.WEIGHTS", weights),
        "see where it is wrong, and why": (_path("tools/report.py"), "det", *explain, "--out", "output/why"),
        "see what is missing for the real data": ("-m", "bdd100k_d2.doctor", "--root", "/data"),
    }
    return "\n".join(
        [
            "",
            f"Semantic FPN   {sem_seg['IoU'][1]['AVERAGE']:.1f} mIoU",
            f"Faster R-CNN   {det['AP50'][1]['OVERALL']:.1f} box AP50, {det['AP'][1]['OVERALL']:.1f} AP",
            f"on {VAL_FRAMES} drawn frames that neither has seen.",
            "",
            f"Page: {(out / 'report' / 'index.html').resolve()}",
            "",
            "Next:",
            *(f"  # {what}\n  {shlex.join((python, *command))}" for what, command in commands.items()),
        ]
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the demo; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, default=ROOT / "datasets/sample", help="folder of the sample data")
    parser.add_argument("--out", type=Path, default=ROOT / "output/demo", help="folder of runs and page")
    args = parser.parse_args(arguments)
    data, out = (Path(os.path.relpath(path)) for path in (args.data, args.out))
    python = os.path.relpath(sys.executable) if Path(sys.executable).is_relative_to(ROOT) else sys.executable
    steps = demo_steps(python, data, out)
    # As Ctrl-C: the running command is stopped, too.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    try:
        left = [step for step in steps if not step.result.is_file()]
        if left:
            minutes = max(round(sum(step.seconds for step in left) / 60), 1)
            print(f"{', '.join(step.title for step in left)}: about {minutes} minutes on two cores that are not busy.")
            print(f"What each does meanwhile stands in {out}/*.log.", flush=True)
        run_steps(steps, os.environ | {"DETECTRON2_DATASETS": str(data)})
    except KeyboardInterrupt:
        print("\nstopped; the same command goes on from here", file=sys.stderr)
        return INTERRUPTED
    except (StepError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(summary(python, data, out))
    return 0


if __name__ == "__main__":
    sys.exit(main())
