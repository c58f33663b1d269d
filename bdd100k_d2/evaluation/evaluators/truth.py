"""The ground truth of instance and panoptic segmentation, frame by frame, as bitmasks."""

from collections.abc import Set as AbstractSet
from pathlib import Path

import numpy as np

from ...data.bitmasks import Bitmask, read_bitmask
from ...data.image_names import image_stem
from ...data.instances import crowd_bits
from ...data.labels import Frame
from ...data.masks import list_masks
from ...data.rle import check_rle, paint
from ...data.stuff import crowds_beside, join_stuff
from ...data.vintages import Vintage, read_labels
from ...errors import DataError
from ...tasks import Task


class BitmaskTruth:
    """Reads the ground truth of one image at a time from a folder of bitmasks, or from run lengths.

    A label file is read at once, a bitmask when it is asked for. ``stems`` are the frames that count, sorted, without
    the endings of their images: those that are ``chosen``, all without it.

    Raises:
        DataError: a label file that cannot be read.
    """

    def __init__(self, path: Path, task: Task, chosen: AbstractSet[str] | None = None) -> None:
        self.path = path
        self._task = task
        self._frames: dict[str, Frame] = {}
        self._of_coco = False
        self._files = list_masks(path) if path.is_dir() else {}
        if not self._files:
            found = read_labels(path)
            self._frames = {image_stem(frame.name): frame for frame in found.frames}
            self._of_coco = found.vintage is Vintage.COCO
        stems = set(self._files or self._frames)
        self.stems = sorted(stems if chosen is None else chosen & stems)

    def read(self, image_name: str, size: tuple[int, int] | None = None) -> Bitmask:
        """The instances of an image; its predictions, if there are any, have ``size``, (height, width) in pixels.

        Raises:
            DataError: the image has no ground truth, or it cannot be read or has another size.
        """
        stem = image_stem(image_name)
        if self._files:
            bitmask = read_bitmask(self._files.get(stem, self.path / f"{stem}.png"))
        elif stem in self._frames:
            bitmask = frame_bitmask(self._frames[stem], self._task, self.path, self._of_coco)
        else:
            raise DataError(f"{self.path}: no frame {image_name} in it; give the labels of the split.")
        return of_size(bitmask, size, f"{self.path}: the ground truth of {image_name}")


def of_size(bitmask: Bitmask, size: tuple[int, int] | None, what: str) -> Bitmask:
    """``bitmask``, which messages call ``what``; DataError if it has another size than the prediction, where known."""
    if size is not None and bitmask.instances.shape != size:
        height, width = bitmask.instances.shape
        raise DataError(
            f"{what} is {width}x{height}, the prediction {size[1]}x{size[0]}; download or write the labels again."
        )
    return bitmask


def frame_bitmask(frame: Frame, task: Task, path: Path, of_coco: bool = False) -> Bitmask:
    """Paints the run lengths of a frame's labels, where they have any, in their order, later ones over earlier ones.

    Labels of other tasks' classes are left out, and all stuff of a class is one segment, with its crowds under it.
    ``of_coco`` says that the file ``path`` is COCO's.

    Raises:
        DataError: run lengths that are damaged or of another size, or an unknown category.
    """
    masks, categories, attributes = [], [], []
    for label in frame.labels or ():
        where = f"{path}: frame {frame.name}, label {label.id} ({label.category})"
        # Instances are of the detection classes, by any of their names.
        known = (task.class_of if task.has_scores else task.class_if_any)(label.category, where)
        if known is None or label.rle is None:
            continue
        masks.append(check_rle(label.rle, frame.height_width, where))
        categories.append(known.index + 1)
        attributes.append(crowd_bits(label, known.ignored, of_coco))
    low = crowds_beside([one - 1 for one in categories], [one > 0 for one in attributes], task)
    order = sorted(range(len(masks)), key=lambda place: place not in low)
    instances = paint(((masks[i], i + 1) for i in order), frame.height_width, 0, np.int32)
    ids = np.arange(1, len(masks) + 1, dtype=np.int32)
    painted = Bitmask(instances, ids, np.array(categories, np.int32), np.array(attributes, np.uint16))
    instances, *columns = join_stuff(painted, task)
    # An instance that others cover wholly is none.
    seen = np.flatnonzero(np.bincount(instances.ravel(), minlength=len(columns[0]) + 1)[1:])
    place = np.zeros(len(columns[0]) + 1, np.int32)
    place[1 + seen] = np.arange(1, len(seen) + 1)
    return Bitmask(place[instances], *(column[seen] for column in columns))
