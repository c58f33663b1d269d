"""Runs of one recipe with other seeds: their mean and spread, and whether two recipes differ by more than that.

A bootstrap over frames says how much a score depends on the frames, and nothing of how much it depends on the seed of
the training: for that there have to be several trainings.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ..run import Run
from ..scores import ScoreTable
from .paired_interval import student_quantile


class Spread(NamedTuple):
    """A score of N runs.

    Attributes:
        values: of the runs, in percent.
        mean: of them.
        deviation: their standard deviation, of N - 1; NaN of one run.
        low: the end of Student's 95 % interval of the mean; NaN of one run.
        high: the other end.
    """

    values: tuple[float, ...]
    mean: float
    deviation: float
    low: float
    high: float


class SeedGroup(NamedTuple):
    """Runs of one recipe: their names, and each score over all classes, then of each class, by metric and class.

    Of all classes the class is "". ``differences`` are to the first group, mean less mean with the ends of its 95 %
    interval; none of the first group, nor where one of the two has but one run.
    """

    names: tuple[str, ...]
    scores: dict[tuple[str, str], Spread]
    differences: dict[tuple[str, str], tuple[float, float, float]]


class SeedTable(NamedTuple):
    """The groups of runs that were tested on one data set."""

    dataset: str
    groups: tuple[SeedGroup, ...]


def spread(values: Sequence[float]) -> Spread:
    """Mean and spread of the scores of one or more runs."""
    mean = float(np.mean(values))
    if len(values) < 2:
        return Spread(tuple(values), mean, math.nan, math.nan, math.nan)
    deviation = float(np.std(values, ddof=1))
    reach = _quantile(len(values) - 1) * deviation / math.sqrt(len(values))
    return Spread(tuple(values), mean, deviation, mean - reach, mean + reach)


def difference_of_means(run: Spread, baseline: Spread) -> tuple[float, float, float] | None:
    """The difference of two means and the ends of its 95 % interval, after Welch (1947); None of a single run."""
    counts = len(run.values), len(baseline.values)
    if min(counts) < 2:
        return None
    parts = run.deviation**2 / counts[0], baseline.deviation**2 / counts[1]
    value, variance = run.mean - baseline.mean, sum(parts)
    if not variance:
        return value, value, value
    freedom = variance**2 / sum(part**2 / (count - 1) for part, count in zip(parts, counts, strict=True))
    reach = _quantile(freedom) * math.sqrt(variance)
    return value, value - reach, value + reach


def _quantile(freedom: float) -> float:
    return float(student_quantile(np.array([freedom]))[0])


def seed_tables(runs: Sequence[Run]) -> tuple[SeedTable, ...]:
    """The runs that were tested on one data set, by their recipes; of a data set with a single run there is none.

    Runs are of one recipe whose configs differ in the seed and the folder alone.
    """
    by_set: dict[str, dict[str, list[tuple[str, ScoreTable]]]] = {}
    for run in runs:
        for evaluation in run.evaluations:
            if evaluation.scores is not None:
                recipes = by_set.setdefault(evaluation.name, {})
                recipes.setdefault(run.recipe, []).append((run.name, evaluation.scores))
    tables = []
    for dataset, recipes in by_set.items():
        if sum(map(len, recipes.values())) < 2:
            continue
        groups: list[SeedGroup] = []
        for members in recipes.values():
            flat = [_flat(scores) for _, scores in members]
            shared = [key for key in flat[0] if all(key in one for one in flat)]
            scores = {key: spread([one[key] for one in flat]) for key in shared}
            found = {}
            if groups:
                first = groups[0].scores
                against = {key: difference_of_means(one, first[key]) for key, one in scores.items() if key in first}
                found = {key: one for key, one in against.items() if one is not None}
            groups.append(SeedGroup(tuple(name for name, _ in members), scores, found))
        tables.append(SeedTable(dataset, tuple(groups)))
    return tuple(tables)


def _flat(table: ScoreTable) -> dict[tuple[str, str], float]:
    """The scores that exist."""
    overall = {(metric.mean_title, ""): value for metric, value in table.headline}
    classes = {
        (metric.column_title, row.name): value
        for row in table.rows
        for metric, value in zip(table.columns, row.values, strict=True)
    }
    return {key: value for key, value in (overall | classes).items() if value is not None and not math.isnan(value)}
