"""Bootstrap intervals of scores: the frames are drawn again and again, and scored each time."""

from collections.abc import Callable

import numpy as np

from ...parallel import working_threads
from .records import Estimate

ROUNDS = 500
"""How often frames are drawn, unless somebody says so."""

_SEED = 0
_ENDS = (2.5, 97.5)


def describe_bootstrap(rounds: int, num_frames: int) -> str:
    """What the intervals of :func:`resample` mean."""
    if not rounds:
        return "No intervals were computed."
    return (
        f"95 % intervals: {rounds:,} times, {num_frames:,} frames were drawn with replacement from the {num_frames:,} "
        f"frames and scored (seed {_SEED}); an interval goes from the {_ENDS[0]} to the {_ENDS[1]} percentile of these "
        "scores. It says how much a score depends on the choice of frames; it knows nothing of other trainings of the "
        "model. Frames count as independent. A draw without a class has no score of it."
    )


def draw_scores(
    score: Callable[[np.ndarray], np.ndarray], num_frames: int, rounds: int, seed: int = _SEED, workers: int = 1
) -> np.ndarray:
    """Scores frames drawn with replacement; a seed draws the same frames for any number of ``workers`` (threads).

    ``score`` takes (F,) float64, how often each frame was drawn, and returns (S,) scores.

    Returns:
        (R, S) float64, the scores of each of the ``rounds``, at least one.
    """

    def draw(place: int) -> np.ndarray:
        frames = np.random.default_rng([seed, place]).integers(0, num_frames, num_frames)
        return score(np.bincount(frames, minlength=num_frames).astype(float))

    with working_threads(min(workers, rounds)) as pool:
        return np.array(list(pool.map(draw, range(rounds))))


def resample(
    score: Callable[[np.ndarray], np.ndarray], num_frames: int, rounds: int, seed: int = _SEED, workers: int = 1
) -> np.ndarray:
    """The intervals of scores; arguments as of :func:`draw_scores`, but that there may be no rounds.

    Returns:
        (2, S) float64, the low and high ends of the intervals; NaN without rounds, or for a score that always is NaN.
    """
    if not rounds:
        return np.full((2, len(score(np.ones(num_frames)))), np.nan)
    return interval_ends(draw_scores(score, num_frames, rounds, seed, workers))


def interval_ends(drawn: np.ndarray) -> np.ndarray:
    """(2, S) the ends of the intervals of scores that were drawn, (R, S); NaN for a score that always is NaN."""
    ends = np.full((2, drawn.shape[1]), np.nan)
    scored = ~np.isnan(drawn).all(axis=0)
    ends[:, scored] = np.nanpercentile(drawn[:, scored], _ENDS, axis=0)
    return ends


def estimates(values: np.ndarray, ends: np.ndarray) -> list[Estimate]:
    """Scores (S,) and the ends (2, S) of their intervals."""
    return [Estimate(*each) for each in np.column_stack([values, ends.T]).tolist()]
