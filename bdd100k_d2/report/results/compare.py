"""Frames of two runs side by side, and which of them are shown when a page compares the runs."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np

from ..analysis.detection_records import DetectionFrame
from ..analysis.gallery import worst_of_each
from ..analysis.segmentation_records import SegmentationFrame

Shown = TypeVar("Shown", DetectionFrame, SegmentationFrame)


@dataclass(frozen=True)
class Pair(Generic[Shown]):
    """A frame in the run and in the baseline; None where there is no baseline.

    The name, the image, the attributes and the ground truth are those of ``run``.
    """

    run: Shown
    baseline: Shown | None

    @property
    def runs(self) -> tuple[Shown, ...]:
        """The frame in all runs that there are."""
        return (self.run,) if self.baseline is None else (self.run, self.baseline)


def most_changed(run: Mapping[str, float], baseline: Mapping[str, float], overall: int, each: int) -> list[str]:
    """Chooses the worst frames, and those that got most worse and most better.

    Args:
        run: how bad each frame is by its name, the worst first; 0 is not bad at all.
        baseline: the same of the other run, which has the same frames.
        overall: so many of the worst are taken,
        each: and so many that got worse and that got better.

    Returns:
        Names of frames that are bad in one of the runs, in the order of ``run``.
    """
    names = [name for name, badness in run.items() if badness or baseline[name]]
    change = np.array([run[name] - baseline[name] for name in names])
    groups = [change.clip(0), (-change).clip(0)]
    return [names[place] for place in worst_of_each(np.arange(len(names)), groups, overall, each).tolist()]
