"""Frames with run lengths -> masks (sem_seg, drivable) and bitmasks (ins_seg, pan_seg), one PNG per frame.

Predictions of a task whose objects have scores become a submission: ``bitmasks/``, and their scores in ``score.json``.
Where masks overlap the later label is on top; labels with scores are painted in ascending order of their scores, as the
toolkit's ``to_mask`` does. Pixels of no label are 255 in sem_seg, background in drivable, and 0 in bitmasks.
"""

import math
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ...errors import DataError, shown
from ...tasks import TASKS, Task
from ..bitmasks import ATTRIBUTE_BITS, IGNORED, Bitmask, encode_bitmask
from ..categories import IGNORE_LABEL
from ..image_names import image_name
from ..labels import RLE, Frame, Label, write_frames
from ..masks import frame_to_mask
from ..png import save_png
from ..rle import areas, check_rle, overlap, paint
from ..score_file import ScoredFrame, ScoredInstance
from ..stuff import are_crowds, crowds_beside, segments_of
from . import dropped as lost
from .classes import TaskClass, TaskClasses
from .dropped import Dropped
from .mask_reader import in_threads
from .outputs import new_folder, with_stems

_OVERLAPPING = "frames whose labels overlap, of which a pixel keeps the last"
_CUT = "labels lose pixels to labels over them"
_COVERED = "labels are empty, or wholly under others, and are lost"
_CROWDS_OF_STUFF = "crowds and ignored labels of stuff, of which their frame has others, are left out, as in scores"
_MERGED = "labels are joined with another of their class in their frame"

_LAST_ID = (1 << 16) - 1
_DIGITS = 5

_BITMASKS, _SCORES = TASKS["ins_seg"].results


class _Region(NamedTuple):
    label: Label
    known: TaskClass
    rle: RLE


_Job = tuple[Frame, list[_Region], Path]


class _Painted(NamedTuple):
    """What a frame's PNG does not hold, by kind, and the scores of the instances that it holds, by annotation id."""

    counts: Counter[str]
    scores: list[ScoredInstance]


class MaskWriter:
    """Writes frames of the file ``source`` as masks or bitmasks of a task; ``scored`` says that labels have scores."""

    def __init__(self, task: str, dropped: Dropped, source: Path, scored: bool = False) -> None:
        self._task, self._dropped, self._source = TASKS[task], dropped, source
        self._classes = TaskClasses(task, dropped)
        self._scored = scored and self._task.has_scores

    def write(self, frames: Iterable[Frame], folder: Path) -> None:
        """Writes ``folder/<stem>.png``, or ``folder/bitmasks/<stem>.png`` and ``folder/score.json``, all or none.

        Raises:
            DataError: run lengths do not fit the image, names cannot be those of files, or some labels have no score.
            OutputError: a file cannot be written.
        """
        with new_folder(folder, _is_written) as temporary:
            place = temporary / _BITMASKS if self._scored else temporary
            place.mkdir(exist_ok=True)
            jobs = (
                (frame, self._regions(frame), place / f"{stem}.png")
                for frame, stem in with_stems(frames, self._source, folder)
            )
            scored = self._saved(jobs)
            if self._scored:
                write_frames(scored, temporary / _SCORES)
            else:
                deque(scored, 0)

    def _saved(self, jobs: Iterable[_Job]) -> Iterator[ScoredFrame]:
        for name, (counts, scores) in in_threads(self._save, jobs):
            for kind, count in counts.items():
                self._dropped.add(kind, count)
            yield ScoredFrame(image_name(name), scores)

    def _regions(self, frame: Frame) -> list[_Region]:
        """What is painted of a frame, in order; what of it is not kept is counted."""
        self._dropped.add_frame(frame)
        regions = []
        for label in frame.labels or ():
            if label.rle is None:
                self._dropped.add(lost.NO_MASK)
            elif (known := self._classes.find(label.category)) is not None:
                regions.append(_Region(label, known, label.rle))
                self._count(label, frame)
        # As officially, the first label says whether there are scores.
        if regions and regions[0].label.score is not None:
            regions.sort(key=lambda region: region.label.score or 0.0)
        return regions

    def _count(self, label: Label, frame: Frame) -> None:
        self._dropped.add_polygon(label)
        if self._scored:
            if label.score is None or not math.isfinite(label.score):
                raise DataError(
                    f"{self._source}: frame {frame.name}, label {shown(label.id)} ({label.category}) has no score, and "
                    "others have; write a finite number between 0 and 1."
                )
        elif label.score is not None:
            self._dropped.add(lost.SCORES)
        if self._task.form == "masks":
            self._dropped.add_attributes(label)
            if label.id is not None:
                self._dropped.add(lost.IDS)
        elif label.attributes is not None and lost.has_light(label.attributes):
            self._dropped.add(lost.LIGHT_COLOR)

    def _save(self, job: _Job) -> tuple[str, _Painted]:
        frame, regions, path = job
        paint_regions = _paint_classes if self._task.form == "masks" else _paint_instances
        pixels, painted = paint_regions(frame, regions, self._task, self._source)
        save_png(pixels, path)
        return frame.name, painted


def _is_written(path: Path) -> bool:
    if path.name == _BITMASKS and path.is_dir() and not path.is_symlink():
        return all(one.suffix == ".png" and one.is_file() for one in path.iterdir())
    return (path.suffix == ".png" or path.name == _SCORES) and path.is_file()


def _paint_classes(frame: Frame, regions: Sequence[_Region], task: Task, source: Path) -> tuple[np.ndarray, _Painted]:
    """The mask of a frame, (H, W) uint8 class ids, and what it does not hold by kind."""
    # Pixels of no label are of the class that is not scored, in tasks that have one.
    unpainted = IGNORE_LABEL if task.unscored is None else task.unscored
    size = frame.height_width
    labels = [region.label for region in regions]
    try:
        class_ids = {name: i for i, name in enumerate(task.names)}
        pixels = frame_to_mask(Frame(frame.name, labels=labels), class_ids, *size, unpainted)
    except DataError as error:
        raise DataError(f"{source}: {error}") from error
    masks = [check_rle(region.rle, size, str(source)) for region in regions]
    joined = len(labels) - len({label.category for label in labels})
    return pixels, _Painted(Counter({_MERGED: joined, _OVERLAPPING: int(overlap(masks))}), [])


def _paint_instances(frame: Frame, regions: Sequence[_Region], task: Task, source: Path) -> tuple[np.ndarray, _Painted]:
    """The bitmask of a frame, (H, W, 4) uint8, and what it does not hold by kind."""
    size = frame.height_width
    where = f"{source}: frame {frame.name}, label"
    given = np.array([_attribute_bits(region) for region in regions], np.uint8)
    # Stuff of a class has one id, which cannot be a crowd and none.
    beside = crowds_beside([region.known.id for region in regions], are_crowds(given), task)
    kept = [i for i in range(len(regions)) if i not in beside]
    masks = [check_rle(rle, size, f"{where} {label.id} ({label.category})") for label, _, rle in regions]
    regions, masks, given = [regions[i] for i in kept], [masks[i] for i in kept], given[kept]
    instances = paint(zip(masks, range(1, len(masks) + 1), strict=True), size, 0, np.int32)
    seen = np.bincount(instances.ravel(), minlength=len(regions) + 1)[1:]
    ids = _annotation_ids(regions, task)
    classes = np.array([region.known.id for region in regions], np.int64)
    bits = given.copy()
    for places in segments_of(classes.tolist(), are_crowds(given), task):
        # Of one segment, parts cannot differ.
        bits[places] = given[places[0]]
    bitmask = Bitmask(instances, np.array(ids, np.int64), classes + 1, bits)
    renumbered = sum(
        str(region.label.id) != str(i) for i, region in zip(ids, regions, strict=True) if _is_thing(region, task)
    )
    cut, covered = int(((seen > 0) & (seen < areas(masks))).sum()), int((seen == 0).sum())
    counts = {
        _CROWDS_OF_STUFF: len(beside),
        _CUT: cut,
        _COVERED: covered,
        _MERGED: len(ids) - len(set(ids)),
        lost.IDS: renumbered,
    }
    # What has no pixel is not in the bitmask, so that it has no score.
    scores = [
        ScoredInstance(i, region.label.score)
        for i, region, count in zip(ids, regions, seen.tolist(), strict=True)
        if count and region.label.score is not None
    ]
    return encode_bitmask(bitmask), _Painted(Counter(counts), scores)


def _annotation_ids(regions: Sequence[_Region], task: Task) -> list[int]:
    """The annotation ids of a frame's labels; stuff has its category id.

    Instances keep ids that are whole numbers of the allowed range and stand once: so bitmasks come back as they were,
    and an object of a video keeps its id. Else they count on behind the ids of stuff, as officially.
    """
    first = 1 + sum(not category.is_thing for category in task.categories)
    things = [region.label for region in regions if _is_thing(region, task)]
    texts = [str(label.id) for label in things]
    numbers = [int(text) if text.isascii() and text.isdecimal() and len(text) <= _DIGITS else 0 for text in texts]
    kept = len(set(numbers)) == len(numbers) and all(first <= number <= _LAST_ID for number in numbers)
    following = iter(numbers if kept else range(first, first + len(numbers)))
    return [next(following) if _is_thing(region, task) else region.known.id + 1 for region in regions]


def _is_thing(region: _Region, task: Task) -> bool:
    return task.categories[region.known.id].is_thing


def _attribute_bits(region: _Region) -> int:
    given = region.label.attributes
    bits = sum(bit for name, bit in ATTRIBUTE_BITS.items() if getattr(given, name, None))
    return bits | (IGNORED if region.known.ignored else 0)
