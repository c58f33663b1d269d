"""A prediction file -> columns of boxes. Large files are read by several processes.

They leave the boxes in a memory that they have in common: through the pipe of a pool, a million boxes take a fifth as
long as reading them, most of it in the process that waits.
"""

import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from mmap import mmap
from pathlib import Path

import numpy as np

from ..data.coco_results import is_results, read_predictions
from ..data.json_file import JSON_ERRORS
from ..data.label_document import read_statement
from ..data.labels import decode_frames, is_frame_name, without_collection
from ..data.other_classes import leave_out_others
from ..data.splitter import read_part, split_frames
from ..data.unlabelled import check_unlabelled
from ..errors import DataError
from ..parallel import submit, working_processes
from ..tasks import TASKS, Task
from .boxes import Boxes, join_boxes, predicted_boxes

# Below this size in bytes a second process costs more than it saves.
_LARGE = 20_000_000
_PART = 2_000_000

CAN_FORK = sys.platform == "linux"
"""Whether a process may begin as a copy of another one and have memory in common; macOS's libraries do not bear it."""

BOX = np.dtype([("frame", np.int64), ("category", np.int64), ("corners", np.float64, 4), ("score", np.float64)])
"""A box in the memory: 56 bytes. In a label file ``{"category":"bus","score":0,"box2d":{"x1":0,"y1":0,"x2":0,"y2":0}}``
has 66, so that the boxes of a part always have room at its place."""


class CommonMemory:
    """As many bytes as a file has, for the boxes of its parts, each at the place of its part.

    Only what is written takes up memory. It is shared with processes that are forked later, and cannot be pickled.
    """

    def __init__(self, size: int) -> None:
        self._memory = mmap(-1, size)

    def boxes(self, start: int, count: int) -> np.ndarray:
        """(N,) `BOX`, the ``count`` boxes of the part of the file that begins at byte ``start``, to write or read."""
        # NumPy is slower where numbers of eight bytes do not begin at a multiple of eight.
        return np.frombuffer(self._memory, BOX, count, -(-start // 8) * 8)


@contextmanager
def reading_boxes(
    path: str | os.PathLike[str], processes: int = 1, image_ids: Path | None = None, task: Task = TASKS["det"]
) -> Iterator[Callable[[], Boxes]]:
    """Begins to read predictions from a label file of any vintage, a folder of them, or a list of COCO results.

    A large Scalabel list is read by up to ``processes`` and in parts, so that its records never stand in memory
    together, and the caller can do something else meanwhile. ``image_ids`` are those of results. Boxes of other classes
    than the own ones of a ``task`` are left out.

    Yields:
        A function that waits for the boxes and returns them. It raises DataError: an unreadable file, a frame that
        stands twice, an unknown category, or a box without a score.
    """
    path = Path(path)
    large = path.is_file() and path.stat().st_size > _LARGE and os.access(path, os.R_OK) and not is_results(path)
    parts = split_frames(path, _PART) if large else []
    with _reading_parts(path, parts, processes, task) as read_parts:

        def boxes() -> Boxes:
            joined = _joined(read_parts(), path)
            if joined is None or image_ids is not None or not _is_sound(joined):
                # Any other format, and every kind of bad file, of which the general reader says what is wrong.
                frames = read_predictions(path, image_ids)
                others = leave_out_others(frames, task)
                return predicted_boxes(frames, path, task)._replace(other_classes=others)
            return joined

        yield boxes


def _joined(parts: Sequence[Boxes | None], path: Path) -> Boxes | None:
    """The boxes of the parts of a file, with the size that it states of all frames; None where a part is a bad one."""
    read = [part for part in parts if part is not None]
    if not read or len(read) < len(parts):
        return None
    boxes = join_boxes(read)
    try:
        size = read_statement(path).size
    except JSON_ERRORS:
        return None
    return (
        boxes
        if size is None
        else boxes._replace(sizes=dict.fromkeys(boxes.names, (size.height, size.width)) | dict(boxes.sizes))
    )


def _is_sound(boxes: Boxes) -> bool:
    """Whether there are boxes, and frames that no other is called as and that images may be called."""
    return len(boxes.frame) > 0 and len(set(boxes.names)) == len(boxes.names) and all(map(is_frame_name, boxes.names))


@contextmanager
def _reading_parts(
    path: Path, parts: Sequence[tuple[int, int]], processes: int, task: Task
) -> Iterator[Callable[[], list[Boxes | None]]]:
    """Begins to read parts of a file, if there are several processes for it; yields a function that waits for them."""
    if processes < 2 or len(parts) < 2 or not CAN_FORK:
        yield lambda: [_read_part(path, *part, task) for part in parts]
        return
    common = CommonMemory(path.stat().st_size)
    with working_processes(min(processes, len(parts)), _begin_process, common, method="fork") as pool:
        pending = [submit(pool, _leave_part, path, *part, task) for part in parts]
        yield lambda: [
            left and _take_part(common, start, *left)
            for (start, _), left in zip(parts, (part.result() for part in pending), strict=True)
        ]


def _read_part(path: Path, start: int, end: int, task: Task) -> Boxes | None:
    """The frames in a part of a list; None if they are not frames, or bad ones."""
    try:
        with without_collection():
            content = read_part(path, start, end)
            frames = decode_frames(content)
            check_unlabelled(frames, content, path)
            others = leave_out_others(frames, task)
            return predicted_boxes(frames, task=task)._replace(other_classes=others)
    except (OSError, *JSON_ERRORS, DataError):
        return None


# In a process of the pool, where it leaves what it reads.
_common: CommonMemory


def _begin_process(common: CommonMemory) -> None:
    global _common
    _common = common


_Left = tuple[list[str], int, int, Mapping[str, tuple[int, int]], Mapping[str, int]]


def _leave_part(path: Path, start: int, end: int, task: Task) -> _Left | None:
    """Leaves the boxes of a part in the memory in common; returns what else `_take_part` needs, None for a bad part."""
    boxes = _read_part(path, start, end, task)
    if boxes is None:
        return None
    left = _common.boxes(start, len(boxes.frame))
    for name in ("frame", "category", "corners", "score"):
        left[name] = getattr(boxes, name)
    return boxes.names, len(boxes.frame), boxes.without_box, boxes.sizes, boxes.other_classes


def _take_part(
    common: CommonMemory,
    start: int,
    names: list[str],
    count: int,
    without_box: int,
    sizes: Mapping[str, tuple[int, int]],
    other_classes: Mapping[str, int],
) -> Boxes:
    """What `_leave_part` has left; the columns are in the memory in common."""
    left = common.boxes(start, count)
    frame, category, corners, score = (left[name] for name in ("frame", "category", "corners", "score"))
    return Boxes(names, frame, category, corners, score, without_box, sizes, other_classes)
