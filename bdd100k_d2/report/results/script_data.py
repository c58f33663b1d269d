"""What the page's script reads of the gallery: boxes as short lists, masks as palette PNGs that are clear elsewhere."""

import io
from collections.abc import Mapping, Sequence

import cv2
import numpy as np
from PIL import Image

from ...data.categories import IGNORE_LABEL
from ...data.image_names import image_name
from ...drawing.draw import Color
from ...drawing.overlay import classes_of_task
from ...tasks import Task
from ..analysis.detection_records import ERROR_TYPES, OUTCOMES, DetectionFrame, PredictedBox, TruthBox
from ..analysis.records import AnalysedFrame
from ..analysis.segmentation import SegmentationFrame
from ..page_images import GALLERY_WIDTH, GalleryImages, WrittenImage

ScriptData = dict[str, object]
"""What becomes JSON."""

_ATTRIBUTES = (("weather", "Weather"), ("scene", "Scene"), ("timeofday", "Time of day"))
_IGNORED_FLAG, _OCCLUDED_FLAG, _TRUNCATED_FLAG = 1, 2, 4
_RIGHT, _WRONG, _UNSCORED = 0, 1, 2
_RED, _GREY = (255, 64, 64), (150, 150, 150)
_ERROR_COLORS = (None, _RED, _GREY)


def box_gallery(
    task: Task,
    frames: Sequence[Sequence[DetectionFrame]],
    has_baseline: bool,
    images: GalleryImages,
    score_threshold: float,
) -> ScriptData:
    """Writes the images of frames and returns what the script draws over them.

    Each of ``frames`` is a frame in the run and, of a comparison, in the baseline. At ``score_threshold`` the slider
    stands first.

    Raises:
        DataError: a frame's name leads out of the folder of the images.
        OutputError: a file cannot be written.
    """

    def shown(runs: Sequence[DetectionFrame]) -> ScriptData:
        frame = runs[0]
        image = images.add(images.start_frame(frame.name), frame.name, frame.image)
        boxes = [_boxes_of_run(run) for run in runs]
        return _frame(frame, image) | {"truth": [_truth(box) for box in frame.truth], "runs": boxes}

    return {
        "threshold": score_threshold,
        "classes": [{"name": category.name, "color": _hex(category.color)} for category in task.categories],
        "outcomes": OUTCOMES,
        "errors": ERROR_TYPES,
        "attributes": _ATTRIBUTES,
        "hasBaseline": has_baseline,
        "frames": [shown(runs) for runs in frames],
    }


def mask_gallery(
    task: Task, frames: Sequence[Sequence[SegmentationFrame]], has_baseline: bool, images: GalleryImages
) -> ScriptData:
    """Writes images and masks of frames and returns what the script shows of them; arguments as of `box_gallery`.

    Raises:
        DataError: a mask cannot be read, or a frame's name leads out of the folder of the images.
        OutputError: a file cannot be written.
    """
    classes = classes_of_task(task)
    places = {name: place for place, name in enumerate(classes.names)}

    def shown(runs: Sequence[SegmentationFrame]) -> ScriptData:
        frame = runs[0]
        start = images.start_frame(frame.name)
        truth = frame.truth.read()
        masks = [_write_mask(images, f"{start}-truth", truth, classes.colors)]
        for number, run in enumerate(runs):
            predicted = None if run.predicted is None else run.predicted.read()
            errors = None if predicted is None else error_map(task, truth, predicted)
            masks.append(_write_mask(images, f"{start}-predicted-{number}", predicted, classes.colors))
            masks.append(_write_mask(images, f"{start}-errors-{number}", errors, _ERROR_COLORS))
        height, width = truth.shape
        image = images.add(start, image_name(frame.name), frame.image, (height, width))
        return _frame(frame, image) | {"masks": masks, "runs": [_scores_of_run(run, places) for run in runs]}

    legend = [*classes.painted, ("wrong", _RED), ("not scored", _GREY)]
    return {
        "classes": [{"name": name} for name in classes.names],
        "legend": [(name, _hex(color)) for name, color in legend],
        "attributes": _ATTRIBUTES,
        "hasBaseline": has_baseline,
        "frames": [shown(runs) for runs in frames],
    }


def error_map(task: Task, truth: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Where a mask of class ids is wrong, (H, W) uint8: 0 right, 1 wrong, 2 not scored.

    As in the official score, 255 and a class that is not scored are not scored where they are true.
    """
    wrong = np.where(predicted == truth, np.uint8(_RIGHT), np.uint8(_WRONG))
    wrong[truth == IGNORE_LABEL] = _UNSCORED
    if task.unscored is not None:
        wrong[truth == task.unscored] = _UNSCORED
    return wrong


def _frame(frame: AnalysedFrame, image: WrittenImage) -> ScriptData:
    attributes = {key: getattr(frame.attributes, key, None) for key, _ in _ATTRIBUTES}
    return {"name": frame.name, **image._asdict(), "attributes": attributes}


def _boxes_of_run(frame: DetectionFrame) -> ScriptData:
    # Scores are not rounded, or one of 0.2996 would be drawn at a threshold of 0.3; NaN becomes null.
    return {
        "predicted": [_predicted(box) for box in frame.predicted],
        "found": [box.found_score for box in frame.truth],
        "blamed": [box.blamed_score for box in frame.truth],
    }


def _truth(box: TruthBox) -> list[float]:
    flags = _IGNORED_FLAG * box.ignored + _OCCLUDED_FLAG * box.occluded + _TRUNCATED_FLAG * box.truncated
    return [box.category, *_corners(box.corners), flags]


def _predicted(box: PredictedBox) -> list[float]:
    outcome = OUTCOMES.index(box.outcome)
    return [box.category, *_corners(box.corners), box.score, outcome, box.truth, round(box.iou, 3)]


def _corners(corners: Sequence[float]) -> list[float]:
    return [round(value, 1) for value in corners]


def _scores_of_run(frame: SegmentationFrame, places: Mapping[str, int]) -> ScriptData:
    return {
        "score": round(frame.score, 2),
        "accuracy": round(frame.pixel_accuracy, 2),
        "classes": {places[name]: round(iou, 2) for name, iou in frame.classes.items()},
    }


def _write_mask(
    images: GalleryImages, start: str, mask: np.ndarray | None, colors: Sequence[Color | None]
) -> dict[str, str] | None:
    if mask is None:
        return None
    height, width = mask.shape
    full = small = _palette_png(mask, colors)
    if width > GALLERY_WIDTH:
        size = (GALLERY_WIDTH, round(height * GALLERY_WIDTH / width))
        small = _palette_png(cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST), colors)
    return {"small": images.write(f"{start}.png", small), "full": images.write(f"{start}-full.png", full)}


def _palette_png(mask: np.ndarray, colors: Sequence[Color | None]) -> bytes:
    """A PNG of (H, W) ids in their colours; ids without one are transparent."""
    image = Image.fromarray(mask, "L")
    palette, opacity = bytearray(768), bytearray(256)
    for place, color in enumerate(colors):
        if color is not None:
            palette[3 * place : 3 * place + 3], opacity[place] = bytes(color), 255
    image.putpalette(bytes(palette))
    content = io.BytesIO()
    image.save(content, "PNG", transparency=bytes(opacity))
    return content.getvalue()


def _hex(color: Color) -> str:
    return "#{:02x}{:02x}{:02x}".format(*color)
