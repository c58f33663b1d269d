"""The official toolkit and this package score the same files, one after the other, on one machine."""

import logging
import os
import platform
import sys
import tempfile
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from bdd100k_d2.evaluation.toolkit_format import read_toolkit_scores
from bdd100k_d2.parallel import cores

from .compare import TOLERANCE, largest_difference
from .problem import Problem, make_detections, make_labels, make_masks
from .process import Usage, measure
from .toolkit import toolkit_command, toolkit_python

logger = logging.getLogger(__name__)

FEW_MASKS = 200
"""Images of the smaller problem beside which the full one shows that memory does not grow."""

# As in the official training labels.
TRAIN_FRAMES, TRAIN_BOXES = 69_863, 1_286_871

_READ = (
    "import sys, time; from bdd100k_d2.data.datasets import load_det; start = time.perf_counter();"
    "dicts = load_det(*sys.argv[1:]); print(time.perf_counter() - start, len(dicts))"
)


class Comparison(NamedTuple):
    """One problem scored by both.

    Attributes:
        task: "det" or "sem_seg".
        frames: of the problem.
        processes: that the toolkit was told to use.
        workers: that this package was told to use; for masks they are threads of one process.
        toolkit: what the official toolkit took; None where it was not asked.
        ours: what this package took.
        difference: the largest between two scores, in percent; None without the toolkit.
    """

    task: str
    frames: int
    processes: int | None
    workers: int
    toolkit: Usage | None
    ours: Usage
    difference: float | None


class Reading(NamedTuple):
    """Training labels read into dataset dicts: the seconds of that alone, and of the process with its peak memory."""

    frames: int
    seconds: float
    process: Usage


class Report(NamedTuple):
    """All that was measured, and where."""

    machine: dict[str, str]
    comparisons: list[Comparison]
    reading: Reading

    def exact(self) -> bool:
        """Whether all scores that were compared are the same."""
        return all(one.difference is None or one.difference <= TOLERANCE for one in self.comparisons)

    def text(self) -> str:
        """A Markdown table of the comparisons, with the machine above and the reading below it."""
        lines = [
            ", ".join(f"{name} {value}" for name, value in self.machine.items()),
            "",
            "| problem | toolkit's processes | time | memory | our workers | time | memory | times faster "
            "| largest difference |",
            "|---|--:|--:|--:|--:|--:|--:|--:|--:|",
        ]
        for one in self.comparisons:
            cells = [f"{one.task}, {one.frames:,} frames"]
            ours = [str(one.workers), *usage_cells(one.ours)]
            if one.toolkit is None or one.difference is None:
                cells += ["-", "-", "-", *ours, "-", "-"]
            else:
                ratio = f"{one.toolkit.seconds / one.ours.seconds:.1f}"
                cells += [str(one.processes), *usage_cells(one.toolkit), *ours, ratio, f"{one.difference:.0e}"]
            lines.append(f"| {' | '.join(cells)} |")
        seconds, memory = usage_cells(self.reading.process)
        lines += [
            "",
            f"Training labels of {self.reading.frames:,} frames -> dataset dicts: {self.reading.seconds:.2f} s; "
            f"the whole process {seconds}, {memory}.",
        ]
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        """The same as numbers: seconds, bytes, percent."""
        return named(self)


def run_benchmark(
    evaluate: Sequence[str],
    frames: int = 10_000,
    masks: int = 1_000,
    train_frames: int = TRAIN_FRAMES,
    processes: Sequence[int] = (),
    with_toolkit: bool = True,
    repeat: int = 3,
) -> Report:
    """Makes the problems by seed, and measures both tools on them from the start of a process to written scores.

    Args:
        evaluate: the command line of this package's evaluation without its arguments.
        frames: of the det problem.
        masks: pairs of the sem_seg problem.
        train_frames: of the labels that are read.
        processes: the numbers of processes to run the toolkit with; one and all cores without it. This package is run
            with as many workers, and with all cores.
        with_toolkit: whether the official toolkit runs as well; it takes minutes.
        repeat: how often this package is run; the median time and the largest memory count. The toolkit is run once.

    Raises:
        DataError: one of the tools fails.
        OutputError: the toolkit's environment cannot be made, or a file cannot be written.
    """
    processes = processes or sorted({1, cores()})
    place = machine("numpy", "hotcoco")
    if with_toolkit:
        # It is made before anything is measured.
        toolkit_python()
    with tempfile.TemporaryDirectory(prefix="benchmark") as name:
        folder = Path(name)
        bench = _Bench(folder, evaluate, with_toolkit, repeat)
        logger.info("Making the problems in %s.", folder)
        problem = make_detections(folder / "det", frames)
        comparisons = bench.compare("det", problem, frames, processes)
        problem = make_masks(folder / "sem_seg", masks, processes=cores())
        comparisons += bench.compare("sem_seg", problem, masks, processes)
        if masks > FEW_MASKS:
            few = make_masks(folder / "few", FEW_MASKS, processes=cores())
            comparisons.append(bench.ours_alone("sem_seg", few, FEW_MASKS, cores()))
        return Report(place, comparisons, _read_labels(folder, train_frames, repeat))


class _Bench:
    """Runs the two tools; `run_benchmark` says what its arguments are."""

    def __init__(self, folder: Path, evaluate: Sequence[str], with_toolkit: bool, repeat: int) -> None:
        self.evaluate = evaluate
        self.with_toolkit = with_toolkit
        self.repeat = repeat
        self.folder = folder
        self.theirs = folder / "theirs.json"

    def compare(self, task: str, problem: Problem, frames: int, processes: Sequence[int]) -> list[Comparison]:
        ours = {n: self.ours_alone(task, problem, frames, n) for n in sorted({*processes, cores()})}
        if not self.with_toolkit:
            return list(ours.values())
        comparisons = []
        for n in processes:
            usage = self._measure(toolkit_command(task, *problem, self.theirs, processes=n))
            theirs = read_toolkit_scores(self.theirs)
            for workers in sorted({n, cores()}):
                difference = largest_difference(theirs, read_toolkit_scores(self._scores(task, workers)))
                comparisons.append(ours[workers]._replace(processes=n, toolkit=usage, difference=difference))
        return comparisons

    def ours_alone(self, task: str, problem: Problem, frames: int, workers: int) -> Comparison:
        # What was just written goes to the disk before anything is measured, not meanwhile.
        os.sync()
        scores = self._scores(task, workers)
        arguments = ["--gt", problem.truth, "--pred", problem.predicted, "--out", scores, "--workers", workers]
        command = [*self.evaluate, task, *map(str, arguments)]
        ours = median_usage([self._measure(command) for _ in range(self.repeat)])
        return Comparison(task, frames, None, workers, None, ours, None)

    def _scores(self, task: str, workers: int) -> Path:
        return self.folder / f"{task}-{workers}.json"

    def _measure(self, command: Sequence[str]) -> Usage:
        logger.info("Running %s", " ".join(command))
        return measure(command)


def _read_labels(folder: Path, frames: int, repeat: int) -> Reading:
    labels, images = make_labels(folder / "train", frames, TRAIN_BOXES * frames // TRAIN_FRAMES)
    command = [sys.executable, "-c", _READ, str(labels), str(images)]
    os.sync()
    logger.info("Reading the labels of %d frames", frames)
    runs = [measure(command) for _ in range(repeat)]
    return Reading(frames, median(float(run.output.split()[0]) for run in runs), median_usage(runs))


def median_usage(runs: Sequence[Usage]) -> Usage:
    """The median time, and the largest memory, of several runs."""
    return Usage(median(run.seconds for run in runs), max(run.peak for run in runs), runs[-1].output)


def machine(*packages: str) -> dict[str, str]:
    """The processor, Python, and the versions of what was measured with."""
    models = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    processor = models[0].partition(": ")[2] if models else platform.machine()
    return {
        "processor": f"{processor} ({cores()} cores)",
        "Python": platform.python_version(),
        **{package: version(package) for package in packages},
    }


def usage_cells(usage: Usage) -> list[str]:
    """Time and memory, as a table shows them."""
    return [f"{usage.seconds:.2f} s", f"{usage.peak / 1e9:.2f} GB"]


def named(value: Any) -> Any:  # noqa: ANN401, records within records
    """Records as dicts by the names of their fields, without what the commands printed."""
    if isinstance(value, list):
        return [named(item) for item in value]
    if not isinstance(value, tuple):
        return value
    return {name: named(item) for name, item in value._asdict().items() if name != "output"}
