"""The differences of two runs on the same frames, each with an interval that says whether it may be chance.

A paired bootstrap (Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13): frames are drawn with
replacement, both runs are scored on the same draw, and the interval is that of the differences. Frames that are hard
for both runs move both scores, and leave the difference as it is.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from ...data.labels import FrameAttributes
from ...data.slices import FRAME_ATTRIBUTES
from ...errors import DataError
from ...evaluation.files.matched_frames import MatchedFrames
from ...evaluation.files.slices import choices, frame_values
from ...evaluation.toolkit_format import flat_scores
from ...tasks import Task
from .paired_interval import LEAST_FRAMES, paired_ends
from .resampling import draw_scores
from .weighted import WeightedFrames, weighted_frames

DRAWS = 1_000
"""How often frames are drawn, unless somebody says so: the ends of an interval vary less than with the rounds of a
run's own."""

BETTER, WORSE, NOISE, EQUAL, UNKNOWN = "better", "worse", "noise", "equal", "unknown"
"""What a difference can be: see `Difference.verdict`."""

ALL_FRAMES = "all frames"


class Difference(NamedTuple):
    """A score of a run and of its baseline, in percent, and the 95 % interval of the difference (NaN without one)."""

    run: float
    baseline: float
    low: float
    high: float

    @property
    def value(self) -> float:
        """Run less baseline; NaN where one of the two has no score."""
        return self.run - self.baseline

    @property
    def verdict(self) -> str:
        """Where the interval lies on one side of 0 "better" or "worse", where 0 is in it "noise".

        "equal" where the runs have the same score in every draw, "unknown" without a score or an interval.
        """
        if math.isnan(self.value) or math.isnan(self.low):
            return UNKNOWN
        if self.low == self.high == self.value == 0:
            return EQUAL
        return BETTER if self.low > 0 else WORSE if self.high < 0 else NOISE


class ComparedPart(NamedTuple):
    """The frames of a slice, or all, in both runs.

    Attributes:
        attribute: `ALL_FRAMES`, or that of the slice.
        value: of the attribute; "" of all frames.
        num_frames: how many.
        overall: the scores over all classes by the names of the toolkit's summary, as "mIoU".
        classes: by metric, as "IoU", the scores of the classes by name.
    """

    attribute: str
    value: str
    num_frames: int
    overall: Mapping[str, Difference]
    classes: Mapping[str, Mapping[str, Difference]]

    def flat(self) -> dict[tuple[str, str], Difference]:
        """All of them by metric and class; of all classes the class is ""."""
        flat = {(metric, ""): difference for metric, difference in self.overall.items()}
        return flat | {(metric, name): one for metric, of in self.classes.items() for name, one in of.items()}


class Comparison(NamedTuple):
    """Two runs compared: of all frames first, then of each slice."""

    task: Task
    rounds: int
    num_frames: int
    parts: tuple[ComparedPart, ...]

    @property
    def all(self) -> ComparedPart:
        """The part of all frames."""
        return self.parts[0]


def compare_frames(
    task: Task,
    run: MatchedFrames,
    baseline: MatchedFrames,
    attributes: Mapping[str, FrameAttributes],
    rounds: int = DRAWS,
    workers: int = 1,
) -> Comparison:
    """Compares two runs on the frames of one ground truth, as a whole and by weather, scene and time of day.

    ``attributes`` are those of the frames by name, none where they are not known. Intervals are made of ``rounds``
    draws, none of 0, in ``workers`` threads.

    Raises:
        DataError: the two are of different frames.
    """
    if list(run.names) != list(baseline.names):
        raise DataError(
            f"the run has {len(run.names):,} frames and the baseline {len(baseline.names):,}, or others; "
            "score both against the same ground truth."
        )
    sides = (weighted_frames(task, run), weighted_frames(task, baseline))
    parts = compare_weighted(*sides, list(_slices(run.names, attributes)), rounds, workers)
    return Comparison(task, rounds, len(run.names), parts)


def compare_weighted(
    run: WeightedFrames,
    baseline: WeightedFrames,
    slices: Sequence[tuple[str, str, np.ndarray]] = (),
    rounds: int = DRAWS,
    workers: int = 1,
    seed: int = 0,
) -> tuple[ComparedPart, ...]:
    """Compares runs on all frames, then on ``slices``: attribute, value and frames, (F,) bool, of each."""
    everywhere = np.ones(run.num_frames, bool)
    parts = [_Part(ALL_FRAMES, "", everywhere, (run, baseline))]
    parts += [_Part(*one, (run.slice(one[2]), baseline.slice(one[2]))) for one in slices]

    def score(weights: np.ndarray) -> np.ndarray:
        return np.concatenate([part.differences(weights[part.chosen]) for part in parts])

    drawn = draw_scores(score, run.num_frames, rounds, seed, workers) if rounds else None
    compared, start = [], 0
    for part in parts:
        end = start + len(part.keys)
        compared.append(part.compared(None if drawn is None else drawn[:, start:end]))
        start = end
    return tuple(compared)


def _slices(names: Sequence[str], attributes: Mapping[str, FrameAttributes]) -> Iterator[tuple[str, str, np.ndarray]]:
    """Attribute, value and frames, (F,) bool, of each slice; of an attribute that no frame has there is none."""
    for attribute, order in FRAME_ATTRIBUTES.items():
        if any(getattr(one, attribute) for one in attributes.values()):
            for value, chosen in choices(frame_values(names, attribute, attributes), order):
                yield attribute, value, chosen


class _Part:
    """Frames of two runs, and the names of their scores: metric and class; of all classes the class is ""."""

    def __init__(
        self, attribute: str, value: str, chosen: np.ndarray, sides: tuple[WeightedFrames, WeightedFrames]
    ) -> None:
        self._title = attribute, value
        self.chosen = chosen
        self._sides = sides
        ones = np.ones(sides[0].num_frames)
        self._scores = [flat_scores(side.scores(ones)) for side in sides]
        self.keys = list(dict.fromkeys(key for scores in self._scores for key in scores))

    def differences(self, weights: np.ndarray) -> np.ndarray:
        """(S,) of the frames as often as ``weights`` says; NaN where there is none, or too few frames."""
        if len(weights) < LEAST_FRAMES or not weights.any():
            return np.full(len(self.keys), np.nan)
        run, baseline = (flat_scores(side.scores(weights)) for side in self._sides)
        return np.array([run.get(key, math.nan) - baseline.get(key, math.nan) for key in self.keys])

    def compared(self, drawn: np.ndarray | None) -> ComparedPart:
        """The differences with their intervals, from draws (R, S); without any there are no intervals."""
        run, baseline = (np.array([scores.get(key, math.nan) for key in self.keys]) for scores in self._scores)
        ends = np.full((2, len(self.keys)), np.nan)
        if drawn is not None:
            frames = np.array([self._sides[0].frames_with(*key) for key in self.keys])
            ends = paired_ends(run - baseline, drawn, frames, self._classes())
        rows = np.column_stack([run, baseline, ends.T]).tolist()
        overall: dict[str, Difference] = {}
        classes: dict[str, dict[str, Difference]] = {}
        for (metric, name), row in zip(self.keys, rows, strict=True):
            if name:
                classes.setdefault(metric, {})[name] = Difference(*row)
            else:
                overall[metric] = Difference(*row)
        return ComparedPart(*self._title, int(self.chosen.sum()), overall, classes)

    def _classes(self) -> list[np.ndarray]:
        """Of each score over all classes the places of those of the classes that it is a mean of."""
        by_metric: dict[str, list[int]] = {}
        for place, (metric, name) in enumerate(self.keys):
            if name:
                by_metric.setdefault(metric, []).append(place)
        none = np.zeros(0, np.int64)
        found = []
        for metric, name in self.keys:
            # "PQ/STUFF" is of a part of the classes, and "mIoU" the mean of "IoU".
            base = metric.partition("/")[0]
            of = by_metric.get(base) or by_metric.get(base.removeprefix("m"))
            found.append(none if name or of is None else np.array(of))
        return found
