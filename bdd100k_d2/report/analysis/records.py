"""What the analyses of detections and of masks have in common; scores are in percent, NaN for what does not exist."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ...data.labels import FrameAttributes
from ...evaluation.files.matched_frames import MatchedFrames
from ...evaluation.files.slices import Slice
from ...tasks import Task


class Estimate(NamedTuple):
    """A score, and the ends of its 95 % bootstrap interval over frames (NaN without a bootstrap)."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class AnalysedFrame:
    """A frame of the gallery.

    Attributes:
        name: as in the label file; of masks without ".jpg" or ".png".
        image: None where no folder of images is given or the image is not in it.
        attributes: None where they are not known.
    """

    name: str
    image: Path | None
    attributes: FrameAttributes | None


@dataclass(frozen=True, kw_only=True)
class Analysis:
    """What the report says of predictions of any kind.

    Attributes:
        task: with its classes.
        truth: the file or folder of the ground truth.
        predicted: the file or folder of the predictions.
        num_frames: of ground truth.
        headline: the scores over all classes by name.
        bootstrap: how the intervals were made, in words.
        slices: by attribute; an attribute that no frame or box has is left out.
        confusion: int64 boxes or pixels; rows are true classes, columns predicted ones. Of masks (K, K + 1), where the
            last column is "no class" (ids beyond the classes, and frames without prediction) and pixels that ground
            truth leaves out (255) are in no cell. Of boxes (K + 1, K + 1), where the last row and column are
            "background": in the column are boxes that nothing lies on, in the row detections on nothing.
        ranking: how the worst frames were chosen and ordered, in words.
        matched: the frames, to be compared with another run's.
        attributes: of the frames, by name; none where they are not known.
    """

    task: Task
    truth: Path
    predicted: Path
    num_frames: int
    headline: Mapping[str, Estimate]
    bootstrap: str
    slices: Mapping[str, Slice]
    confusion: np.ndarray
    ranking: str
    matched: MatchedFrames = field(repr=False)
    attributes: Mapping[str, FrameAttributes] = field(repr=False)
