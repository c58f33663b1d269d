"""Accepted regions of masks, repainted in a copy of the folder."""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from ..atomic import atomic_path
from ..data.masks import list_masks, read_mask
from ..data.rle import check_rle
from ..errors import DataError, shown
from ..evaluation.prediction_files import write_mask
from ..tasks import Task
from .records import LabelChange


def correct_masks(
    task: Task, truth: Path, by_frame: Mapping[str, Sequence[LabelChange]], out: Path
) -> list[dict[str, Any]]:
    """Copies the masks of a folder, and those in it, with regions repainted; returns what was changed.

    Raises:
        DataError: a mask or region is not there, or a region is not of the class that a decision says.
        OutputError: a mask cannot be written.
    """
    masks = list_masks(truth, below=True)
    for name in by_frame:
        if name not in masks:
            raise DataError(
                f"{truth}: no mask of frame {shown(name)}, and a decision is about it; make the page again."
            )
    # All that may be wrong is found before anything is written.
    repainted = {name: _repainted(task, masks[name], name, changes) for name, changes in by_frame.items()}
    entries = []
    for name, path in masks.items():
        place = out / path.relative_to(truth)
        if name in repainted:
            mask, of_frame = repainted[name]
            write_mask(mask, place)
            entries += of_frame
        else:
            with atomic_path(place) as temporary:
                shutil.copyfile(path, temporary)
    return entries


def _repainted(
    task: Task, path: Path, name: str, changes: Sequence[LabelChange]
) -> tuple[np.ndarray, list[dict[str, Any]]]:
    mask = read_mask(path).copy()
    entries = []
    for change in changes:
        if change.action != "repaint" or change.region is None:
            raise DataError(f"{path}: {change.action} is of boxes, and this is a mask; give the label file.")
        ids = {one: task.names.index(one) for one in (change.old, change.category) if one in task.names}
        if change.old not in ids or change.category not in ids:
            unknown = change.old if change.old not in ids else change.category
            raise DataError(f"{path}: a decision names the class {shown(unknown)}, which the masks do not have.")
        region = coco_mask.decode(check_rle(change.region, mask.shape, f"{path}: a region of a decision")).view(bool)
        if not region.any() or (mask[region] != ids[change.old]).any():
            raise DataError(
                f"{path}: the region of a decision is not all {shown(change.old)}; accept one of those that overlap, "
                "or make the page again."
            )
        mask[region] = ids[change.category]
        entries.append(
            {
                "frame": name,
                "action": "repaint",
                "before": change.old,
                "after": change.category,
                "pixels": int(region.sum()),
                "region": {"counts": change.region.counts, "size": list(change.region.size)},
            }
        )
    return mask, entries
