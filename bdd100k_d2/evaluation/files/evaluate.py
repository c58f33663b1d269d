"""The one call behind ``tools/evaluate.py``: two paths and a task -> official scores, slices and a text to print."""

import logging
import math
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ...data.folders import LABEL_SUFFIXES, files_below
from ...data.image_names import image_stem
from ...data.labels import FrameAttributes, attributes_of, without_collection
from ...data.slices import FRAME_ATTRIBUTES
from ...data.vintages import read_labels
from ...errors import ConfigError, DataError
from ...parallel import cores
from ...tasks import Task
from ..own_classes import task_of_classes, unofficial_note
from ..toolkit_format import ToolkitScores, summary, table
from .detection import open_det
from .matched_frames import MatchedFrames
from .slices import BOX_ATTRIBUTES, Slice, slices_of

logger = logging.getLogger(__name__)

Attributes = Mapping[str, FrameAttributes]


class BesidePredictions(NamedTuple):
    """Files that say more of predictions: the scores of bitmasks, and the COCO file of the ids of results."""

    score_file: Path | None = None
    image_ids: Path | None = None


def _open_det(
    task: Task, truth: Path, predicted: Path, beside: BesidePredictions, workers: int
) -> tuple[MatchedFrames, Attributes]:
    matched, attributes, vintage = open_det(truth, predicted, workers, beside.image_ids, task)
    logger.info(
        "%s: labels of vintage %s; scores on labels of another vintage are not comparable.", truth, vintage.value
    )
    return matched, attributes


# The readers of the other tasks are imported when needed: detections are scored in a time in which that counts.


def _open_masks(
    task: Task, truth: Path, predicted: Path, _: BesidePredictions, workers: int
) -> tuple[MatchedFrames, None]:
    from .segmentation import open_masks

    return open_masks(task, truth, predicted, workers), None


def _open_ins_seg(
    task: Task, truth: Path, predicted: Path, beside: BesidePredictions, workers: int
) -> tuple[MatchedFrames, None]:
    from .instances import open_ins_seg

    return open_ins_seg(truth, predicted, beside.score_file, workers, beside.image_ids, task), None


def _open_pan_seg(
    task: Task, truth: Path, predicted: Path, _: BesidePredictions, workers: int
) -> tuple[MatchedFrames, None]:
    from .panoptic import open_pan_seg

    return open_pan_seg(truth, predicted, workers, task), None


def _open_box_track(
    task: Task, truth: Path, predicted: Path, _: BesidePredictions, __: int
) -> tuple[MatchedFrames, Attributes]:
    from .tracking import open_box_track

    return open_box_track(truth, predicted, task)


OPENERS: dict[str, Callable[[Task, Path, Path, BesidePredictions, int], tuple[MatchedFrames, Attributes | None]]] = {
    "det": _open_det,
    "sem_seg": _open_masks,
    "drivable": _open_masks,
    "ins_seg": _open_ins_seg,
    "pan_seg": _open_pan_seg,
    "box_track": _open_box_track,
}
"""By task to score: (task, ground truth, predictions, files beside, workers) -> matched frames, maybe attributes."""


RESULT_TASKS = ("det", "ins_seg")
"""The tasks whose predictions may be COCO results."""


class FileScores(NamedTuple):
    """Everything that is known of a set of predictions.

    ``extra_metrics`` are scores that the official tool does not have; ``slices`` are by attribute. Those of a ``task``
    with own classes are the same metrics, and not official ones.
    """

    official: ToolkitScores
    extra_metrics: ToolkitScores
    slices: Mapping[str, Slice]
    task: Task

    def to_json(self) -> dict[str, Any]:
        """What ``--out`` holds: the official file's keys; "slices" only where they were asked for."""
        if not self.slices:
            return self.official
        return self.official | {"slices": {name: one.to_json() for name, one in self.slices.items()}}

    def text(self) -> str:
        """The official table, the scores beside it, and one table per slice."""
        parts = [table(self.official)]
        if "Recall" in self.extra_metrics:
            absent = [name for name, value in self.extra_metrics["Recall"][0].items() if math.isnan(value)]
            if absent:
                parts.append(f"Not in the ground truth, and not in the average: {', '.join(absent)}.")
        parts.append(_line(summary(self.official)))
        if self.extra_metrics:
            parts.append(f"Not in the official tool: {_line(summary(self.extra_metrics))}")
        if not self.task.is_official:
            parts.append(unofficial_note(self.task))
        return "\n\n".join(parts + [_slice_text(one) for one in self.slices.values()])


def evaluate_files(
    task: str,
    truth: str | os.PathLike[str],
    predicted: str | os.PathLike[str],
    *,
    score_file: str | os.PathLike[str] | None = None,
    image_ids: str | os.PathLike[str] | None = None,
    by: str | Sequence[str] = (),
    attributes: str | os.PathLike[str] | None = None,
    workers: int | None = None,
    classes: Sequence[str] | None = None,
) -> FileScores:
    """Scores predictions on disk exactly as ``python -m bdd100k.eval.run`` does.

    Args:
        task: a key of `OPENERS`.
        truth: label files of any vintage, or a folder of masks or bitmasks, as the task has it.
        predicted: likewise.
        score_file: for ins_seg with bitmasks: the scores of the instances.
        image_ids: for predictions that are COCO results (det and ins_seg): the COCO file that has their image ids and
            categories, where the ground truth is not COCO.
        by: attributes to slice by, one or several: "weather", "scene", "timeofday"; for det also "occluded" and
            "truncated".
        attributes: a label file with the frames' attributes; needed with ``by`` where ``truth`` holds masks.
        workers: processes or threads; all cores without it.
        classes: own classes, in the order of their ids, of all tasks but pan_seg; labels of others are left out.

    Raises:
        ConfigError: no such task or attribute, or ``classes`` that it cannot have.
        DataError: bad files, which the message names with the frame and the remedy.
    """
    by = [by] if isinstance(by, str) else by
    truth, predicted = Path(truth), Path(predicted)
    beside = BesidePredictions(*(None if path is None else Path(path) for path in (score_file, image_ids)))
    with_classes = task_of_classes(task, classes)
    _check_arguments(with_classes, truth, predicted, by)
    if beside.image_ids is not None and task not in RESULT_TASKS:
        raise ConfigError(f"COCO results are of {' and '.join(RESULT_TASKS)}, not of {task}; leave out the image ids.")
    # Nearly all that is read stays to the end, and looking through it for garbage costs a tenth of the time.
    with without_collection():
        matched, found = OPENERS[task](with_classes, truth, predicted, beside, workers or cores())
        slices: Mapping[str, Slice] = {}
        if by:
            source = truth if attributes is None else Path(attributes)
            if found is None or attributes is not None:
                found = read_attributes(source, matched)
            slices = slices_of(matched, by, found, source)
        return FileScores(matched.toolkit_scores(), matched.extra_metrics(), slices, with_classes)


def _check_arguments(task: Task, truth: Path, predicted: Path, by: Sequence[str]) -> None:
    known = (*FRAME_ATTRIBUTES, *(BOX_ATTRIBUTES if task.name == "det" else ()))
    if unknown := [name for name in by if name not in known]:
        raise ConfigError(f"{task.name} cannot be scored by {unknown[0]!r}, but by {', '.join(known)}.")
    for path in (truth, predicted):
        if not path.exists():
            raise DataError(f"{path}: no such file or folder; check the path.")


def read_attributes(source: Path, matched: MatchedFrames) -> Attributes:
    """The attributes of the frames in a label file, by name.

    Raises:
        DataError: masks, which have none, or a label file of other frames.
    """
    if source.is_dir() and not files_below(source, *LABEL_SUFFIXES):
        raise DataError(
            f"{source}: masks have no attributes to slice by; name a label file of the same frames with --attributes."
        )
    frames = read_labels(source).frames
    if {image_stem(frame.name) for frame in frames}.isdisjoint(map(image_stem, matched.names)):
        raise DataError(
            f"{source}: none of the {len(matched.names):,} scored frames is in it; give the labels of the split."
        )
    return attributes_of(frames)


def _line(scores: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {_cell(value, 4)}" for name, value in scores.items())


def _slice_text(one: Slice) -> str:
    values = [summary(row.scores) | summary(row.extra_metrics) for row in one.rows]
    cells = [[f"by {one.attribute}", one.counted, *values[0]]]
    for row, scores in zip(one.rows, values, strict=True):
        cells.append([row.value, f"{row.count:,}", *(_cell(value, 1) for value in scores.values())])
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = [
        "  ".join([line[0].ljust(widths[0]), *(cell.rjust(w) for cell, w in zip(line[1:], widths[1:], strict=True))])
        for line in cells
    ]
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:]])


def _cell(value: float, decimals: int) -> str:
    if isinstance(value, int):
        return str(value)
    return "-" if math.isnan(value) else f"{value:.{decimals}f}"
