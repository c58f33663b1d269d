"""Writes a sample data set in BDD100K's official folder layout."""

import json
import logging
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from pathlib import Path
from typing import Annotated

import cv2
import msgspec
import numpy as np
from tqdm import tqdm

from bdd100k_d2.atomic import output_errors, write_atomic
from bdd100k_d2.data.labels import Frame, FrameAttributes, Label, write_frames
from bdd100k_d2.errors import ConfigError, OutputError, shown
from bdd100k_d2.lock import LOCK_NAME, locked
from bdd100k_d2.parallel import in_order, working_processes
from bdd100k_d2.regular_file import check_regular_file
from bdd100k_d2.tasks import SCORED_TASKS

from .film import film_scene, film_street
from .layout import make_scene
from .render import render
from .scene import Plan, Scene, frame_plans

logger = logging.getLogger(__name__)

_VERSION = 1
"""Raised whenever the same arguments give other images, so that an older data set is not taken for a new one."""

_SETS = ("100k", "10k")
_FILM_CLASSES = {*SCORED_TASKS["box_track"].names}
_SPLITS = ("train", "val", "test")
_JPEG_QUALITY = 92
_MAX_FRAMES = 1 << 16
_MAX_SEED = 2**63 - 1
# See `atomic.atomic_path`.
_TEMPORARY = re.compile(r"\.(.+)\.\d+\.tmp")
_MANIFEST, _INCOMPLETE = "sample.json", "sample.incomplete"


_Frames = Annotated[int, msgspec.Meta(ge=0, le=_MAX_FRAMES)]


class _Made(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """The arguments of a data set: what its files follow from, and what its manifest holds."""

    version: int
    train: _Frames
    val: _Frames
    test: _Frames
    seed: Annotated[int, msgspec.Meta(ge=0, le=_MAX_SEED)]
    films: _Frames = 0
    film_frames: _Frames = 0


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


@dataclass(frozen=True)
class _FilmJob(_Job):
    """A frame of a film; ``name`` is the film's."""

    key: tuple[int, ...]
    film: int
    index: int
    count: int

    @property
    def frame_name(self) -> str:
        """The frame's name, as BDD100K has it."""
        return f"{self.name}-{self.index + 1:07d}.jpg"

    def files(self) -> list[Path]:
        """The frame's image, in the folder of its film."""
        return [self.root / f"images/track/{self.split}/{self.name}/{self.frame_name}"]


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


def _film_jobs(root: Path, films: int, frames: int, seed: int) -> list[_FilmJob]:
    key = (seed, len(_SETS), _SPLITS.index("val"))
    jobs = []
    for film, plan in enumerate(frame_plans([*key], films)):
        second = int(np.random.default_rng([*key, film, 1]).integers(0, 1 << 32))
        name = f"{(key[1] * 3 + key[2]) << 28 | film << 12:08x}-{second:08x}"
        jobs += [_FilmJob(root, "track", "val", name, plan, [], key, film, i, frames) for i in range(frames)]
    return jobs


@lru_cache(maxsize=2)
def _film_street(key: tuple[int, ...], film: int, frames: int) -> Scene:
    """The street of a film, which takes longer to plan than a frame to draw."""
    *_, plan = frame_plans([*key], film + 1)
    return film_street(plan, np.random.default_rng([*key, film, 2]), frames)


def films(count: int, frames: int, seed: int = 0) -> Iterator[tuple[str, Iterator[Scene]]]:
    """The (name, scenes of its frames) of each film."""
    for name, jobs in groupby(_film_jobs(Path(), count, frames, seed), lambda job: job.name):
        yield name, (film_scene(_film_street(job.key, job.film, job.count), job.index) for job in jobs)


def make_sample(
    out: Path,
    train: int = 64,
    val: int = 16,
    test: int = 4,
    seed: int = 0,
    force: bool = False,
    workers: int = 1,
    films: int = 0,
    film_frames: int = 60,
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
        films: films of a moving camera, in the tracking set's validation split, with the objects' ids.
        film_frames: frames of each, ten a second.

    Returns:
        True when it was drawn, False when the same one was there already.

    Raises:
        OutputError: ``out`` cannot be written, or holds data that is not this sample.
        ConfigError: the seed is negative or above 2**63 - 1, or a number of frames is negative or above 65,536.
    """
    root, counts = Path(out) / "bdd100k", {"train": train, "val": val, "test": test}
    if films:
        counts |= {"films": films, "film_frames": film_frames}
    if not all(0 <= count <= _MAX_FRAMES for count in counts.values()):
        raise ConfigError(f"{', '.join(counts)} are numbers of frames from 0 to {_MAX_FRAMES}, not {counts}.")
    if not 0 <= seed <= _MAX_SEED:
        raise ConfigError(f"the seed is a number from 0 to {_MAX_SEED:,}, not {shown(seed)}.")
    wanted = _Made(_VERSION, train, val, test, seed, films, film_frames if films else 0)
    jobs = list(_all_jobs(root, wanted))
    with output_errors(root):
        if not force and _is_there(root, jobs, wanted):
            logger.info("%s: the sample data set is already there.", root)
            return False
    with locked(root):
        with output_errors(root):
            _prepare(root, wanted, force)
        _draw(root, jobs, wanted, workers)
    logger.info("%s: %d frames drawn.", root, len(jobs))
    return True


def _draw(root: Path, jobs: list[_Job], wanted: _Made, workers: int) -> None:
    labels: dict[tuple[str, str], list[Frame]] = {(s, split): [] for s in _SETS for split in _SPLITS}
    tracked: dict[str, list[Frame]] = {}
    with _mapped(jobs, workers) as results:
        for job, drawn in zip(jobs, tqdm(results, "drawing", len(jobs), disable=not sys.stderr.isatty()), strict=True):
            plan = job.plan
            attributes = FrameAttributes(plan.weather, plan.scene, plan.timeofday)
            if isinstance(job, _FilmJob):
                tracked.setdefault(job.name, []).append(
                    Frame(job.frame_name, job.name, attributes, frameIndex=job.index, labels=drawn)
                )
                continue
            labels[job.image_set, job.split].append(
                Frame(f"{job.name}.jpg", attributes=attributes, timestamp=10000, labels=drawn)
            )
    for split in ("train", "val"):
        write_frames(labels["100k", split], root / f"labels/det_20/det_{split}.json")
    for film, frames in tracked.items():
        write_frames(frames, _film_labels(root, film))
    write_atomic(root / _MANIFEST, json.dumps(msgspec.to_builtins(wanted), indent=1) + "\n")
    (root / _INCOMPLETE).unlink()


def _all_jobs(root: Path, made: _Made) -> Iterator[_Job]:
    for image_set in _SETS:
        for split in _SPLITS:
            yield from _jobs(root, image_set, split, getattr(made, split), made.seed)
    yield from _film_jobs(root, made.films, made.film_frames, made.seed)


def _film_labels(root: Path, film: str) -> Path:
    return root / f"labels/box_track_20/val/{film}.json"


def _is_there(root: Path, jobs: list[_Job], wanted: _Made) -> bool:
    manifest = root / _MANIFEST
    return (
        manifest.exists() and _read(manifest) == wanted and all(path.exists() for job in jobs for path in job.files())
    )


def _prepare(root: Path, wanted: _Made, force: bool) -> None:
    """Makes room for the data set.

    A sample data set made with other arguments is removed with ``force``; one that an older version made, that was
    interrupted or that lost files, always. What is removed are the files that such a data set has, by its arguments;
    where others lie among them nothing is.
    """
    manifest, incomplete = root / _MANIFEST, root / _INCOMPLETE
    # One that was interrupted says what it was to be; that of an earlier version did not.
    begun = [_read(incomplete, wanted)] if incomplete.exists() else []
    if manifest.exists():
        found = _read(manifest)
        if msgspec.structs.replace(found, version=_VERSION) != wanted and not force:
            raise OutputError(
                f"{root}: holds a sample data set made with other arguments ({msgspec.to_builtins(found)}); choose "
                "another output folder, or replace it with --force."
            )
        begun.append(found)
    elif any(path.name != LOCK_NAME for path in root.iterdir()) and not begun:
        raise OutputError(f"{root}: holds data that is no sample data set; choose another output folder.")
    _remove(root, {path for made in begun for path in _files(root, made)})
    write_atomic(incomplete, msgspec.json.encode(wanted))
    manifest.unlink(missing_ok=True)


def _read(path: Path, empty: "_Made | None" = None) -> _Made:
    """The arguments of a data set that a file tells, those of ``empty`` where it has no content."""
    try:
        check_regular_file(path)
        content = path.read_bytes()
        return empty if empty is not None and not content else msgspec.json.decode(content, type=_Made)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise OutputError(f"{path}: not readable ({shown(error)}); remove its folder or choose another.") from error


def _files(root: Path, made: _Made) -> Iterator[Path]:
    for job in _all_jobs(root, made):
        yield from job.files()
        if isinstance(job, _FilmJob):
            yield _film_labels(root, job.name)
    for split in ("train", "val"):
        yield root / f"labels/det_20/det_{split}.json"


def _remove(root: Path, made: set[Path]) -> None:
    """Removes the files ``made`` and the folders that are empty then; raises OutputError where there are others."""
    folders = []
    for top in ("images", "labels"):
        for place, inside, files in os.walk(root / top):
            folder = Path(place)
            folders.append(folder)
            links = [name for name in inside if (folder / name).is_symlink()]
            foreign = [folder / name for name in (*links, *files) if folder / name not in made]
            foreign = [path for path in foreign if not _is_left_of(path, made)]
            if foreign or folder.is_symlink():
                raise OutputError(
                    f"{(foreign or [folder])[0]}: is no file of the sample data set; move it, or choose another output "
                    "folder."
                )
    own = {folder for path in made for folder in path.parents}
    for folder in reversed(folders):
        for path in list(folder.iterdir()):
            if not path.is_dir():
                path.unlink()
        if folder in own and not any(folder.iterdir()):
            folder.rmdir()


def _is_left_of(path: Path, made: set[Path]) -> bool:
    """Whether a process that was killed while it wrote one of the files ``made`` left ``path``."""
    found = _TEMPORARY.fullmatch(path.name)
    return found is not None and path.with_name(found[1]) in made


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
    if isinstance(job, _FilmJob):
        return _draw_film_frame(job)
    rendering = render(make_scene(job.plan, np.random.default_rng(job.seed)))
    bgr = cv2.cvtColor(rendering.image, cv2.COLOR_RGB2BGR)
    mask = rendering.drivable() if job.image_set == "100k" else rendering.sem_seg()
    contents = [cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])[1], cv2.imencode(".png", mask)[1]]
    for path, content in zip(job.files(), contents, strict=False):  # a test frame has no mask
        write_atomic(path, content.tobytes())
    return rendering.labels()


def _draw_film_frame(job: _FilmJob) -> list[Label]:
    rendering = render(film_scene(_film_street(job.key, job.film, job.count), job.index))
    bgr = cv2.cvtColor(rendering.image, cv2.COLOR_RGB2BGR)
    (path,) = job.files()
    write_atomic(path, cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])[1].tobytes())
    return [label for label in rendering.labels() if label.category in _FILM_CLASSES]
