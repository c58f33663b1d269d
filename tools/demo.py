"""Shows the package at work on sample data: draws streets, trains two models on them, scores them, makes a page.

`make demo` runs it. What is done already is not done again, so it goes on where it was stopped.
"""

import argparse
import json
import os
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

ROOT = Path(__file__).resolve().parents[1]
INTERRUPTED = 130
SEM_SEG = "configs/sample/semantic_fpn_efficientnet_lite0.yaml"
DET = "configs/sample/faster_rcnn_efficientnet_lite0_FPN.yaml"
# Seconds between two looks at a command.
_PERIOD = 0.5
# Last lines of a failed command's output that are shown.
_LINES = 15


class StepError(Exception):
    """A command of the demo failed."""


@dataclass(frozen=True)
class Step:
    """A command of the demo.

    Attributes:
        title: what the progress bar says.
        command: run in the repository.
        result: the file that it leaves when it is done.
        seconds: about how long it takes on two cores.
        log: the file that its output goes to.
        metrics: of a training, the file that says how far it is.
        iterations: of a training.
    """

    title: str
    command: tuple[str, ...]
    result: Path
    seconds: float
    log: Path
    metrics: Path | None = None
    iterations: int = 1

    def progress(self, elapsed: float) -> float:
        """The share that is done, 0 to 1: of the iterations, or of the usual time."""
        if self.metrics is None:
            return min(elapsed / self.seconds, 0.95)
        with suppress(OSError):
            for line in reversed(self.metrics.read_text(encoding="utf-8").splitlines()):
                # The last line may be half written.
                with suppress(json.JSONDecodeError, KeyError):
                    return min((json.loads(line)["iteration"] + 1) / self.iterations, 1.0)
        return 0.0


def demo_steps(python: str, data: Path, out: Path) -> list[Step]:
    """The commands of the demo, in their order.

    Args:
        python: the interpreter.
        data: where the sample data are drawn.
        out: the folder of runs, page and logs.
    """
    sem_seg, det, page = out / "sem_seg", out / "det", out / "report"
    draw = (python, "datasets/make_sample.py", "--out", str(data), "--train", "64", "--val", "16")
    report = (python, "tools/report.py", "runs", str(det), str(sem_seg), "--out", str(page), "--root", str(data))
    return [
        Step("drawing streets", draw, data / "bdd100k" / "sample.json", 20, out / "sample.log"),
        _training("training a segmenter", python, SEM_SEG, sem_seg, 90),
        _training("training a detector", python, DET, det, 90),
        Step("making the page", report, page / "index.html", 10, out / "report.log"),
    ]


def _training(title: str, python: str, config: str, folder: Path, seconds: float) -> Step:
    command = (python, "tools/train_net.py", "--resume", "--config-file", config, "OUTPUT_DIR", str(folder))
    iterations = yaml.safe_load((ROOT / config).read_text(encoding="utf-8"))["SOLVER"]["MAX_ITER"]
    result, log = folder / "inference" / "scores.json", folder.with_suffix(".log")
    return Step(title, command, result, seconds, log, folder / "metrics.json", iterations)


def run_steps(steps: Sequence[Step], environment: dict[str, str]) -> None:
    """Runs the steps whose results are not there, with one progress bar where a person watches, else a line each.

    Raises:
        StepError: a command failed; the message has the end of its output.
        KeyboardInterrupt: the running command was stopped, after it had saved what it can go on from.
    """
    left = [step for step in steps if not step.result.is_file()]
    watched = sys.stderr.isatty()
    form = "{desc:<22}{percentage:3.0f}%|{bar}| {elapsed} gone, about {remaining} left"
    with tqdm(total=sum(step.seconds for step in left), bar_format=form, disable=not watched) as bar:
        before = 0.0
        for step in left:
            bar.set_description_str(step.title)
            if not watched:
                print(f"{step.title} ...", flush=True)

            def show(elapsed: float, step: Step = step, before: float = before) -> None:
                bar.update(max(before + step.seconds * step.progress(elapsed) - bar.n, 0))
                bar.refresh()

            _run(step, environment, show)
            before += step.seconds
            bar.update(before - bar.n)


def _run(step: Step, environment: dict[str, str], show: Callable[[float], None]) -> None:
    step.log.parent.mkdir(parents=True, exist_ok=True)
    start = time.monotonic()
    with step.log.open("w", encoding="utf-8") as log:
        # A session of its own, so that Ctrl-C reaches it once, from here.
        process = subprocess.Popen(
            step.command,
            cwd=ROOT,
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
            process.kill()
    if process.returncode or not step.result.is_file():
        end = "".join(step.log.read_text(encoding="utf-8", errors="replace").splitlines(True)[-_LINES:])
        raise StepError(
            f"{end}\n{step.title} failed (exit status {process.returncode}); {step.log} has all its output."
        )


def summary(python: str, data: Path, out: Path) -> str:
    """Scores, the page's path, and three commands to go on with."""
    sem_seg, det = (json.loads((out / task / "inference" / "scores.json").read_text()) for task in ("sem_seg", "det"))
    val, labels = data / "bdd100k/images/100k/val", data / "bdd100k/labels/det_20/det_val.json"
    weights = f"MODEL.WEIGHTS {out}/det/model_final.pth"
    predict = f"--config-file {DET} --input {val} --output output/predictions --overlay {weights}"
    explain = f"--gt {labels} --pred {out}/det/inference/det.json --images {val} --out output/why"
    commands = {
        "draw what the detector finds": f"{python} tools/predict.py {predict}",
        "see where it is wrong, and why": f"{python} tools/report.py det {explain}",
        "see what is missing for the real data": f"{python} -m bdd100k_d2.doctor --root /data",
    }
    return "\n".join(
        [
            "",
            f"Semantic FPN   {sem_seg['IoU'][1]['AVERAGE']:.1f} mIoU",
            f"Faster R-CNN   {det['AP50'][1]['OVERALL']:.1f} box AP50, {det['AP'][1]['OVERALL']:.1f} AP",
            "on 16 drawn frames that neither has seen.",
            "",
            f"Page: {(out / 'report' / 'index.html').resolve()}",
            "",
            "Next:",
            *(f"  # {what}\n  {command}" for what, command in commands.items()),
        ]
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the demo; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, default=Path("datasets/sample"), help="folder of the sample data")
    parser.add_argument("--out", type=Path, default=Path("output/demo"), help="folder of runs and page")
    args = parser.parse_args(arguments)
    python = os.path.relpath(sys.executable) if Path(sys.executable).is_relative_to(ROOT) else sys.executable
    steps = demo_steps(python, args.data, args.out)
    left = [step for step in steps if not step.result.is_file()]
    if left:
        minutes = max(round(sum(step.seconds for step in left) / 60), 1)
        print(f"{', '.join(step.title for step in left)}: about {minutes} minutes on two cores that are not busy.")
    # As Ctrl-C: the running command is stopped, too.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        run_steps(steps, os.environ | {"DETECTRON2_DATASETS": str(args.data)})
    except KeyboardInterrupt:
        print("\nstopped; the same command goes on from here", file=sys.stderr)
        return INTERRUPTED
    except StepError as error:
        print(error, file=sys.stderr)
        return 1
    print(summary(python, args.data, args.out))
    return 0


if __name__ == "__main__":
    sys.exit(main())
