"""The one call behind ``tools/suspects.py``: labels and predictions -> what may be wrong, the likeliest first."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from ..data.image_names import image_stem
from ..data.masks import list_masks
from ..errors import ConfigError, DataError
from ..evaluation.files.detection import MatchedBoxes, open_det
from ..evaluation.files.segmentation import pair_masks
from ..evaluation.own_classes import task_of_classes
from ..parallel import cores
from ..report.analysis.frames import check_arguments, find_images
from ..tasks import Task
from .box_evidence import LEAST_SCORE
from .box_masks import mask_suspects
from .boxes import box_suspects, corners
from .daylight import daylight_note, daylight_suspects
from .image_sizes import sizes_from
from .label_places import LabelledBoxes, labelled_boxes
from .rates import PRIOR
from .records import MASK, SUSPECT_KINDS, TIME_OF_DAY_TAG, Corners, Suspect, first_suspects, without_repeats
from .regions import mask_pairs, region_suspects


class SuspectOptions(NamedTuple):
    """How suspects are looked for.

    Attributes:
        most: so many are kept of all, the likeliest.
        kinds: what is looked for.
        prior: the share of labels that are guessed to be wrong in each way.
        masks: of sem_seg, of the same frames as the boxes.
        image_ids: the COCO file of the image ids of detections that are COCO results.
        classes: own classes, in the order of their ids.
        workers: processes or threads; all cores without it.
    """

    most: int = 200
    kinds: tuple[str, ...] = SUSPECT_KINDS
    prior: float = PRIOR
    masks: Path | None = None
    image_ids: Path | None = None
    classes: Sequence[str] | None = None
    workers: int | None = None


class FoundSuspects(NamedTuple):
    """What was found.

    Attributes:
        task: with its classes.
        suspects: the likeliest first.
        num_frames: of the labels.
        boxes: of the suspects' frames, the class and the corners of each label.
        sizes: of frames, the height and width in pixels where they are known without the image.
        notes: what was not looked at, and why there are no suspects, in sentences.
    """

    task: Task
    suspects: list[Suspect]
    num_frames: int
    boxes: Mapping[str, Sequence[tuple[str, Corners]]] = {}
    sizes: Mapping[str, tuple[int, int]] = {}
    notes: Sequence[str] = ()


_DEFAULTS = SuspectOptions()


def find_suspects(
    task: str,
    truth: Path,
    predicted: Sequence[Path],
    images: Path | None = None,
    options: SuspectOptions = _DEFAULTS,
) -> FoundSuspects:
    """Looks for labels that may be wrong, by predictions of models that were not trained on these labels.

    Labels and predictions are files of boxes of any vintage, or folders of masks, as the task has it. The images tell
    whether a frame was taken by night; without them it is not asked.

    Raises:
        ConfigError: the results of ``task`` are bitmasks, an option is out of its range, or there are no predictions.
        DataError: a file cannot be used, frames do not match, or a prediction has no score; the message names the file
            with the frame and the remedy.
    """
    if not predicted:
        raise ConfigError("no predictions are given; predict these images by a model that was not trained on them.")
    if not 0 < options.prior < 1:
        raise ConfigError(
            f"a prior of {options.prior:g} is no share of labels; give one between 0 and 1, such as 0.05."
        )
    for path in predicted:
        check_arguments(truth, path, images, most=options.most)
    with_classes = task_of_classes(task, options.classes)
    if with_classes.form == "bitmasks":
        raise ConfigError(f"no suspects of {task}; there are those of boxes (det) and of masks (sem_seg, drivable).")
    find = _of_boxes if with_classes.form == "boxes" else _of_masks
    return find(with_classes, truth, predicted, images, options)


def _of_boxes(
    task: Task, truth: Path, predicted: Sequence[Path], images: Path | None, options: SuspectOptions
) -> FoundSuspects:
    workers = options.workers or cores()
    runs = [open_det(truth, path, workers, options.image_ids, task).matched for path in predicted]
    labels = labelled_boxes(truth, task)
    notes: list[str] = []
    suspects = box_suspects(runs, labels, options.prior, options.most, options.kinds)
    if options.masks is not None and MASK in options.kinds:
        masks = _masks_of(runs[0].names, options.masks)
        sizes = labels.sizes | sizes_from([name for name in masks if name not in labels.sizes], images, workers)
        suspects += mask_suspects(runs[0], labels, masks, sizes, options.prior, options.most, workers)
    if images is not None and TIME_OF_DAY_TAG in options.kinds:
        found = dict(zip(labels.attributes, find_images([*labels.attributes], images), strict=True))
        suspects += daylight_suspects(labels.attributes, found, options.prior, workers)
        note = daylight_note(labels.attributes, found)
        notes += [] if note is None else [note]
    first = _first(suspects, options)
    if not first:
        notes.insert(0, _nothing(predicted, [int((run.detections.score >= LEAST_SCORE).sum()) for run in runs]))
    return FoundSuspects(task, first, len(runs[0].names), _boxes_of(first, runs[0], labels), labels.sizes, notes)


def _boxes_of(
    suspects: Sequence[Suspect], matched: MatchedBoxes, labels: LabelledBoxes
) -> dict[str, list[tuple[str, Corners]]]:
    boxes: dict[str, list[tuple[str, Corners]]] = {one.change.frame: [] for one in suspects}
    for i, name in enumerate(labels.frames):
        if name in boxes:
            boxes[name].append((labels.places[i].category or "", corners(matched.truth.box[i])))
    return boxes


def _of_masks(
    task: Task, truth: Path, predicted: Sequence[Path], images: Path | None, options: SuspectOptions
) -> FoundSuspects:
    if options.masks is not None:
        raise ConfigError("masks beside boxes are of det; give the masks of sem_seg as the labels.")
    workers = options.workers or cores()
    runs = [pair_masks(task, truth, path) for path in predicted]
    names, pairs = runs[0][0], mask_pairs([of_run for _, of_run in runs])
    first = _first(region_suspects(task, names, pairs, options.prior, options.most, workers), options)
    sizes = {one.change.frame: one.change.region.size for one in first if one.change.region is not None}
    predictions = sum(pair is not None for pair in pairs)
    nothing = (
        "No suspects: the predictions agree with the labels." if predictions else "No suspects: no frame is predicted."
    )
    return FoundSuspects(task, first, len(names), sizes=sizes, notes=[] if first else [nothing])


def _nothing(predicted: Sequence[Path], counts: Sequence[int]) -> str:
    """Why there are no suspects; ``counts`` are of the detections that count, by model."""
    empty = [str(path) for path, count in zip(predicted, counts, strict=True) if not count]
    if not empty:
        return "No suspects: the predictions agree with the labels."
    return f"No suspects: no detections with a score of {LEAST_SCORE:g} or more in {', '.join(empty)}."


def _first(suspects: Sequence[Suspect], options: SuspectOptions) -> list[Suspect]:
    return first_suspects(without_repeats([one for one in suspects if one.kind in options.kinds]), options.most)


def _masks_of(names: Sequence[str], folder: Path) -> Mapping[str, Path]:
    """The masks of frames by their names; DataError where no frame has one."""
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder of masks; give masks of sem_seg, as labels/sem_seg/masks/val.")
    masks = list_masks(folder, below=True)
    found = {name: masks[image_stem(name)] for name in names if image_stem(name) in masks}
    if not found:
        raise DataError(
            f"{folder}: none of its {len(masks):,} masks is of a frame of the boxes; give masks of the same images."
        )
    return found
