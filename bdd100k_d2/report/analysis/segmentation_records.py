"""What an analysis of masks holds. Scores are in percent; NaN is the score of what does not exist."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ...data.labels import FrameAttributes
from ...evaluation.files.segmentation import Mask
from ...evaluation.toolkit_format import ToolkitScores
from .records import Bootstrap, Estimate, SliceTable


class SegmentationClass(NamedTuple):
    """A row of the table of classes.

    Attributes:
        name: of the class.
        iou: intersection over union; the value is the official one, 0 where the class is nowhere.
        precision: the official "Acc": of the pixels predicted as the class, the share that are of it, in percent.
        recall: of the pixels of the class, the share that are predicted as it, in percent.
        true_pixels: pixels of the class.
        predicted_pixels: scored pixels that are predicted as the class.
        frames: frames that have the class in their ground truth.
        is_scored: whether it counts in the official averages (drivable's background and absent classes do not).
    """

    name: str
    iou: Estimate
    precision: float
    recall: float
    true_pixels: int
    predicted_pixels: int
    frames: int
    is_scored: bool


class SegmentationConfusion(NamedTuple):
    """Pixels by true and predicted class.

    Attributes:
        names: K classes.
        matrix: (K, K + 1) int64; rows are true classes, columns predicted ones, the last is "no class" (ids beyond the
            classes, and frames without prediction). Pixels that ground truth leaves out (255) are not in it.
    """

    names: tuple[str, ...]
    matrix: np.ndarray


class SegmentationFrame(NamedTuple):
    """A frame of the gallery.

    Attributes:
        name: without ".jpg" or ".png".
        image: its image; None where no folder of images is given or the image is not in it.
        truth: its mask of ground truth, which is read when it is drawn.
        predicted: its predicted mask; None where there is none.
        attributes: weather, scene and time of day where they are known.
        score: the frame's mIoU: over the scored classes of its ground truth, in percent; the frames are ranked by it.
        pixel_accuracy: the share of its scored pixels that are right, in percent.
        classes: the IoU in this frame by class name, of the classes in its ground truth or in its prediction for pixels
            that are scored.
    """

    name: str
    image: Path | None
    truth: Mask
    predicted: Mask | None
    attributes: FrameAttributes | None
    score: float
    pixel_accuracy: float
    classes: Mapping[str, float]


class SegmentationAnalysis(NamedTuple):
    """Everything that the report says of masks.

    Attributes:
        task: "sem_seg" or "drivable".
        truth: the folder of masks, or label files.
        predicted: likewise.
        num_frames: of ground truth.
        toolkit_scores: the official scores, as ``tools/evaluate.py --out`` writes them.
        further: scores that the official tool does not have, in the same form: "Recall", of drivable "IoU-strict".
        headline: "mIoU", "mAcc", "fIoU", "pAcc", then "mRecall" and of drivable "mIoU-strict", all with intervals.
        bootstrap: how the intervals were made.
        classes: a row a class, in the official order; of drivable with background, which is not scored.
        confusion: of all classes.
        slices: by attribute; empty where no attributes are known.
        worst: the worst frames first.
        ranking: how ``worst`` was chosen and ordered, in words.
    """

    task: str
    truth: Path
    predicted: Path
    num_frames: int
    toolkit_scores: ToolkitScores
    further: ToolkitScores
    headline: Mapping[str, Estimate]
    bootstrap: Bootstrap
    classes: tuple[SegmentationClass, ...]
    confusion: SegmentationConfusion
    slices: Mapping[str, SliceTable]
    worst: tuple[SegmentationFrame, ...]
    ranking: str
