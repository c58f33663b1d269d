"""What the tools that look at data and results take, from their start to their end, at the size of BDD100K."""

import logging
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from bdd100k_d2.parallel import cores

from .evaluate import TRAIN_BOXES, TRAIN_FRAMES, machine, median_usage, named, usage_cells
from .problem import draw_images, find_images, image_name, make_detections, make_labels, make_masks
from .process import Usage, measure

logger = logging.getLogger(__name__)


class Measured(NamedTuple):
    """What a command took on a problem of so many frames."""

    command: str
    frames: int
    usage: Usage


class CommandReport(NamedTuple):
    """All that was measured, and where."""

    machine: dict[str, str]
    measured: list[Measured]

    def text(self) -> str:
        """A Markdown table of the commands, with the machine above it."""
        lines = [
            ", ".join(f"{name} {value}" for name, value in self.machine.items()),
            "",
            "| command | frames | time | memory |",
            "|---|--:|--:|--:|",
        ]
        for one in self.measured:
            lines.append(f"| {one.command} | {one.frames:,} | {' | '.join(usage_cells(one.usage))} |")
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        """The same as numbers: seconds and bytes."""
        return named(self)


def run_command_benchmark(
    tools: Path,
    frames: int = 10_000,
    masks: int = 1_000,
    train_frames: int = TRAIN_FRAMES,
    repeat: int = 1,
    images: Path | None = None,
) -> CommandReport:
    """Makes problems by seed and runs the commands on them.

    Args:
        tools: the folder of the commands.
        frames: of det, for the report and the check, each with an image and 100 detections.
        masks: pairs of sem_seg.
        train_frames: of the labels that are converted.
        repeat: how often each command is run; the median time and the largest memory count.
        images: a folder of JPEG files to show; some are drawn without it.

    Raises:
        DataError: a command fails, or there are no images in the folder.
    """
    with tempfile.TemporaryDirectory(prefix="benchmark") as name:
        folder = Path(name)
        shown = find_images(images) if images else draw_images(folder / "drawn")
        bench = _Bench(tools, repeat)
        logger.info("Making the problems in %s.", folder)
        _measure_det(bench, folder, frames, shown)
        _measure_masks(bench, folder, masks)
        _measure_conversions(bench, folder, train_frames)
        return CommandReport(machine("numpy", "hotcoco"), bench.measured)


class _Bench:
    """Runs commands and keeps what they took."""

    def __init__(self, tools: Path, repeat: int) -> None:
        self.measured: list[Measured] = []
        self._tools, self._repeat = tools, repeat

    def run(self, what: str, frames: int, *arguments: object) -> None:
        """Measures the command ``what``, the name of a tool and words that tell it from others in the table."""
        command = [sys.executable, str(self._tools / what.split()[0]), *map(str, arguments)]
        logger.info("Running %s", " ".join(command))
        # What was just written goes to the disk before anything is measured, not meanwhile.
        os.sync()
        usage = median_usage([measure(command) for _ in range(self._repeat)])
        self.measured.append(Measured(what, frames, usage))


def _measure_det(bench: _Bench, folder: Path, frames: int, shown: Sequence[Path]) -> None:
    problem = make_detections(folder / "det", frames)
    other = make_detections(folder / "other", frames, detections_seed=1)
    data = folder / "root" / "bdd100k"
    images, labels = data / "images/100k/val", data / "labels/det_20/det_val.json"
    images.mkdir(parents=True)
    labels.parent.mkdir(parents=True)
    labels.symlink_to(problem.truth)
    for place in range(frames):
        (images / image_name(place)).symlink_to(shown[place % len(shown)])
    files = ("--gt", problem.truth, "--pred", problem.predicted, "--images", images, "--out", folder / "report")
    bench.run("report.py det", frames, "det", *files)
    bench.run("report.py det --baseline", frames, "det", *files, "--baseline", other.predicted)
    bench.run("check_dataset.py", frames, "--root", folder / "root")


def _measure_masks(bench: _Bench, folder: Path, masks: int) -> None:
    problem = make_masks(folder / "sem_seg", masks, processes=cores())
    files = ("--gt", problem.truth, "--pred", problem.predicted, "--out", folder / "report")
    bench.run("report.py sem_seg", masks, "sem_seg", *files)
    _convert(bench, "sem_seg masks", masks, problem.truth, folder / "masks.json", "coco", "--task", "sem_seg")
    polygons = ("--task", "sem_seg", "--segmentation", "polygon")
    _convert(bench, "sem_seg masks, polygons", masks, problem.truth, folder / "polygons.json", "coco", *polygons)
    _convert(bench, "COCO", masks, folder / "masks.json", folder / "painted", "masks", "--task", "sem_seg")


def _measure_conversions(bench: _Bench, folder: Path, frames: int) -> None:
    labels, _ = make_labels(folder / "train", frames, TRAIN_BOXES * frames // TRAIN_FRAMES)
    coco, yolo, back = folder / "coco.json", folder / "yolo", folder / "back.json"
    _convert(bench, "det labels", frames, labels, coco, "coco")
    _convert(bench, "COCO", frames, coco, back, "scalabel")
    _convert(bench, "det labels", frames, labels, yolo, "yolo")
    _convert(bench, "YOLO", frames, yolo, back, "scalabel", "--split", "train", "--size", "1280x720")


def _convert(bench: _Bench, kind: str, frames: int, source: Path, target: Path, to: str, *arguments: object) -> None:
    what = f"convert_labels.py --to {to}, of {kind}"
    bench.run(what, frames, source, target, "--to", to, "--overwrite", *arguments)
