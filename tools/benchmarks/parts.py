"""What a command does often, by itself and on one core: drawing a frame, reading labels, importing the package."""

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import cv2
import numpy as np

from bdd100k_d2.data.datasets import load_det
from bdd100k_d2.drawing.legend import add_legend
from bdd100k_d2.drawing.overlay import Objects, draw_objects, stack_masks, visible_classes
from bdd100k_d2.tasks import TASKS

from .evaluate import machine, named
from .problem import make_labels

_OBJECTS, _BOXES_PER_FRAME = 30, 18


class Part(NamedTuple):
    """What was done, and the median of the milliseconds of the processor that it took."""

    name: str
    milliseconds: float


class PartReport(NamedTuple):
    """All that was measured, and where."""

    machine: dict[str, str]
    parts: list[Part]

    def text(self) -> str:
        """A Markdown table with the machine above it."""
        lines = [", ".join(f"{name} {value}" for name, value in self.machine.items()), "", "| part | ms |", "|---|--:|"]
        return "\n".join([*lines, *(f"| {one.name} | {one.milliseconds:,.1f} |" for one in self.parts)])

    def to_json(self) -> dict[str, Any]:
        """The same as numbers."""
        return named(self)


def run_part_benchmark(frames: int = 10_000, repeat: int = 15) -> PartReport:
    """Measures each part ``repeat`` times, reading the labels of ``frames`` frames a fifth as often."""
    cv2.setNumThreads(1)
    few = max(repeat // 5, 1)
    parts = [
        Part(f"draw {_OBJECTS} objects with {what}", _time(_drawing(what == "masks"), repeat))
        for what in ("boxes", "masks")
    ]
    with tempfile.TemporaryDirectory(prefix="benchmark") as name:
        labels, images = make_labels(Path(name), frames, frames * _BOXES_PER_FRAME)
        parts.append(Part(f"read the labels of {frames:,} frames", _time(lambda: load_det(labels, images), few)))
    parts.append(Part("import bdd100k_d2", 1000 * median(_import_seconds() for _ in range(few))))
    return PartReport(machine("numpy", "opencv-python-headless"), parts)


def _drawing(masked: bool) -> Callable[[], object]:
    """Draws boxes, or masks, with names and a legend on a frame of 1280x720."""
    random = np.random.default_rng(0)
    image = random.integers(0, 255, (720, 1280, 3), np.uint8)
    starts = random.uniform((0, 200), (1100, 500), (_OBJECTS, 2)).round()
    corners = np.concatenate([starts, starts + random.uniform(15, 180, (_OBJECTS, 2)).round()], axis=1)
    scores = random.uniform(0.3, 1, _OBJECTS)
    regions = np.zeros((_OBJECTS, 720, 1280), bool)
    for region, (left, top, right, bottom) in zip(regions, corners.astype(int), strict=True):
        region[top : bottom + 1, left : right + 1] = True
    owners = stack_masks(regions, corners, scores) if masked else None
    found = Objects(corners, random.integers(0, 10, _OBJECTS), scores, owners)
    classes = visible_classes(TASKS["det"].names, TASKS["det"].colors)
    return lambda: add_legend(draw_objects(image, found, classes), classes, found.classes.tolist())


def _time(call: Callable[[], object], repeat: int) -> float:
    # Of the processor, not of the clock: others may be at work beside it.
    times = []
    for _ in range(repeat):
        start = time.process_time()
        call()
        times.append(time.process_time() - start)
    return 1000 * median(times)


def _import_seconds() -> float:
    code = "import time; start = time.process_time(); import bdd100k_d2; print(time.process_time() - start)"
    return float(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)
