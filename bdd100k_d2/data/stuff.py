"""All stuff of a class is one segment of its frame, however many labels it has; each thing is one of its own.

Crowds and what is ignored take no part in scores, so that of a class they are a segment beside that of the others.
Sources: ``bdd100k/label/to_mask.py``, where the annotation id of stuff is its category id;
``scalabel/eval/pan_seg.py``, which leaves crowds out before it joins.
"""

from collections.abc import Sequence

import numpy as np

from ..tasks import Task
from .bitmasks import CROWD, IGNORED, Bitmask


def segments_of(classes: Sequence[int], crowds: Sequence[bool], task: Task) -> list[list[int]]:
    """The places of the labels that each segment of a frame consists of, in the order of the segments' first labels.

    ``classes`` are those of the labels, indices into the names of the ``task``; what is of none is one by itself.
    ``crowds`` says which labels are crowds or ignored.
    """
    segments: list[list[int]] = []
    of_stuff: dict[tuple[int, bool], list[int]] = {}
    for place, (k, crowd) in enumerate(zip(classes, crowds, strict=True)):
        is_stuff = _is_stuff(k, task)
        if is_stuff and (k, crowd) in of_stuff:
            of_stuff[k, crowd].append(place)
            continue
        segments.append([place])
        if is_stuff:
            of_stuff[k, crowd] = segments[-1]
    return segments


def crowds_beside(classes: Sequence[int], crowds: Sequence[bool], task: Task) -> set[int]:
    """The places of the crowds of stuff of which their frame has others too, from which they may take no pixels."""
    plain = {k for k, crowd in zip(classes, crowds, strict=True) if not crowd and _is_stuff(k, task)}
    return {place for place, (k, crowd) in enumerate(zip(classes, crowds, strict=True)) if crowd and k in plain}


def _is_stuff(k: int, task: Task) -> bool:
    return 0 <= k < len(task.categories) and not task.categories[k].is_thing


def are_crowds(attributes: np.ndarray) -> list[bool]:
    """Whether instances of ``attributes`` (N,), sums of bits, are crowds or ignored."""
    crowds: list[bool] = (attributes & (CROWD | IGNORED) > 0).tolist()
    return crowds


def join_stuff(bitmask: Bitmask, task: Task) -> Bitmask:
    """A bitmask whose segments are one instance each, with the id and the attributes of the first of them."""
    segments = segments_of((bitmask.categories - 1).tolist(), are_crowds(bitmask.attributes), task)
    numbers = np.zeros(len(bitmask.ids) + 1, np.int32)
    for number, places in enumerate(segments, 1):
        numbers[1 + np.array(places)] = number
    first = np.array([places[0] for places in segments], int)
    return Bitmask(numbers[bitmask.instances], *(column[first] for column in bitmask[1:]))
