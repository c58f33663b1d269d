"""What an analysis of masks holds; scores are in percent, NaN for what does not exist."""

from collections.abc import Mapping
from dataclasses import dataclass

from ...evaluation.files.segmentation import Mask
from ...evaluation.toolkit_format import ToolkitScores
from .records import AnalysedFrame, Analysis, Confusion, Estimate


@dataclass(frozen=True, kw_only=True)
class SegmentationClass:
    """A row of the table of classes.

    Attributes:
        name: of the class.
        iou: intersection over union; the value is the official one, 0 where the class is nowhere.
        precision: the official "Acc": of the pixels predicted as the class, the share that are of it.
        recall: of the pixels of the class, the share that are predicted as it.
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


@dataclass(frozen=True, kw_only=True)
class SegmentationFrame(AnalysedFrame):
    """A frame of the gallery.

    Attributes:
        truth: its mask of ground truth, which is read when it is drawn.
        predicted: its predicted mask; None where there is none.
        score: the frame's mIoU, over the scored classes of its ground truth; the frames are ranked by it.
        pixel_accuracy: the share of its scored pixels that are right.
        classes: the IoU in this frame by class name, of the classes in its ground truth or in its prediction for pixels
            that are scored.
    """

    truth: Mask
    predicted: Mask | None
    score: float
    pixel_accuracy: float
    classes: Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class SegmentationAnalysis(Analysis):
    """Everything that the report says of masks.

    The headline has "mIoU", "mAcc", "fIoU", "pAcc", then "mRecall" and of drivable "mIoU-strict", all with intervals.

    Attributes:
        task: whose masks they are.
        further: scores that the official tool does not have, in the same form: "Recall", of drivable "IoU-strict".
        classes: one row per class, in the official order; of drivable with background, which is not scored.
        confusion: of all classes.
        worst: the worst frames first.
    """

    task: str
    further: ToolkitScores
    classes: tuple[SegmentationClass, ...]
    confusion: Confusion
    worst: tuple[SegmentationFrame, ...]
