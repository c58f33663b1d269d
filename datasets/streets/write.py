"""Writes a sample data set in BDD100K's official folder layout."""

import json
import logging
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from bdd100k_d2.atomic import write_atomic
from bdd100k_d2.data.labels import Frame, FrameAttributes, Label, write_frames
from bdd100k_d2.errors import OutputError
from bdd100k_d2.parallel import in_order, working_processes

from .layout import make_scene
from .render import render
from .scene import Plan, Scene, frame_plans

logger = logging.getLogger(__name__)

_VERSION = 1
"""Raised whenever the same arguments give other images, so that an older data set is not taken for a new one."""

_SETS = ("100k", "10k")
_SPLITS = ("train", "val", "test")
_JPEG_QUALITY = 92
_MAX_FRAMES = 1 << 16
_MANIFEST, _INCOMPLETE = "sample.json", "sample.incomplete"


@dataclass(frozen=True)
class _Job:
    """A frame to draw; everything a worker process needs."""

    root: Path
    image_set: str
    split: str
    name: str
    plan: Plan
    seed: list[int]

    def files(self) -> list[Path]:
        """The frame's image and, unless it is a test frame, its mask."""
        files = [self.root / f"images/{self.image_set}/{self.split}/{self.name}.jpg"]
        if self.split != "test":
            task = "drivable" if self.image_set == "100k" else "sem_seg"
            files.append(self.root / f"labels/{task}/masks/{self.split}/{self.name}.png")
        return files


def scenes(image_set: str, split: str, count: int, seed: int = 0) -> Iterator[tuple[str, Scene]]:
    """The (name without suffix, scene) of a split's first ``count`` frames; ``image_set`` is 100k or 10k."""
    for job in _jobs(Path(), image_set, split, count, seed):
        yield job.name, make_scene(job.plan, np.random.default_rng(job.seed))


def _jobs(root: Path, image_set: str, split: str, count: int, seed: int) -> list[_Job]:
    key = [seed, _SETS.index(image_set), _SPLITS.index(split)]
    jobs = []
    for index, plan in enumerate(frame_plans(key, count)):
        drawn = np.random.default_rng([*key, index, 1]).integers(0, 1 << 32, 2)
        # The first digits count, so that no two frames of any split share a name and files sort in frame order.
        first = (key[1] * 3 + key[2]) << 28 | index << 12 | int(drawn[0]) & 0xFFF
        jobs.append(_Job(root, image_set, split, f"{first:08x}-{int(drawn[1]):08x}", plan, [*key, index, 2]))
    return jobs


def make_sample(
    out: Path, train: int = 64, val: int = 16, test: int = 4, seed: int = 0, force: bool = False, workers: int = 1
) -> bool:
    """Draws a data set of ``train``, ``val`` and ``test`` frames of each of 100k and 10k under ``out/bdd100k``.

    Args:
        out: the data root, what ``DETECTRON2_DATASETS`` then points to.
        train: frames of the training split.
        val: frames of the validation split.
        test: frames of the test split, which gets images only.
        seed: the same seed and numbers give the same bytes.
        force: replaces a sample data set made with other arguments.
        workers: processes to draw with. More than one need a script with a ``__main__`` guard, as any use of
            multiprocessing does. The result does not depend on it.

    Returns:
        True when it was drawn, False when the same one was there already.

    Raises:
        OutputError: ``out`` cannot be written, or holds data that is not this sample.
        ValueError: the seed is negative, or a number of frames is negative or above 65,536.
    """
    root, counts = Path(out) / "bdd100k", {"train": train, "val": val, "test": test}
    if not all(0 <= count <= _MAX_FRAMES for count in counts.values()):
        raise ValueError(f"train, val and test are numbers of frames from 0 to {_MAX_FRAMES}, not {counts}.")
    if seed < 0:
        raise ValueError(f"the seed is 0 or more, not {seed}.")
    jobs = [job for s in _SETS for split in _SPLITS for job in _jobs(root, s, split, counts[split], seed)]
    wanted = {"version": _VERSION, **counts, "seed": seed}
    try:
        if not _prepare(root, jobs, wanted, force):
            logger.info("%s: the sample data set is already there.", root)
            return False
    except OutputError:
        raise
    except OSError as error:
        reason = error.strerror or error
        raise OutputError(f"{root}: cannot be written ({reason}); choose another output folder.") from error
    labels: dict[tuple[str, str], list[Frame]] = {(s, split): [] for s in _SETS for split in _SPLITS}
    with _mapped(jobs, workers) as results:
        for job, drawn in zip(jobs, tqdm(results, "drawing", len(jobs), disable=not sys.stderr.isatty()), strict=True):
            plan = job.plan
            attributes = FrameAttributes(plan.weather, plan.scene, plan.timeofday)
            labels[job.image_set, job.split].append(
                Frame(f"{job.name}.jpg", attributes=attributes, timestamp=10000, labels=drawn)
            )
    for split in ("train", "val"):
        write_frames(labels["100k", split], root / f"labels/det_20/det_{split}.json")
    write_atomic(root / _MANIFEST, json.dumps(wanted, indent=1) + "\n")
    (root / _INCOMPLETE).unlink()
    logger.info("%s: %d frames drawn.", root, len(jobs))
    return True


def _prepare(root: Path, jobs: list[_Job], wanted: dict[str, int], force: bool) -> bool:
    """Makes room for the data set; returns whether it has to be drawn.

    A sample data set made with other arguments is removed with ``force``; one that an older version made, that was
    interrupted or that lost files, always; nothing else is.
    """
    manifest, incomplete = root / _MANIFEST, root / _INCOMPLETE
    if manifest.exists():
        try:
            found = dict(json.loads(manifest.read_text()))
        except (ValueError, TypeError) as error:
            raise OutputError(f"{manifest}: not readable ({error}); remove its folder or choose another.") from error
        if found | {"version": _VERSION} != wanted and not force:
            raise OutputError(
                f"{root}: holds a sample data set made with other arguments ({found}); choose another "
                "output folder, or replace it with --force."
            )
        if found == wanted and not force and all(path.exists() for job in jobs for path in job.files()):
            return False
    elif root.exists() and any(root.iterdir()) and not incomplete.exists():
        raise OutputError(f"{root}: holds data that is no sample data set; choose another output folder.")
    root.mkdir(parents=True, exist_ok=True)
    incomplete.touch()
    manifest.unlink(missing_ok=True)
    for folder in (root / "images", root / "labels"):
        if folder.exists():
            shutil.rmtree(folder)
    return True


@contextmanager
def _mapped(jobs: list[_Job], workers: int) -> Iterator[Iterator[list[Label]]]:
    """The labels of each job, drawn in this process or in ``workers`` others, in the order of ``jobs``."""
    if workers <= 1:
        yield map(_draw_frame, jobs)
        return
    # Spawned, not forked: the caller may hold threads and locks, OpenCV's or PyTorch's.
    with working_processes(workers, cv2.setNumThreads, 1, method="spawn") as pool:
        yield in_order(_draw_frame, jobs, pool, 2)


def _draw_frame(job: _Job) -> list[Label]:
    """Draws a frame, writes its image and masks, and returns its labels."""
    rendering = render(make_scene(job.plan, np.random.default_rng(job.seed)))
    bgr = cv2.cvtColor(rendering.image, cv2.COLOR_RGB2BGR)
    mask = rendering.drivable() if job.image_set == "100k" else rendering.sem_seg()
    contents = [cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])[1], cv2.imencode(".png", mask)[1]]
    for path, content in zip(job.files(), contents, strict=False):  # a test frame has no mask
        write_atomic(path, content.tobytes())
    return rendering.labels()
