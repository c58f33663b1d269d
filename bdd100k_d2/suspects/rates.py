"""From how rare an observation is to how likely a label is wrong.

A model that was not trained on the labels disagrees with some of them. If ``rate`` is the share of comparable labels
(of that class, that size, that score) with which it disagrees so, and ``prior`` the share of all labels that are wrong
in such a way, then wrong labels account for ``prior / rate`` of these disagreements, by Bayes' rule: for wrong ones are
among those that are counted, and the model is taken to disagree with each. Where that is above 1, because the guess of
the prior is high, it is bent to stay below. That the class decides what counts as confident is the idea of confident
learning (Northcutt et al., https://arxiv.org/abs/1911.00068).
"""

from collections.abc import Sequence

import numpy as np

PRIOR = 0.05
"""The share of labels that are wrong in each way, where nobody says otherwise."""

# As many observations of all classes together stand beside those of a class.
_STRENGTH = 10.0
_PER_BIN, _MOST_BINS = 40, 40


def suspicion(rate: np.ndarray, prior: float) -> np.ndarray:
    """How likely labels are wrong, 0 to 1, by the ``rate`` of such observations; NaN, for nothing observed, is 0."""
    score: np.ndarray = np.where(np.isnan(rate), 0.0, prior / np.hypot(prior, np.nan_to_num(rate, nan=1.0)))
    return score


def together(rates: Sequence[np.ndarray]) -> np.ndarray:
    """The rates by several models as one: their geometric mean, where a model that agrees with the label has a 1.

    As models of the same training data make the same mistakes, they are not taken for independent. NaN where no model
    disagrees.
    """
    stacked = np.stack(rates)
    mean: np.ndarray = np.exp(np.log(np.where(np.isnan(stacked), 1.0, stacked)).mean(axis=0))
    return np.where(np.isnan(stacked).all(axis=0), np.nan, mean)


def rate_at(value: np.ndarray, is_wrong: np.ndarray, group: np.ndarray, num_groups: int) -> np.ndarray:
    """The share of wrong ones among those of the same group and about the same value, which falls as that rises.

    Args:
        value: (N,) float64, such as scores of detections.
        is_wrong: (N,) bool.
        group: (N,) int64, such as classes.
        num_groups: how many there are.

    Returns:
        (N,) float64, above 0.
    """
    if not len(value):
        return np.empty(0)
    # The bins hold as many right ones, so that those of high scores, which count, are no wider.
    right = np.sort(value[~is_wrong]) if not is_wrong.all() else np.sort(value)
    num_bins = int(np.clip(len(right) // _PER_BIN, 1, _MOST_BINS))
    edges = np.unique(np.quantile(right, np.linspace(0, 1, num_bins + 1)[1:-1]))
    place = np.searchsorted(edges, value, "right")
    shape = (num_groups, len(edges) + 1)
    cell = group * shape[1] + place
    total = np.bincount(cell, minlength=shape[0] * shape[1]).reshape(shape).astype(float)
    wrong = np.bincount(cell[is_wrong], minlength=total.size).reshape(shape).astype(float)
    sums = np.bincount(place, value, minlength=shape[1])
    counts = np.maximum(np.bincount(place, minlength=shape[1]), 1)
    middle = np.where(total.any(axis=0), sums / counts, np.nan)
    there = ~np.isnan(middle)
    pooled = _falling((wrong.sum(axis=0) + 0.5) / (total.sum(axis=0) + 1.0), total.sum(axis=0) + 1.0)
    rate = np.empty(len(value))
    for one in np.unique(group):
        weights = total[one] + _STRENGTH
        of_group = _falling((wrong[one] + _STRENGTH * pooled) / weights, weights)
        chosen = group == one
        rate[chosen] = np.interp(value[chosen], middle[there], of_group[there])
    return rate


def _falling(rate: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """The closest rates that nowhere rise, by the pooling of adjacent violators."""
    blocks: list[tuple[float, float, int]] = []
    for one, of_one in zip(rate.tolist(), weight.tolist(), strict=True):
        mean, total, count = one, of_one, 1
        while blocks and blocks[-1][0] < mean:
            before, of_before, number = blocks.pop()
            mean = (mean * total + before * of_before) / (total + of_before)
            total, count = total + of_before, count + number
        blocks.append((mean, total, count))
    return np.repeat([mean for mean, _, _ in blocks], [count for _, _, count in blocks])


def rate_of(observed: np.ndarray, groups: Sequence[np.ndarray]) -> np.ndarray:
    """How often something is ``observed``, (N, B) bool, among comparable ones.

    ``groups`` are (N,) int64 each, the widest first; each finer one stands beside `_STRENGTH` of the wider.

    Returns:
        (N, B) float64, above 0.
    """
    rate = np.tile((observed.sum(axis=0) + 0.5) / (len(observed) + 1.0), (len(observed), 1))
    for group in groups:
        _, place = np.unique(group, return_inverse=True)
        counts = np.bincount(place).astype(float)[:, None]
        sums = np.stack([np.bincount(place, column) for column in observed.T], axis=1)
        rate = (sums[place] + _STRENGTH * rate) / (counts[place] + _STRENGTH)
    return rate
