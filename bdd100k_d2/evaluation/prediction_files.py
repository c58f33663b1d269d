"""Predictions -> the files that the official toolkit and its evaluation servers take.

det is a JSON list; sem_seg and drivable are masks, one PNG per image; ins_seg is bitmasks and a file of their scores;
pan_seg is bitmasks. Source: https://doc.bdd100k.com/evaluate.html.
"""

import os
import shutil
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..atomic import atomic_path
from ..data.bitmasks import Bitmask, encode_bitmask
from ..data.folders import files_below
from ..data.image_names import image_stem
from ..data.labels import Box2D, Frame, Label
from ..data.png import save_png
from ..data.score_file import ScoredFrame, ScoredInstance
from ..errors import DataError
from ..tasks import TASKS, Task

if TYPE_CHECKING:
    from detectron2.structures import Instances
    from torch import Tensor

    from .array_instances import ArrayInstances
    from .boxes import Boxes


def detection_frames(boxes: "Boxes", names: Sequence[str]) -> Iterator[Frame]:
    """Yields the frames of ``boxes``, sorted by frame, in the official format; ids count on through all frames."""
    ends = np.searchsorted(boxes.frame, np.arange(len(boxes.names)), "right")
    start = 0
    for name, end in zip(boxes.names, ends.tolist(), strict=True):
        columns = (column[start:end].tolist() for column in (boxes.corners, boxes.score, boxes.category))
        yield detection_frame(name, zip(*columns, strict=True), start, names)
        start = end


def detection_frame(
    name: str, objects: Iterable[tuple[Sequence[float], float, int]], first_id: int, names: Sequence[str]
) -> Frame:
    """A frame of predictions in the official format; the ids of its labels count on from ``first_id``.

    ``objects`` are corners x1, y1, x2, y2 in pixels, inclusive, the score, and the index into the class ``names``.
    """
    labels = [
        Label(id=str(i), category=names[k], score=score, box2d=Box2D(*corners))
        for i, (corners, score, k) in enumerate(objects, first_id)
    ]
    return Frame(name=name, labels=labels)


def instance_bitmask(masks: np.ndarray, scores: np.ndarray, classes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The bitmask of a frame's instances, whose overlaps go to the higher score, of equal scores to the earlier one.

    Instances have ``masks`` (N, H, W) bool, ``scores`` (N,) and ``classes`` (N,), indices into the names of ins_seg.

    Returns:
        (H, W, 4) uint8 pixels, and the indices (M,) of the instances that keep a pixel, best first; annotation id
        i + 1 is the i-th of them.
    """
    order = np.argsort(-np.asarray(scores), kind="stable")
    ranks = np.zeros(masks.shape[1:], np.uint16 if len(order) < 1 << 16 else np.uint32)
    for rank in range(len(order), 0, -1):
        np.copyto(ranks, rank, where=masks[order[rank - 1]])
    visible = np.bincount(ranks.ravel(), minlength=len(order) + 1)[1:] > 0
    kept = order[visible]
    # Ranks without a hole, because their neighbours lost all pixels.
    instances = np.append(0, np.cumsum(visible))[ranks]
    ids = np.arange(1, len(kept) + 1)
    return encode_bitmask(Bitmask(instances, ids, np.asarray(classes)[kept] + 1, np.zeros(len(kept), np.uint8))), kept


def scored_frame(name: str, scores: np.ndarray) -> ScoredFrame:
    """A frame of ``score.json``: the ``scores`` (M,) of the annotation ids 1 to M in the bitmask of the image.

    Every bitmask needs its frame, also an empty one.
    """
    return ScoredFrame(name, [ScoredInstance(i, score) for i, score in enumerate(scores.tolist(), start=1)])


def segment_classes(infos: Iterable[Mapping[str, Any]], task: Task) -> dict[int, int]:
    """The index into the class names of the ``task``, stuff before things, of each segment, by its id.

    ``infos`` are those of Detectron2's ``panoptic_seg``, whose ``category_id`` counts things and stuff apart; stuff 0
    stands for all things. KeyError for a class that the task has not.
    """
    things, stuff = ([k for k, one in enumerate(task.categories) if one.is_thing is wanted] for wanted in (True, False))
    indices = {True: dict(enumerate(things)), False: dict(enumerate(stuff, 1))}
    return {info["id"]: indices[bool(info["isthing"])][info["category_id"]] for info in infos}


def as_array(found: "Tensor | np.ndarray") -> np.ndarray:
    """A part of a model's output as an array, wherever PyTorch has computed it."""
    array: np.ndarray = found if isinstance(found, np.ndarray) else found.cpu().numpy()
    return array


def class_ids(found: "Tensor | np.ndarray") -> np.ndarray:
    """The class of each pixel, (H, W) uint8, of ``sem_seg``: logits (K, H, W), or the ids (H, W) themselves."""
    return as_array(found.argmax(0).byte()) if found.ndim == 3 else as_array(found)


def wrong_classes(task: Task, found: Any) -> str | None:  # noqa: ANN401, instances, logits, or the segments' pair
    """What of a model's output for a frame cannot be of the classes of ``task``; None if all can."""
    if task.form == "masks":
        return _wrong_pixels(task, found)
    if task.has_scores:
        classes = found.pred_classes.tolist()
        wrong = next((k for k in classes if not 0 <= k < task.num_classes), None)
        return None if wrong is None else f"class {wrong} (counted from 0)"
    try:
        segment_classes(found[1], task)
    except KeyError as error:
        return f"class {error}"
    return None


def _wrong_pixels(task: Task, found: "Tensor | np.ndarray") -> str | None:
    if found.ndim == 3:
        return None if len(found) == task.num_classes else f"{len(found)} classes"
    highest = int(found.max())
    return None if highest < task.num_classes else f"class {highest} (counted from 0)"


def panoptic_bitmask(segments: np.ndarray, classes: Mapping[int, int], task: Task = TASKS["pan_seg"]) -> np.ndarray:
    """The bitmask, (H, W, 4) uint8 pixels, of ``segments`` (H, W) int, as Detectron2's ``panoptic_seg`` has them.

    All segments of a stuff class are one, whose annotation id is the category id; the ids of things count on from those
    of stuff, in the order of ``classes``: the index into the names of the ``task`` by segment. Other segments are
    background.

    Raises:
        DataError: a class that does not exist, or too many things.
    """
    categories = task.categories
    unknown = sorted({k for k in classes.values() if not 0 <= k < len(categories)})
    if unknown:
        raise DataError(f"segments of the classes {unknown}; pan_seg has the classes 0 to {len(categories) - 1}.")
    ids, next_thing = [], 1 + sum(not category.is_thing for category in categories)
    for k in classes.values():
        is_thing = categories[k].is_thing
        ids.append(next_thing if is_thing else k + 1)
        next_thing += is_thing
    # Each pixel's place among the segments; the last entry is for the negative ones, which some models give to nothing.
    place = np.zeros(max(0, int(segments.max(initial=0)), *classes) + 2, np.int32)
    place[list(classes)] = np.arange(1, len(classes) + 1)
    instances = place[np.where(segments < 0, len(place) - 1, segments)]
    category_ids = np.array([k + 1 for k in classes.values()], np.int64)
    return encode_bitmask(Bitmask(instances, np.array(ids, np.int64), category_ids, np.zeros(len(ids), np.uint8)))


def write_mask(mask: np.ndarray, path: str | os.PathLike[str]) -> None:
    """Writes uint8 class ids (H, W) as a grey PNG, or (H, W, 3) or (H, W, 4) as RGB or RGBA, whole or not at all.

    Raises:
        OutputError: ``path`` cannot be written.
    """
    with atomic_path(path) as temporary:
        save_png(mask, temporary)


def mask_path(folder: str | os.PathLike[str], image_name: str) -> Path:
    """Where the mask or bitmask of an image goes: the same stem, ``.png``."""
    return Path(folder) / f"{image_stem(Path(image_name).name)}.png"


def write_submission(
    folder: str | os.PathLike[str], path: str | os.PathLike[str], parts: Sequence[str] = (".",)
) -> int:
    """Zips a folder, or the files and folders ``parts`` in it, for the evaluation server; returns the number of files.

    The zip is written file by file, whole or not at all, without hidden files. Equal files give equal bytes, whenever
    and wherever they are zipped. For ins_seg the parts are ``("bitmasks", "score.json")``.

    Raises:
        DataError: a part does not exist, or there is no file in any.
        OutputError: ``path`` cannot be written.
    """
    folder, path = Path(folder), Path(path)
    members = sorted({member for part in parts for member in _files(folder / part, path)})
    if not members:
        raise DataError(f"{folder}: no file to zip; write the predictions first.")
    with atomic_path(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for member in members:
            info = zipfile.ZipInfo(member.relative_to(folder).as_posix())
            info.external_attr = 0o644 << 16
            # PNG files are deflated already.
            info.compress_type = zipfile.ZIP_STORED if member.suffix == ".png" else zipfile.ZIP_DEFLATED
            with member.open("rb") as source, archive.open(info, "w", force_zip64=True) as target:
                shutil.copyfileobj(source, target, 1 << 20)
    return len(members)


def _files(part: Path, zip_path: Path) -> list[Path]:
    if part.is_file():
        return [part]
    if not part.is_dir():
        raise DataError(f"{part}: no such file or folder; write the predictions first.")
    return [file for file in files_below(part) if file.is_file() and file.resolve() != zip_path.resolve()]


def object_columns(instances: "Instances | ArrayInstances") -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Corners (N, 4) x1, y1, x2, y2 in pixels, inclusive, classes (N,) int64 and scores (N,) float64."""
    boxes = instances.pred_boxes
    corners = as_array(getattr(boxes, "tensor", boxes)).astype(np.float64)
    # Detectron2's boxes end where the next pixel begins, the official ones with their last pixel.
    corners[:, 2:] -= 1
    classes, scores = as_array(instances.pred_classes), as_array(instances.scores)
    return corners, classes.astype(np.int64), scores.astype(np.float64)
