"""The interval of a difference, from the differences of frames that were drawn again and again.

It is Student's, with the standard error of a bootstrap: the score, plus and minus t times the spread of the draws
(Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapters 12 and 13). A rare class is in few frames, which
a bootstrap of percentiles takes for more than they are; the degrees of freedom are those of the frames that have it,
and of a mean over classes those of Welch and Satterthwaite (1946). ``test_differences.py -k hold_the_true`` holds that
95 % intervals hold the true difference in 95 of 100 problems.
"""

import numpy as np

LEAST_FRAMES = 10
"""With an object in fewer frames, nothing is said of a class: that is too few to know how frames differ."""

# Of a mean to which a class belongs that is in one or two frames: with less, that class would say all of its interval.
_LEAST_FREEDOM = 4.0

_Z = 1.959963984540054  # of the standard normal distribution, 97.5 %


# Of 1, 2 and 3 degrees of freedom, of which the expansion is not exact.
_FEW = np.array([12.706, 4.303, 3.182])


def student_quantile(freedom: np.ndarray) -> np.ndarray:
    """The 97.5 % quantiles of Student's distribution with 1 degree of freedom or more, right to 0.005.

    From 4 on they are expanded as by Abramowitz and Stegun 26.7.5, and below taken of the whole number below.
    """
    z, n = _Z, np.asarray(freedom, float)
    expanded: np.ndarray = (
        z
        + (z**3 + z) / (4 * n)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * n**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * n**3)
        + (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / (92160 * n**4)
    )
    return np.where(n < 4, _FEW[np.clip(n.astype(int) - 1, 0, 2)], expanded)


def paired_ends(values: np.ndarray, drawn: np.ndarray, frames: np.ndarray, classes: list[np.ndarray]) -> np.ndarray:
    """The ends of the 95 % intervals of differences.

    Args:
        values: (S,) the differences.
        drawn: (R, S) those of each draw; NaN where a draw has none.
        frames: (S,) int64, how many frames a difference is of: those that have the class.
        classes: of each difference the places of those of the classes that it is a mean of; none of a single class.

    Returns:
        (2, S) float64; NaN for a difference that does not exist, is of fewer than `LEAST_FRAMES` frames, or is a mean
        that classes of fewer frames carry (see `_is_carried`).
    """
    known = ~np.isnan(drawn)
    count = known.sum(axis=0)
    mean = np.where(known, drawn, 0).sum(axis=0) / np.maximum(count, 1)
    squares = np.where(known, drawn - mean, 0) ** 2
    # A bootstrap of n frames has (n - 1) / n of the variance.
    variance = squares.sum(axis=0) / np.maximum(count - 1, 1) * frames / np.maximum(frames - 1, 1)
    freedom = np.maximum(frames - 1.0, 1.0)
    for place, of in enumerate(classes):
        parts, n = variance[of], frames[of]
        if len(of) and (parts.sum() > 0):
            welch = parts.sum() ** 2 / (parts**2 / np.maximum(n - 1, 1)).sum()
            freedom[place] = max(_LEAST_FREEDOM, min(freedom[place], welch))
    ends = values + np.array([[-1], [1]]) * student_quantile(freedom) * np.sqrt(variance)
    carried = np.array([_is_carried(values[of], frames[of]) for of in classes])
    ends[:, np.isnan(values) | (count < 2) | (frames < LEAST_FRAMES) | ~carried] = np.nan
    return ends


def _is_carried(values: np.ndarray, frames: np.ndarray) -> bool:
    """Whether a mean's classes of `LEAST_FRAMES` frames or more are at least half of it, and of what differs.

    The draws know little of how the others vary. What differs is the sum of the classes' differences without signs.
    """
    known = ~np.isnan(values)
    rare = known & (frames < LEAST_FRAMES)
    apart = np.abs(np.where(known, values, 0))
    return bool(2 * rare.sum() <= known.sum() and 2 * apart[rare].sum() <= apart.sum())
