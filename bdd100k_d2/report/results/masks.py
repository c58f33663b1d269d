"""The frames of the segmentation gallery: images, and over them masks as palette PNGs with a transparent ground."""

import io
from collections.abc import Sequence

import cv2
import numpy as np
from PIL import Image

from ...data.categories import IGNORE_LABEL
from ...tasks import TASKS
from ..analysis.segmentation_records import SegmentationFrame
from ..gallery import mask_colors
from .boxes import ATTRIBUTES, attributes_of_frame, finite
from .compare import Pair
from .images import SMALL_WIDTH, Images

_RIGHT, _WRONG, _UNSCORED = 0, 1, 2
_ERROR_COLORS = (None, (255, 64, 64), (150, 150, 150))


def mask_gallery(task: str, frames: Sequence[Pair[SegmentationFrame]], has_baseline: bool, images: Images) -> dict:
    """Writes images and masks of frames and returns what the script shows of them.

    Args:
        task: "sem_seg" or "drivable".
        frames: of the gallery, in its order.
        has_baseline: whether two runs are compared.
        images: copies them.

    Raises:
        DataError: a mask cannot be read.
        OutputError: a file cannot be written.
    """
    colors = mask_colors(task)
    painted = [(category.name, color) for category, color in zip(TASKS[task].categories, colors, strict=True) if color]
    legend = [*painted, ("wrong", _ERROR_COLORS[_WRONG]), ("not scored", _ERROR_COLORS[_UNSCORED])]
    return {
        "classes": [{"name": category.name} for category in TASKS[task].categories],
        "legend": [(name, "#{:02x}{:02x}{:02x}".format(*color)) for name, color in legend],
        "attributes": ATTRIBUTES,
        "hasBaseline": has_baseline,
        "frames": [_frame(task, pair, images) for pair in frames],
    }


def error_map(task: str, truth: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Where a mask is wrong, as the official score has it: of drivable, what is background in truth is not scored.

    Args:
        task: "sem_seg" or "drivable".
        truth: (H, W) uint8 class ids; 255 is not scored.
        predicted: (H, W) uint8 class ids.

    Returns:
        (H, W) uint8: 0 right, 1 wrong, 2 not scored.
    """
    wrong = np.where(predicted == truth, np.uint8(_RIGHT), np.uint8(_WRONG))
    wrong[truth == IGNORE_LABEL] = _UNSCORED
    if task == "drivable":
        wrong[truth == TASKS[task].names.index("background")] = _UNSCORED
    return wrong


def _frame(task: str, pair: Pair[SegmentationFrame], images: Images) -> dict:
    frame, colors = pair.run, mask_colors(task)
    start = images.start_frame(frame.name)
    truth = frame.truth.read()
    masks = [_write(images, f"{start}-truth", truth, colors)]
    for number, run in enumerate(pair.runs):
        predicted = None if run.predicted is None else run.predicted.read()
        errors = None if predicted is None else error_map(task, truth, predicted)
        masks.append(_write(images, f"{start}-predicted-{number}", predicted, colors))
        masks.append(_write(images, f"{start}-errors-{number}", errors, _ERROR_COLORS))
    image = images.add(start, f"{frame.name}.jpg", frame.image, truth.shape)
    return {
        "name": frame.name,
        **image._asdict(),
        "attributes": attributes_of_frame(frame),
        "masks": masks,
        "runs": [_run(task, run) for run in pair.runs],
    }


def _run(task: str, frame: SegmentationFrame) -> dict:
    places = {category.name: place for place, category in enumerate(TASKS[task].categories)}
    return {
        "score": finite(frame.score, 2),
        "accuracy": finite(frame.pixel_accuracy, 2),
        "classes": {places[name]: finite(iou, 2) for name, iou in frame.classes.items()},
    }


def _write(
    images: Images, start: str, mask: np.ndarray | None, colors: Sequence[tuple[int, int, int] | None]
) -> dict[str, str] | None:
    if mask is None:
        return None
    height, width = mask.shape
    full = _palette_png(mask, colors)
    small = full
    if width > SMALL_WIDTH:
        size = (SMALL_WIDTH, round(height * SMALL_WIDTH / width))
        small = _palette_png(cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST), colors)
    return {"small": images.write(f"{start}.png", small), "full": images.write(f"{start}-full.png", full)}


def _palette_png(mask: np.ndarray, colors: Sequence[tuple[int, int, int] | None]) -> bytes:
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
