"""What the analyses of detections and of masks have in common; scores are in percent, NaN for what does not exist."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ...data.labels import FrameAttributes
from ...evaluation.toolkit_format import ToolkitScores


class Estimate(NamedTuple):
    """A score, and the ends of its 95 % bootstrap interval over frames (NaN without a bootstrap)."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class SliceRow:
    """The scores of one value of an attribute.

    Attributes:
        value: as "night", "small", "true" or "unlabelled".
        count: frames or boxes, as `SliceTable.counted` says.
        scores: by metric, over all classes: of det "AP", "AP50", "AP75", "AR100" (of the sizes "AP" and "AR"), of masks
            "mIoU", "mAcc", "fIoU", "pAcc".
        classes: the main score ("AP", "IoU") by class name.
    """

    value: str
    count: int
    scores: Mapping[str, float]
    classes: Mapping[str, float]


class SliceTable(NamedTuple):
    """The scores by one attribute.

    Attributes:
        attribute: "weather", "scene", "timeofday", "size", "occluded" or "truncated".
        counted: "frames" or "boxes".
        definition: what a row scores, in a sentence or two.
        rows: in the official order of the values.
    """

    attribute: str
    counted: str
    definition: str
    rows: tuple[SliceRow, ...]


class Bootstrap(NamedTuple):
    """How the intervals were made: ``definition`` says it in words; no intervals if ``rounds`` is 0."""

    rounds: int
    seed: int
    definition: str


@dataclass(frozen=True)
class Confusion:
    """Boxes or pixels by true and predicted class.

    Attributes:
        names: K classes.
        matrix: int64; rows are true classes, columns predicted ones. Of masks (K, K + 1), where the last column is "no
            class" (ids beyond the classes, and frames without prediction) and pixels that ground truth leaves out (255)
            are in no cell. Of boxes (K + 1, K + 1), where the last row and column are "background": in the column are
            boxes that nothing lies on, in the row detections on nothing.
    """

    names: tuple[str, ...]
    matrix: np.ndarray


@dataclass(frozen=True, kw_only=True)
class AnalysedFrame:
    """A frame of the gallery.

    Attributes:
        name: as in the label file; of masks without ".jpg" or ".png".
        image: its image; None where no folder of images is given or the image is not in it.
        attributes: weather, scene and time of day; None where they are not known.
    """

    name: str
    image: Path | None
    attributes: FrameAttributes | None


@dataclass(frozen=True, kw_only=True)
class Analysis:
    """What the report says of predictions of any kind.

    Attributes:
        truth: the file or folder of the ground truth.
        predicted: the file or folder of the predictions.
        num_frames: of ground truth.
        toolkit_scores: the official scores, as ``tools/evaluate.py --out`` writes them.
        headline: the scores over all classes by name.
        bootstrap: how the intervals were made.
        slices: by attribute; an attribute that no frame or box has is left out.
        ranking: how the worst frames were chosen and ordered, in words.
    """

    truth: Path
    predicted: Path
    num_frames: int
    toolkit_scores: ToolkitScores
    headline: Mapping[str, Estimate]
    bootstrap: Bootstrap
    slices: Mapping[str, SliceTable]
    ranking: str
