"""All records of an analysis, for what shows them: plain numbers, names and paths; scores in percent, NaN for none."""

from collections.abc import Mapping
from typing import NamedTuple


class Estimate(NamedTuple):
    """A score in percent, and the ends of its 95 % bootstrap interval over frames (NaN without a bootstrap)."""

    value: float
    low: float
    high: float


class SliceRow(NamedTuple):
    """The scores of one value of an attribute.

    Attributes:
        value: as "night", "small", "true" or "unlabelled".
        count: frames or boxes, as `SliceTable.counted` says.
        scores: by metric, over all classes: of det "AP", "AP50", "AP75", "AR100" (of the sizes "AP" and "AR"), of masks
            "mIoU", "mAcc", "fIoU", "pAcc", in percent.
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
