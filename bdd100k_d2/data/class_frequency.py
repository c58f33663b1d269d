"""How often a data set shows each class, and how much more often a rare one is to be shown: LVIS's repeat factors.

Source: Gupta, Dollar and Girshick, LVIS, 2019, appendix B.2, as `RepeatFactorTrainingSampler` of Detectron2 has it.
"""

import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from tqdm import tqdm

from ..errors import ConfigError, UnreadableError
from .categories import IGNORE_LABEL
from .masks import read_mask


def repeat_factors(frames: Sequence[Iterable[int]], threshold: float) -> dict[int, float]:
    """max(1, sqrt(``threshold`` / f)) of each class; f is the share of the frames that have it, by their classes.

    Raises:
        ConfigError: the threshold is negative.
    """
    check_repeat_threshold(threshold)
    counts = Counter(one for classes in frames for one in {*classes})
    return {one: max(1.0, (threshold * len(frames) / count) ** 0.5) for one, count in sorted(counts.items())}


def check_repeat_threshold(threshold: float) -> None:
    """Raises `ConfigError` for a threshold of repeat factors that is negative."""
    if not threshold >= 0:
        raise ConfigError(f"DATALOADER.REPEAT_THRESHOLD is {threshold}; give a share of the frames, 0 to 1.")


def frames_classes(records: Sequence[Mapping[str, Any]]) -> list[set[int]]:
    """The classes of each record's objects, crowds left out, or of the pixels of its mask where it has no objects.

    Masks are all read for it; the classes of one that cannot be are unknown.
    """
    # Pillow and NumPy let other threads run while they decode.
    with ThreadPoolExecutor() as pool:
        bar = tqdm(pool.map(frame_classes, records), "looking for rare classes", disable=not sys.stderr.isatty())
        return [*bar]


def frame_classes(record: Mapping[str, Any]) -> set[int]:
    """Those of one record, as of :func:`frames_classes`."""
    path = record.get("sem_seg_file_name")
    if "annotations" in record or path is None:
        return {int(one["category_id"]) for one in record.get("annotations") or () if not one.get("iscrowd", 0)}
    try:
        ids = np.bincount(read_mask(path).ravel(), minlength=IGNORE_LABEL + 1)
    except UnreadableError:
        # Whoever trains on it says what is wrong, or takes another.
        return set()
    return {*np.flatnonzero(ids[:IGNORE_LABEL]).tolist()}


def draw_class(classes: Sequence[int], weights: Mapping[int, float]) -> int:
    """One of ``classes``, in proportion to ``weights`` (1 of those that are not there), from NumPy's generator."""
    bounds = np.cumsum([weights.get(one, 1.0) for one in classes])
    return classes[int(np.searchsorted(bounds, np.random.random_sample() * bounds[-1], side="right"))]
