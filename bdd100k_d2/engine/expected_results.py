"""Can what ``TEST.EXPECTED_RESULTS`` asks for be found among the scores? Asked before the training that they are of."""

from collections.abc import Mapping

from detectron2.config import CfgNode

from ..errors import ConfigError, shown
from ..evaluation.evaluators import EVALUATORS, evaluator_classes

_KEY = "TEST.EXPECTED_RESULTS"


def check_expected_results(cfg: CfgNode) -> None:
    """Compares each expected score with those that the evaluator of the test set gives; Detectron2's are not known.

    Raises:
        ConfigError: an entry is no task, metric, value and tolerance, there is no such score, or no single test set.
    """
    rows, tests = cfg.TEST.EXPECTED_RESULTS, cfg.DATASETS.TEST
    if not len(rows):
        return
    for row in rows:
        if (
            not isinstance(row, list | tuple)
            or len(row) != 4
            or not all(isinstance(one, int | float) for one in row[2:])
        ):
            raise ConfigError(
                f"{_KEY}: {shown(repr(row))} is no expected score; write each as [bbox, AP, 31.5, 0.2]: task, metric, "
                "percent and tolerance."
            )
    if len(tests) != 1:
        raise ConfigError(
            f"{_KEY} is of the scores of one test set, but DATASETS.TEST names {len(tests) or 'none'}; name one, or "
            f"set {_KEY} to []."
        )
    (name,) = tests
    evaluator, *_ = evaluator_classes(name)
    if evaluator not in EVALUATORS.values():
        return
    made = EVALUATORS[next(task for task, one in EVALUATORS.items() if one is evaluator)](name)
    if not made.is_scored:
        raise ConfigError(f"{_KEY}: {name} has no labels, so it is not scored; name another test set, or set it to [].")
    _check(name, rows, made.scores_of_nothing())


def _check(name: str, rows: list[list[object]], scores: Mapping[str, Mapping[str, float]]) -> None:
    for task, metric, *_ in rows:
        if str(task) not in scores:
            raise ConfigError(f"{_KEY}: {name} has no scores {shown(repr(task))}, but {', '.join(scores)}; mend it.")
        if str(metric) not in scores[str(task)]:
            known = ", ".join(map(shown, scores[str(task)]))
            raise ConfigError(f"{_KEY}: {name} has no score {shown(f'{task}/{metric}')}, but {known}; mend it.")
