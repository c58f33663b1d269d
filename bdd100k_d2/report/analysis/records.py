"""All records of an analysis, for what shows them: plain numbers, names and paths."""

from .detection_records import (
    DETECTION_ERRORS,
    ERROR_TYPES,
    IGNORED,
    MISSED,
    RIGHT,
    DetectionAnalysis,
    DetectionClass,
    DetectionConfusion,
    DetectionErrors,
    DetectionFrame,
    PrecisionRecall,
    PredictedBox,
    SizeHistogram,
    TruthBox,
)
from .score_records import (
    Bootstrap,
    Estimate,
    SliceRow,
    SliceTable,
)
from .segmentation_records import (
    SegmentationAnalysis,
    SegmentationClass,
    SegmentationConfusion,
    SegmentationFrame,
)

__all__ = [
    "DETECTION_ERRORS",
    "ERROR_TYPES",
    "IGNORED",
    "MISSED",
    "RIGHT",
    "Bootstrap",
    "DetectionAnalysis",
    "DetectionClass",
    "DetectionConfusion",
    "DetectionErrors",
    "DetectionFrame",
    "Estimate",
    "PrecisionRecall",
    "PredictedBox",
    "SegmentationAnalysis",
    "SegmentationClass",
    "SegmentationConfusion",
    "SegmentationFrame",
    "SizeHistogram",
    "SliceRow",
    "SliceTable",
    "TruthBox",
]
