"""Frames with run lengths -> masks (sem_seg, drivable) and bitmasks (ins_seg, pan_seg), a PNG a frame.

Where masks overlap the later label is on top; labels with scores are painted in ascending order of their scores, as the
toolkit's ``to_mask`` does. Pixels of no label are 255 in sem_seg, background in drivable, and 0 in bitmasks.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import islice
from pathlib import Path

from ...parallel import cores
from ..labels import Frame, Label
from ..png import save_png
from . import dropped as lost
from .classes import TaskClass, TaskClasses
from .dropped import Dropped
from .outputs import Stems, new_folder
from .painting import Painted, paint_classes, paint_instances

# As many frames are in memory at a time.
_WINDOW = 64


class MaskWriter:
    """Writes frames as masks or bitmasks.

    Args:
        task: sem_seg or drivable for masks, ins_seg or pan_seg for bitmasks.
        dropped: what they cannot hold is counted here.
        source: the file that the frames are from, for messages.
    """

    def __init__(self, task: str, dropped: Dropped, source: Path) -> None:
        self._dropped, self._source, self._task = dropped, source, task
        self._semantic = task in ("sem_seg", "drivable")
        self._classes = TaskClasses(task, dropped)

    def write(self, frames: Iterable[Frame], folder: Path) -> None:
        """Writes ``folder/<stem>.png``, all or none.

        Raises:
            DataError: run lengths that do not fit the image, or names that cannot be those of files.
            OutputError: a file cannot be written.
        """
        stems = Stems(self._source, folder)
        with new_folder(folder, ".png") as temporary, ThreadPoolExecutor(cores()) as pool:
            jobs = ((self.painter(frame), temporary / f"{stems.take(frame)}.png") for frame in frames)
            while window := list(islice(jobs, _WINDOW)):
                for counts in pool.map(_save, window):
                    for kind, count in counts.items():
                        self._dropped.add(kind, count)

    def painter(self, frame: Frame) -> Callable[[], Painted]:
        """What paints a frame. Which labels it paints is settled, and what of them is not kept counted."""
        lost.count_frame(frame, self._dropped)
        chosen: list[tuple[Label, TaskClass]] = []
        for label in frame.labels or ():
            if label.rle is None:
                self._dropped.add(lost.NO_MASK)
            elif (known := self._classes.find(label.category)) is not None:
                chosen.append((label, known))
                self._count(label)
        # As officially, the first label says whether there are scores.
        if chosen and chosen[0][0].score is not None:
            chosen.sort(key=lambda one: one[0].score or 0.0)
        if self._semantic:
            return partial(paint_classes, frame, [label for label, _ in chosen], self._task, self._source)
        return partial(paint_instances, frame, chosen, self._task, self._source)

    def _count(self, label: Label) -> None:
        lost.count_extras(label, self._dropped)
        if label.score is not None:
            self._dropped.add(lost.SCORES)
        if self._semantic:
            lost.count_attributes(label, self._dropped)
            if label.id is not None:
                self._dropped.add(lost.IDS)
        elif label.attributes is not None and lost.has_light(label.attributes):
            self._dropped.add(lost.LIGHT_COLOR)


def _save(job: tuple[Callable[[], Painted], Path]) -> Counter[str]:
    paint, path = job
    painted = paint()
    save_png(painted.pixels, path)
    return painted.dropped
