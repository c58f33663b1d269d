"""The training loader beside Detectron2's own, with the same images, labels and workers."""

import json
import logging
import sys
import tempfile
from collections.abc import Iterable, Sequence
from itertools import cycle
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from .evaluate import TRAIN_BOXES, TRAIN_FRAMES, machine, named
from .problem import draw_images, find_images, make_labels
from .process import measure

logger = logging.getLogger(__name__)

FEW_FRAMES = 1_000
"""Frames of the smaller data set: what the full one takes more is what its records take."""


class Load(NamedTuple):
    """What a loader delivered.

    Attributes:
        kind: "ours" or "stock".
        frames: of the data set.
        workers: of the loader.
        images_per_second: median of the runs.
        memory: bytes of all its processes, the largest of the runs; see `loading.measure_loader`.
        anonymous: bytes of the same, without files and shared memory, in a run of single images: what the records
            take shows in it, and images on their way do not.
    """

    kind: str
    frames: int
    workers: int
    images_per_second: float
    memory: int
    anonymous: int


class LoaderReport(NamedTuple):
    """All that was measured, and where."""

    machine: dict[str, str]
    loads: list[Load]

    def text(self) -> str:
        """A Markdown table with the machine above it."""
        lines = [
            ", ".join(f"{name} {value}" for name, value in self.machine.items()),
            "",
            f"| loader | frames | workers | images/s | memory | more than with {FEW_FRAMES:,} frames |",
            "|---|--:|--:|--:|--:|--:|",
        ]
        for one in self.loads:
            few = [load.anonymous for load in self.loads if load[:3] == (one.kind, FEW_FRAMES, one.workers)]
            records = f"{(one.anonymous - few[0]) / 1e6:.0f} MB" if few and one.frames > FEW_FRAMES else "-"
            cells = [one.kind, f"{one.frames:,}", str(one.workers), f"{one.images_per_second:.1f}"]
            lines.append(f"| {' | '.join([*cells, f'{one.memory / 1e9:.2f} GB', records])} |")
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        """The same as numbers: images per second, bytes."""
        return named(self)


def run_loader_benchmark(
    frames: int = TRAIN_FRAMES,
    workers: Sequence[int] = (4,),
    batch_size: int = 16,
    batches: int = 60,
    repeat: int = 3,
    images: Path | None = None,
) -> LoaderReport:
    """Measures both loaders on labels of BDD100K's size, which are made by seed, and on a small part of them.

    Args:
        frames: of the data set.
        workers: numbers of workers to measure with.
        batch_size: images of a batch.
        batches: of a run.
        repeat: runs of each loader, in turn.
        images: a folder of JPEG files of 1280x720 to show, one after the other; without it some are drawn.

    Raises:
        DataError: the folder holds no JPEG file, or a loader fails.
    """
    with tempfile.TemporaryDirectory(prefix="benchmark") as name:
        folder = Path(name)
        shown = find_images(images) if images else draw_images(folder / "drawn")
        sizes = sorted({min(FEW_FRAMES, frames), frames})
        problems = {size: _make_problem(folder / str(size), size, shown) for size in sizes}
        loads = []
        for size, (labels, linked) in problems.items():
            for count in workers:
                runs: dict[str, list[dict[str, float]]] = {"stock": [], "ours": []}
                for _ in range(repeat):
                    for kind, answers in runs.items():
                        arguments = (kind, labels, linked, count, batch_size, batches)
                        answers.append(_run(map(str, arguments)))
                for kind, answers in runs.items():
                    speed = median(one["images_per_second"] for one in answers)
                    memory = int(max(one["memory"] for one in answers))
                    single = _run(map(str, (kind, labels, linked, count, 1, batches)))
                    anonymous = int(single["anonymous"])
                    loads.append(Load(kind, size, count, speed, memory, anonymous))
        return LoaderReport(machine("torch", "pillow", "opencv-python-headless"), loads)


def _run(arguments: Iterable[str]) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.loading", *arguments]
    logger.info("Running %s", " ".join(command))
    return json.loads(measure(command).output.splitlines()[-1])


def _make_problem(folder: Path, frames: int, shown: Sequence[Path]) -> tuple[Path, Path]:
    labels, images = make_labels(folder, frames, TRAIN_BOXES * frames // TRAIN_FRAMES)
    for image, source in zip(sorted(images.iterdir()), cycle(shown)):
        image.unlink()
        image.symlink_to(source)
    return labels, images
