"""All stuff of a class is one segment of its frame, however many labels it has; each thing is one of its own.

Source: ``bdd100k/label/to_mask.py``, where the annotation id of stuff is its category id.
"""

from collections.abc import Sequence

import numpy as np

from ..tasks import Task
from .bitmasks import Bitmask


def segments_of(classes: Sequence[int], task: Task) -> list[list[int]]:
    """The places of the labels that each segment of a frame consists of, in the order of the segments' first labels.

    ``classes`` are those of the labels, indices into the names of the ``task``; what is of none is one by itself.
    """
    segments: list[list[int]] = []
    of_stuff: dict[int, list[int]] = {}
    for place, k in enumerate(classes):
        is_stuff = 0 <= k < len(task.categories) and not task.categories[k].is_thing
        if is_stuff and k in of_stuff:
            of_stuff[k].append(place)
            continue
        segments.append([place])
        if is_stuff:
            of_stuff[k] = segments[-1]
    return segments


def join_stuff(bitmask: Bitmask, task: Task) -> Bitmask:
    """A bitmask whose stuff of a class is one instance, with the id and the attributes of the first of them."""
    segments = segments_of((bitmask.categories - 1).tolist(), task)
    numbers = np.zeros(len(bitmask.ids) + 1, np.int32)
    for number, places in enumerate(segments, 1):
        numbers[1 + np.array(places)] = number
    first = np.array([places[0] for places in segments], int)
    return Bitmask(numbers[bitmask.instances], *(column[first] for column in bitmask[1:]))
