"""Runs of one recipe with other seeds: their mean and spread, and whether two recipes differ by more than that.

A bootstrap over frames says how much a score depends on the frames, and nothing of how much it depends on the seed of
the training: for that there have to be several trainings.
"""

import logging
import math
from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ..run import Run
from ..scores import ScoreTable
from .paired_interval import student_quantile

logger = logging.getLogger(__name__)


class Spread(NamedTuple):
    """A score of N runs.

    Attributes:
        values: of the runs, in percent.
        mean: of them.
        deviation: their standard deviation, of N - 1; NaN of one run.
        low: the end of Student's 95 % interval of the mean; NaN of one run, and of runs that are all alike.
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
    interval; none of the first group, nor where one of the two has but one run, or neither has a spread.
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
    # Of equal values NumPy's is 1e-15.
    deviation = float(np.std(values, ddof=1)) if len(set(values)) > 1 else 0.0
    if not deviation:
        return Spread(tuple(values), mean, 0.0, math.nan, math.nan)
    reach = _quantile(len(values) - 1) * deviation / math.sqrt(len(values))
    return Spread(tuple(values), mean, deviation, mean - reach, mean + reach)


def difference_of_means(run: Spread, baseline: Spread) -> tuple[float, float, float] | None:
    """The difference of two means and the ends of its 95 % interval, after Welch (1947).

    None of a single run, and where neither side has a spread: runs that are all alike tell nothing of others.
    """
    counts = len(run.values), len(baseline.values)
    if min(counts) < 2:
        return None
    parts = run.deviation**2 / counts[0], baseline.deviation**2 / counts[1]
    value, variance = run.mean - baseline.mean, sum(parts)
    if not variance:
        return None
    freedom = variance**2 / sum(part**2 / (count - 1) for part, count in zip(parts, counts, strict=True))
    reach = _quantile(freedom) * math.sqrt(variance)
    return value, value - reach, value + reach


def _quantile(freedom: float) -> float:
    return float(student_quantile(np.array([freedom]))[0])


def seed_tables(runs: Sequence[Run]) -> tuple[SeedTable, ...]:
    """The runs that were tested on one data set, by their recipes; of a data set with a single run there is none.

    Runs are of one recipe whose configs differ in the seed and the folder alone. Copies of a training count once, with
    a warning; runs of one seed are warned about.
    """
    by_set: dict[str, dict[str, list[tuple[str, ScoreTable]]]] = {}
    for run in _trainings(runs):
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


def _trainings(runs: Sequence[Run]) -> list[Run]:
    """The runs without those that are copies of others."""
    found: dict[tuple[str, str], Run] = {}
    of_seed: dict[tuple[str, int], list[Run]] = defaultdict(list)
    for run in runs:
        # Without a name each is taken for one of its own.
        key = run.recipe, run.training or f"{run.folder}"
        if key in found:
            logger.warning("%s: the same training as %s (run.json); it counts once.", run.folder, found[key].folder)
            continue
        found[key] = run
        if run.seed is not None:
            of_seed[run.recipe, run.seed].append(run)
    for (_, seed), alike in of_seed.items():
        if len(alike) > 1:
            folders = ", ".join(str(run.folder) for run in alike)
            logger.warning(
                "%s: all of SEED %d, so their spread is none of seeds; train with others, and leave copies out.",
                folders,
                seed,
            )
    return [*found.values()]


def _flat(table: ScoreTable) -> dict[tuple[str, str], float]:
    """The scores that exist."""
    overall = {(metric.mean_title, ""): value for metric, value in table.headline}
    classes = {
        (metric.column_title, row.name): value
        for row in table.rows
        for metric, value in zip(table.columns, row.values, strict=True)
    }
    return {key: value for key, value in (overall | classes).items() if value is not None and not math.isnan(value)}
