"""Our scores beside those of the official toolkit."""

import math
from collections.abc import Iterator
from pathlib import Path

from bdd100k_d2.evaluation.toolkit_format import ToolkitScores, table
from bdd100k_d2.parallel import cores

from .toolkit import run_toolkit

TOLERANCE = 1e-9
"""Percent; scores that differ by more are not the same."""


def compare_with_toolkit(
    task: str, truth: Path, predicted: Path, score_file: Path | None, ours: ToolkitScores
) -> tuple[bool, str]:
    """Runs the official toolkit on the same files, which takes minutes on a whole split.

    Returns:
        Whether all scores agree, and a sentence on it; where they do not, also the official table.

    Raises:
        DataError: the toolkit fails; the message ends with what it printed.
        OutputError: its environment cannot be made.
    """
    theirs = run_toolkit(task, truth, predicted, score_file, cores())
    difference = largest_difference(theirs, ours)
    if difference <= TOLERANCE:
        count = len(dict(_flat(theirs)))
        return True, f"The official tool agrees in all {count} scores; the largest difference is {difference:.0e}."
    return False, (
        f"The official tool DIFFERS, by up to {difference:.4g}; docs/EVALUATION.md says where it is wrong. Its table:\n"
        f"{table(theirs)}"
    )


def largest_difference(theirs: ToolkitScores, ours: ToolkitScores) -> float:
    """The largest difference between two scores of the same name; infinite where one has a score that the other lacks.

    NaN equals NaN.
    """
    left, right = dict(_flat(theirs)), dict(_flat(ours))
    if left.keys() != right.keys():
        return math.inf
    largest = 0.0
    for key, value in left.items():
        if math.isnan(value) != math.isnan(right[key]):
            return math.inf
        # Infinite ones are equal or not; their difference is no number.
        if not math.isnan(value) and value != right[key]:
            largest = max(largest, abs(value - right[key]))
    return largest


def _flat(scores: ToolkitScores) -> Iterator[tuple[tuple[str, str], float]]:
    for metric, value in scores.items():
        for group in value if isinstance(value, list) else [{"": value}]:
            for name, each in group.items():
                yield (metric, name), each
