"""Frames of two runs side by side, and which of them are shown when a page compares the runs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np

from ..analysis.gallery import worst_of_each
from ..analysis.records import DetectionFrame, SegmentationFrame

Shown = TypeVar("Shown", DetectionFrame, SegmentationFrame)

EVERY_FRAME = 10**9
"""As many worst frames as an analysis has, so that those which changed most are among them."""


@dataclass(frozen=True)
class Pair(Generic[Shown]):
    """A frame in the run and in the baseline; None where it has no error, or where there is no baseline."""

    run: Shown | None
    baseline: Shown | None

    @property
    def either(self) -> Shown:
        """The frame, for what both runs have in common: name, picture, attributes, ground truth."""
        return self.run or self.baseline


def most_changed(
    frames: Sequence[Shown],
    baseline: Sequence[Shown],
    badness: Callable[[Shown], float],
    overall: int,
    each: int,
) -> list[Pair[Shown]]:
    """Chooses the worst frames, and those that got most worse and most better.

    Args:
        frames: of the run, the worst first; all that have an error.
        baseline: those of the other run.
        badness: of a frame; of one without error it is 0.
        overall: so many of the worst are taken,
        each: and so many that got worse and that got better.

    Returns:
        Pairs of a frame, those that are worst in the run first.
    """
    others = {frame.name: frame for frame in baseline}
    pairs = [Pair(frame, others.pop(frame.name, None)) for frame in frames]
    pairs += [Pair(None, other) for other in others.values()]
    change = np.array([_badness(pair.run, badness) - _badness(pair.baseline, badness) for pair in pairs])
    groups = [change.clip(0), (-change).clip(0)]
    return [pairs[place] for place in worst_of_each(np.arange(len(pairs)), groups, overall, each).tolist()]


def _badness(frame: Shown | None, badness: Callable[[Shown], float]) -> float:
    return 0.0 if frame is None else badness(frame)
