"""Ground truth beside prediction: the images of the page."""

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

import cv2
import numpy as np

from ..data.categories import LabelClass
from ..data.convert.image_sizes import images_below, the_image
from ..data.folders import visible_files
from ..data.image_files import read_image_file
from ..data.image_names import check_file_name, frame_names, image_name, image_stem
from ..data.labels import Box2D, Frame, Label
from ..data.masks import check_mask, list_masks, read_mask
from ..data.other_classes import leave_out_others
from ..data.root import data_remedy
from ..data.slices import FRAME_ATTRIBUTES
from ..data.vintages import read_labels
from ..drawing.draw import Box, Color, draw_boxes, overlay_mask
from ..drawing.overlay import IGNORED_COLOR, classes_of_task
from ..errors import DataError
from ..tasks import Task
from .page_images import PageImages, WrittenImage, decode_image
from .run import EvaluationResults

_T = TypeVar("_T")

_SMALL_WIDTH = 960


class ShownFrame(NamedTuple):
    """A frame of the gallery; ``truth`` is None where the frame has no ground truth."""

    name: str
    notes: tuple[str, ...]
    truth: WrittenImage | None
    prediction: WrittenImage


class Gallery(NamedTuple):
    """The pairs that are shown, how many frames were predicted, and of det the objects of each class that count."""

    pairs: tuple[ShownFrame, ...]
    num_frames: int
    counts: Counter[str] | None


def make_gallery(
    evaluation: EvaluationResults, page: Path, prefix: str, max_frames: int = 16, score_threshold: float = 0.3
) -> Gallery | None:
    """Draws frames of an evaluation and writes them as JPEG files to ``page/assets``, named ``prefix`` and a number.

    Of more than ``max_frames`` frames, this many are taken at equal distances. Boxes of a score below
    ``score_threshold`` are not drawn. Where the images are is not known of every data set; then it is None.

    Raises:
        DataError: an image, label or prediction is missing, cannot be read or does not fit.
        OutputError: an image cannot be written.
    """
    images = PageImages(page, prefix, _SMALL_WIDTH)
    if evaluation.data.images is None:
        return None
    source = _Images(evaluation.data.images)
    if evaluation.data.task.form == "boxes":
        return _box_gallery(evaluation, source, images, max_frames, score_threshold)
    return _mask_gallery(evaluation, source, images, max_frames)


class _Images:
    """The images in a folder and in those in it, by the names of their frames."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._below: dict[str, list[Path]] | None = None

    def find(self, name: str) -> Path:
        """The image of a frame: of its name, else of its stem."""
        check_file_name(name, self._folder)
        path = self._folder / name
        if path.is_file() or not self._folder.is_dir():
            return path
        if self._below is None:
            self._below = images_below(self._folder)
        return the_image(image_stem(name), self._below) or path


def _box_gallery(
    evaluation: EvaluationResults, source: _Images, images: PageImages, max_frames: int, score_threshold: float
) -> Gallery:
    predictions_path, labels_path, task = evaluation.predictions, evaluation.data.labels, evaluation.data.task
    predicted = {frame.name: frame for frame in read_labels(predictions_path).frames}
    truth, counts = None, None
    if labels_path is not None:
        frames = read_labels(labels_path).frames
        leave_out_others(frames, task)
        names = frame_names(frame.name for frame in frames)
        # A name that leads elsewhere is refused where its image is looked for.
        names = [frame.name if ".." in frame.name else name for name, frame in zip(names, frames, strict=True)]
        truth = dict(zip(names, frames, strict=True))
        if predicted and not predicted.keys() & truth.keys():
            raise DataError(f"{predictions_path}: none of its frames is one of {labels_path}; evaluate again.")
        if evaluation.is_slice:
            # The evaluator writes every frame of the slice, also those without detections.
            truth = {name: frame for name, frame in truth.items() if name in predicted}
        counts = _count_objects(truth.values(), labels_path, task)
    # A frame without detections may be left out of det.json, but not one of the labels.
    shown = sorted(predicted if truth is None else truth)
    pairs = []
    for name in _spread(shown, max_frames):
        image = _read_image(source.find(name))
        start = images.start_frame(name)
        frame = predicted.get(name, Frame(name))
        kept = [label for label in frame.labels or () if (label.score or 0.0) >= score_threshold]
        boxes = [_box(label, label.box2d, task, predictions_path, name) for label in kept if label.box2d]
        notes = [_count(len(boxes), "detection")]
        left = None
        if truth is not None and labels_path is not None:
            frame = truth[name]
            labels = frame.labels or ()
            objects = [_box(label, label.box2d, task, labels_path, name) for label in labels if label.box2d]
            notes.insert(0, _count(sum(not box.dashed for box in objects), "object"))
            left = _write(images, f"{start}-truth", draw_boxes(image, objects))
        right = _write(images, f"{start}-prediction", draw_boxes(image, boxes))
        attributes = (getattr(frame.attributes, attribute, None) for attribute in FRAME_ATTRIBUTES)
        known = (value for value in attributes if value and value != "undefined")
        pairs.append(ShownFrame(name, (*known, *notes), left, right))
    return Gallery(tuple(pairs), len(shown), counts)


def _mask_gallery(evaluation: EvaluationResults, source: _Images, images: PageImages, max_frames: int) -> Gallery:
    task, labels = evaluation.data.task, evaluation.data.labels
    stems = _stems(evaluation.predictions)
    true: dict[str, Path] = {}
    if labels is not None:
        if not labels.is_dir():
            raise DataError(f"{labels}: no such folder of masks; {data_remedy()}.")
        true = list_masks(labels, below=True)
        # The folder may hold masks of another split that was predicted before.
        stems &= true.keys()
    if not stems:
        raise DataError(f"{evaluation.predictions}: no mask of a frame of {evaluation.name}; evaluate again.")
    painted = classes_of_task(task).colors
    pairs = []
    for stem in _spread(sorted(stems), max_frames):
        path = source.find(image_name(stem))
        name, image = path.name, _read_image(path)
        start = images.start_frame(name)
        left = None
        if labels is not None:
            left = _write(images, f"{start}-truth", _paint(image, true[stem], painted, name))
        mask = evaluation.predictions / f"{stem}.png"
        right = _write(images, f"{start}-prediction", _paint(image, mask, painted, name))
        pairs.append(ShownFrame(name, (), left, right))
    return Gallery(tuple(pairs), len(stems), None)


def _stems(folder: Path) -> set[str]:
    return {image_stem(entry.name) for entry in visible_files(folder, ".png")}


def _spread(items: Sequence[_T], count: int) -> list[_T]:
    """At most ``count`` of ``items`` at equal distances, the first and the last included."""
    if len(items) <= count:
        return list(items)
    return [items[int(i)] for i in np.linspace(0, len(items) - 1, count).round()]


def _read_image(path: Path) -> np.ndarray:
    image = decode_image(read_image_file(path, f"the image cannot be read ({{error}}); {data_remedy()}."))
    if image is None:
        raise DataError(f"{path}: not an image, or damaged; download it again.")
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def _write(images: PageImages, start: str, image: np.ndarray) -> WrittenImage:
    return images.write_image(start, cv2.cvtColor(image, cv2.COLOR_RGB2BGR))


def _paint(image: np.ndarray, path: Path, colors: Sequence[Color | None], name: str) -> np.ndarray:
    mask = check_mask(read_mask(path), len(colors), path)
    if mask.shape != image.shape[:2]:
        raise DataError(
            f"{path}: the mask has {mask.shape[1]}x{mask.shape[0]} pixels, the image {name} "
            f"{image.shape[1]}x{image.shape[0]}; they must be of one size."
        )
    return overlay_mask(image, mask, colors)


def _box(label: Label, box: Box2D, task: Task, path: Path, frame: str) -> Box:
    known = _class_of(label, task, path, frame)
    category = task.categories[known.index]
    corners = (box.x1, box.y1, box.x2, box.y2)
    if label.score is not None:
        return Box(corners, category.color, f"{category.name} {label.score:.2f}", label.score)
    if known.ignored or label.is_crowd:
        return Box(corners, IGNORED_COLOR, dashed=True)
    return Box(corners, category.color, category.name)


def _class_of(label: Label, task: Task, path: Path, frame: str) -> LabelClass:
    return task.class_of(label.category, f"{path}: frame {frame}")


def _count_objects(frames: Iterable[Frame], path: Path, task: Task) -> Counter[str]:
    counts: Counter[str] = Counter()
    for frame in frames:
        for label in frame.labels or ():
            known = _class_of(label, task, path, frame.name) if label.box2d else None
            if known and not known.ignored and not label.is_crowd:
                counts[task.names[known.index]] += 1
    return counts


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
