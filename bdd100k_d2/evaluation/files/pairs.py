"""Pairs of ground truth and prediction, from two folders of bitmasks or from two label files with run lengths."""

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from ...data.bitmasks import Bitmask, check_categories, empty_bitmask, read_bitmask
from ...data.coco_results import read_predictions
from ...data.folders import LABEL_SUFFIXES, files_below
from ...data.labels import Frame, Label
from ...data.masks import list_masks
from ...data.other_classes import leave_out_others
from ...data.rle import CocoRLE, check_rle
from ...data.vintages import read_labels
from ...errors import DataError, shown
from ...parallel import map_frames
from ...tasks import Task
from ..own_classes import check_stated, count_labels, tell_absent, tell_left_out
from .matched_frames import Counted, match_frames, named_as_truth
from .prediction_labels import check_mask_predictions, ids_of_results

logger = logging.getLogger(__name__)

# Of instances of a frame, each with numbers of its own; a frame of BDD100K has some hundred instances at most.
_MOST_PAIRS = 20_000_000


def find_bitmasks(truth: Path, predicted: Path) -> tuple[dict[str, Path], dict[str, Path]] | None:
    """The bitmasks of two folders and those in them, by the names of their frames' masks, in the order of their paths.

    None where both are label files or folders of those.

    Raises:
        DataError: one is bitmasks and the other labels, a folder holds neither, or two files have one name.
    """
    kinds = [_png_files(path) for path in (truth, predicted)]
    if kinds[0] is not None and kinds[1] is not None:
        return kinds[0], kinds[1]
    if kinds[0] is None and kinds[1] is None:
        return None
    bitmasks, labels = (truth, predicted) if kinds[0] is not None else (predicted, truth)
    raise DataError(
        f"{labels}: this is no folder of bitmasks, but {bitmasks} is; give ground truth and predictions in one kind: "
        "both folders of bitmasks (.png), or both label files with run lengths (.json)."
    )


def read_pair(truth: Path, predicted: Path | None, num_classes: int) -> tuple[Bitmask, Bitmask]:
    """Reads the two bitmasks of a frame; without a prediction, an empty one.

    Raises:
        DataError: a bitmask that cannot be read, two sizes, a category id above ``num_classes``, or so many instances
            that all pairs of them have no room.
    """
    first = check_categories(read_bitmask(truth), num_classes, truth)
    if predicted is None:
        return first, empty_bitmask(first)
    second = check_categories(read_bitmask(predicted), num_classes, predicted)
    if first.instances.shape != second.instances.shape:
        ours, theirs = ("x".join(map(str, mask.instances.shape)) for mask in (second, first))
        raise DataError(
            f"{predicted}: the bitmask has {ours} pixels, its ground truth {truth} has {theirs} (height x width); "
            "write predictions in the size of the ground truth."
        )
    if len(first.ids) * len(second.ids) > _MOST_PAIRS:
        raise DataError(
            f"{predicted}: {len(second.ids):,} instances, its ground truth {truth} has {len(first.ids):,}; no more "
            f"than {_MOST_PAIRS:,} pairs of them can be compared."
        )
    return first, second


def _png_files(path: Path) -> dict[str, Path] | None:
    if not path.exists():
        raise DataError(f"{path}: no such file or folder.")
    if not path.is_dir():
        return None
    # In the toolkit's order, which decides between equal scores.
    files = {f"{stem}.png": file for stem, file in list_masks(path, below=True).items()}
    if not files and not files_below(path, *LABEL_SUFFIXES):
        raise DataError(f"{path}: no .png and no .json file in the folder; give a folder of bitmasks or label files.")
    return files or None


class LeftOut(NamedTuple):
    """What of a pair of frames is not scored.

    Attributes:
        without_mask: labels without a mask, of the ground truth and of the predictions.
        overlapping: predicted masks overlap, and the official rule then drops all of them.
        other_tasks: labels by class that pan_seg does not have, likewise; ins_seg refuses such.
    """

    without_mask: tuple[int, int]
    overlapping: bool
    other_tasks: tuple[Counter[str], Counter[str]] = (Counter(), Counter())


def count_run_lengths(
    truth: Path,
    predicted: Path,
    processes: int,
    what: str,
    count: Callable[[Path, Path, tuple[Frame, Frame]], tuple[Counted, LeftOut]],
    task: Task,
    image_ids: Path | None = None,
) -> tuple[list[str], list[Counted]]:
    """Reads label files, pairs their frames by name, and counts each pair; a frame not predicted has no labels.

    One warning for each kind and file tells what is left out. ``what`` is done, for the progress bar; ``count`` takes
    the two paths and a pair of frames. ``image_ids`` is of predictions that are COCO results. Labels of other classes
    than the own ones of ``task`` are left out. Returned are the names of the frames, sorted, and what was counted in
    them.

    Raises:
        DataError: as :func:`~bdd100k_d2.data.vintages.read_labels` and :func:`.matched_frames.match_frames`, or no
            label of the ground truth has run lengths.
    """
    check_stated(truth, task)
    truth_frames = read_labels(truth).frames
    found_frames = read_predictions(predicted, ids_of_results(truth, predicted, image_ids))
    for of_file, path in ((truth_frames, truth), (found_frames, predicted)):
        others = leave_out_others(of_file, task)
        tell_left_out(others, count_labels(of_file), path, task)
    tell_absent(truth_frames, truth, task)
    true_frames = {frame.name: frame for frame in truth_frames}
    found_names = named_as_truth(true_frames, [frame.name for frame in found_frames], predicted)
    frames = dict(zip(found_names, found_frames, strict=True))
    names = match_frames(true_frames, frames, truth, predicted)
    check_masks_present(true_frames.values(), truth)
    pairs = [(true_frames[name], frames.get(name) or Frame(name)) for name in names]
    found = list(map_frames(partial(count, truth, predicted), pairs, processes, what))
    check_mask_predictions(found_frames, predicted)
    for side, path in enumerate((truth, predicted)):
        warn_without_mask(path, sum(left_out.without_mask[side] for _, left_out in found))
        if other := sum((left_out.other_tasks[side] for _, left_out in found), Counter[str]()):
            logger.warning(
                "%s: %d labels of categories that pan_seg does not have are left out: %s.",
                path,
                other.total(),
                ", ".join(f"{name} ({number})" for name, number in sorted(other.items())),
            )
    if overlapping := [name for name, (_, left_out) in zip(names, found, strict=True) if left_out.overlapping]:
        logger.warning(
            "%s: in %d frames predicted masks overlap, and the official rule then drops all predictions of the frame; "
            "give each pixel to one mask. The first is %s.",
            predicted,
            len(overlapping),
            overlapping[0],
        )
    return names, [counted for counted, _ in found]


def check_masks_present(frames: Iterable[Frame], path: Path) -> None:
    """Raises DataError if the ground truth has labels, and all of them are without a mask."""
    labels = [label for frame in frames for label in frame.labels or ()]
    if labels and all(label.rle is None for label in labels):
        raise DataError(
            f"{path}: no label has a mask in run lengths (rle); give labels/<task>/rles/, not polygons or boxes, or a "
            "folder of masks or bitmasks."
        )


def warn_without_mask(path: Path, count: int) -> None:
    """Warns, once, of labels that officially are left out because they have no mask."""
    if count:
        logger.warning("%s: %d labels have no mask (rle) and are left out.", path, count)


def checked_masks(frame: Frame, labels: Sequence[Label], truth: Frame, path: Path) -> list[CocoRLE]:
    """The masks of those of a frame's ``labels`` that have run lengths, in the size of its ground truth.

    Raises:
        DataError: a mask of another size, or broken run lengths.
    """
    return [
        check_rle(
            label.rle,
            truth.height_width,
            f"{path}: frame {frame.name}, label {shown(label.id)} ({shown(label.category)})",
        )
        for label in labels
        if label.rle is not None
    ]
