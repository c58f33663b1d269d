"""The frames of the detection gallery as the page's script reads them: images, and boxes as short lists."""

import math
from collections.abc import Sequence

from ...data.categories import DET
from ..analysis.detection_records import (
    DETECTION_ERRORS,
    ERROR_TYPES,
    IGNORED,
    RIGHT,
    DetectionFrame,
    PredictedBox,
    TruthBox,
)
from ..analysis.segmentation_records import SegmentationFrame
from .compare import Pair
from .images import Images

OUTCOMES = (RIGHT, IGNORED, *DETECTION_ERRORS)
ATTRIBUTES = (("weather", "Weather"), ("scene", "Scene"), ("timeofday", "Time of day"))
_IGNORED_FLAG, _OCCLUDED_FLAG, _TRUNCATED_FLAG = 1, 2, 4


def box_gallery(
    frames: Sequence[Pair[DetectionFrame]], has_baseline: bool, images: Images, score_threshold: float
) -> dict:
    """Writes the images of frames and returns what the script draws over them.

    Args:
        frames: of the gallery, in its order.
        has_baseline: whether two runs are compared.
        images: copies them.
        score_threshold: at which the slider stands first.
    """
    return {
        "threshold": score_threshold,
        "classes": [
            {"name": category.name, "color": "#{:02x}{:02x}{:02x}".format(*category.color)} for category in DET
        ],
        "outcomes": OUTCOMES,
        "errors": ERROR_TYPES,
        "attributes": ATTRIBUTES,
        "hasBaseline": has_baseline,
        "frames": [_frame(pair, images) for pair in frames],
    }


def attributes_of_frame(frame: DetectionFrame | SegmentationFrame) -> dict[str, str | None]:
    """Weather, scene and time of day of a frame of either gallery; None where they are not known."""
    return {key: getattr(frame.attributes, key, None) for key, _ in ATTRIBUTES}


def finite(value: float, digits: int = 3) -> float | None:
    """A number as JSON can hold it: None for NaN."""
    return None if math.isnan(value) else round(value, digits)


def _score(value: float) -> float | None:
    """A score as the tables count it: rounded, one of 0.2996 would be drawn at a threshold of 0.3."""
    return None if math.isnan(value) else value


def _frame(pair: Pair[DetectionFrame], images: Images) -> dict:
    frame = pair.run
    image = images.add(images.start_frame(frame.name), frame.name, frame.image)
    return {
        "name": frame.name,
        **image._asdict(),
        "attributes": attributes_of_frame(frame),
        "truth": [_truth(box) for box in frame.truth],
        "runs": [_run(run) for run in pair.runs],
    }


def _run(frame: DetectionFrame) -> dict:
    return {
        "predicted": [_predicted(box) for box in frame.predicted],
        "found": [_score(box.found_score) for box in frame.truth],
        "blamed": [_score(box.blamed_score) for box in frame.truth],
    }


def _truth(box: TruthBox) -> list:
    flags = _IGNORED_FLAG * box.ignored + _OCCLUDED_FLAG * bool(box.occluded) + _TRUNCATED_FLAG * bool(box.truncated)
    return [box.category, *_corners(box.corners), flags]


def _predicted(box: PredictedBox) -> list:
    outcome = OUTCOMES.index(box.outcome)
    return [box.category, *_corners(box.corners), _score(box.score), outcome, box.truth, finite(box.iou)]


def _corners(corners: Sequence[float]) -> list[float]:
    return [round(value, 1) for value in corners]
