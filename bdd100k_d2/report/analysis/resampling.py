"""Bootstrap intervals of scores: the frames are drawn again and again, and scored each time."""

from collections.abc import Callable
from multiprocessing.pool import ThreadPool

import numpy as np

from .records import Bootstrap, Estimate

ROUNDS = 500
"""How often frames are drawn, unless somebody says so."""

_ENDS = (2.5, 97.5)


def describe_bootstrap(rounds: int, seed: int, num_frames: int) -> Bootstrap:
    """What the intervals of :func:`resample` mean."""
    if not rounds:
        return Bootstrap(0, seed, "No intervals were computed.")
    return Bootstrap(
        rounds,
        seed,
        f"95 % intervals: {rounds:,} times, {num_frames:,} frames were drawn with replacement from the {num_frames:,} "
        f"frames and scored (seed {seed}); an interval goes from the {_ENDS[0]} to the {_ENDS[1]} percentile of these "
        "scores. It says how much a score depends on the choice of frames; it knows nothing of other trainings of the "
        "model. Frames count as independent. A draw without a class has no score of it.",
    )


def resample(
    score: Callable[[np.ndarray], np.ndarray], num_frames: int, rounds: int, seed: int, workers: int = 1
) -> np.ndarray:
    """Scores frames drawn with replacement.

    Args:
        score: takes (F,) float64, how often each frame was drawn, and returns (S,) scores.
        num_frames: F.
        rounds: how often; may be 0.
        seed: the same one draws the same frames, whatever ``workers``.
        workers: threads.

    Returns:
        (2, S) float64, the low and high ends of the intervals; NaN for a score that is NaN in every round. Of no rounds
        (2, S) of NaN.
    """
    if not rounds:
        return np.full((2, len(score(np.ones(num_frames)))), np.nan)

    def draw(place: int) -> np.ndarray:
        frames = np.random.default_rng([seed, place]).integers(0, num_frames, num_frames)
        return score(np.bincount(frames, minlength=num_frames).astype(float))

    if workers > 1:
        with ThreadPool(min(workers, rounds)) as pool:
            drawn = np.array(pool.map(draw, range(rounds), chunksize=1))
    else:
        drawn = np.array([draw(place) for place in range(rounds)])
    ends = np.full((2, drawn.shape[1]), np.nan)
    scored = ~np.isnan(drawn).all(axis=0)
    ends[:, scored] = np.nanpercentile(drawn[:, scored], _ENDS, axis=0)
    return ends


def estimates(values: np.ndarray, ends: np.ndarray) -> list[Estimate]:
    """Scores (S,) and the ends (2, S) of their intervals."""
    return [Estimate(*each) for each in np.column_stack([values, ends.T]).tolist()]
