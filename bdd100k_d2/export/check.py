"""A model file beside the model that it was made from: official scores of both on the same frames, and what differs."""

import logging
import math
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch
from detectron2.config import CfgNode
from detectron2.data import DatasetCatalog
from detectron2.structures import Boxes, Instances
from tqdm import tqdm

from ..atomic import file_digest
from ..checkpoint.backbone_names import check_trained
from ..checkpoint.published import local_path
from ..config import with_keys
from ..data.slices import register_slice
from ..errors import ConfigError, shown
from ..evaluation.evaluators import build_evaluator
from ..predict.config_task import task_of
from ..predict.model_file import ModelFile
from ..predict.predictor import Predictor
from ..tasks import SPLITS, Task
from .differences import Differences

logger = logging.getLogger(__name__)

MOST_LOST = {"float32": 0.01, "float16": 1.0, "int8": 1.0}
"""Points of the task's first score (AP, mIoU or PQ) that a file may lose, by the precision that it has by its card."""


class Check(NamedTuple):
    """What was found.

    Attributes:
        dataset: whose frames were predicted.
        metric: the task's first score.
        expected: the scores of the model by their names, in percent; none where there are no labels.
        found: those of the file.
        differences: of the results.
        precision: of the file by its card; None without one.
        others: the weights of the model, where the file was made from others; else empty.
    """

    dataset: str
    metric: str
    expected: dict[str, float]
    found: dict[str, float]
    differences: Differences
    precision: str | None = None
    others: str = ""

    @property
    def most_lost(self) -> float:
        """Points of ``metric`` that the file may lose."""
        return max(MOST_LOST.values()) if self.precision is None else MOST_LOST[self.precision]

    @property
    def lost(self) -> float:
        """Points of ``metric`` that the file has less than the model; NaN where there are no labels."""
        return self.expected.get(self.metric, math.nan) - self.found.get(self.metric, math.nan)

    @property
    def is_good(self) -> bool:
        """Whether the file is of these weights and loses not more than `most_lost`; where nothing can be said, too."""
        return not self.others and not self.lost > self.most_lost

    def text(self) -> str:
        """A table of the scores, the differences of the results, and a sentence on what is lost."""
        lines = [f"{self.differences.frames:,} frames of {self.dataset}", ""]
        if self.expected:
            rows = [(name, value, self.found[name]) for name, value in self.expected.items()]
            width = max(len(name) for name, _, _ in rows)
            lines.append(f"{'':{width}} {'model':>9} {'file':>9} {'file - model':>13}")
            lines += [f"{name:{width}} {_cell(a):>9} {_cell(b):>9} {_cell(b - a, '+.4f'):>13}" for name, a, b in rows]
            lines.append("")
        lines += [*self.differences.lines(), ""]
        if math.isnan(self.lost):
            lines.append("There are no labels with which to compare the scores.")
        else:
            lines.append(f"{self.metric}: {self._change()}.")
        if self.others:
            lines.append(f"The file was made from OTHER WEIGHTS than {self.others}; give those, or export it again.")
        return "\n".join(lines)

    def _change(self) -> str:
        if self.lost > self.most_lost:
            of = f" of a file in {self.precision}" if self.precision else ""
            return f"{self.lost:.2f} points lost, MORE THAN the {self.most_lost:g} that may be{of}"
        return f"{self.lost:.2f} points lost" if self.lost >= 0 else f"{-self.lost:.2f} points gained"


def _cell(value: float, form: str = ".4f") -> str:
    return "-" if math.isnan(value) else format(value, form)


def check_export(
    file: Path,
    cfg: CfgNode,
    *,
    split: str | None = None,
    limit: int | None = None,
    threads: int | None = None,
    config: Path | None = None,
) -> Check:
    """Predicts the same frames with a config's model, in single precision, and with a model file, and scores both.

    Args:
        file: of the model.
        cfg: with the weights that it was made from.
        split: of BDD100K; None for the config's first test set.
        limit: so many frames of it, the first.
        threads: of the CPU.
        config: the file that ``cfg`` is of.

    Raises:
        ConfigError: the file is of another task or other classes than the config, or there is no such split.
        DataError: the images or labels are not there or cannot be used.
        WeightsError: the file or the weights cannot be loaded.
    """
    check_trained(cfg.MODEL.WEIGHTS, config or "the config")
    task = task_of(cfg)
    dataset = _dataset(cfg, task, split, limit)
    cfg = with_keys(cfg, "DATASETS.TEST", (dataset,))
    of_file = Predictor(file, threads=threads, task=task)
    records = DatasetCatalog.get(dataset)
    predictors = Predictor(cfg, threads=threads), of_file
    card = of_file.runtime.card if isinstance(of_file.runtime, ModelFile) else None
    precision, others = None if card is None else card.precision, ""
    if card is not None and card.weights_sha256 != file_digest(Path(local_path(cfg.MODEL.WEIGHTS))):
        others = shown(cfg.MODEL.WEIGHTS)
        logger.warning("%s: was made from other weights than %s, so that the two differ anyhow.", file, others)
    differences = Differences(task)
    with tempfile.TemporaryDirectory(prefix="check") as name:
        evaluators = [build_evaluator(cfg, dataset, Path(name, part)) for part in ("model", "file")]
        for evaluator in evaluators:
            evaluator.reset()
        streams = [predictor.stream([record["file_name"] for record in records]) for predictor in predictors]
        bar = tqdm(zip(records, *streams, strict=True), "checking", len(records), disable=not sys.stderr.isatty())
        for record, expected, found in bar:
            outputs = expected.output, _as_detectron2(found.output, task)
            differences.add(expected.output, found.output)
            for evaluator, output in zip(evaluators, outputs, strict=True):
                evaluator.process([record], [output])
        expected_scores, found_scores = (dict(_flat(evaluator.evaluate())) for evaluator in evaluators)
    return Check(dataset, task.plotted[0], expected_scores, found_scores, differences, precision, others)


def score_stream(cfg: CfgNode, predict: Callable[[list[str]], Iterable[dict[str, Any]]]) -> dict[str, float]:
    """The scores by their names, in percent, of what ``predict`` gives for the paths of the config's first test set.

    Outputs are those of Detectron2's models or of model files; without labels there are no scores.
    """
    dataset, task = str(cfg.DATASETS.TEST[0]), task_of(cfg)
    records = DatasetCatalog.get(dataset)
    with tempfile.TemporaryDirectory(prefix="score") as name:
        evaluator = build_evaluator(cfg, dataset, Path(name))
        evaluator.reset()
        for record, output in zip(records, predict([record["file_name"] for record in records]), strict=True):
            evaluator.process([record], [_as_detectron2(output, task)])
        return dict(_flat(evaluator.evaluate()))


def _dataset(cfg: CfgNode, task: Task, split: str | None, limit: int | None) -> str:
    """The name of the data set of the frames, a slice with a limit."""
    if split is not None and split not in SPLITS:
        raise ConfigError(f"--split {shown(split)}: there are {', '.join(SPLITS)}.")
    name = str(cfg.DATASETS.TEST[0]) if split is None else f"bdd100k_{task.name}_{split}"
    if limit is None:
        return name
    first = f"{name}_first_{limit}"
    register_slice(first, name, first=limit)
    return first


def _flat(scores: Any) -> Iterator[tuple[str, float]]:  # noqa: ANN401, what evaluators return
    for group, of_group in (scores or {}).items():
        for name, value in of_group.items():
            yield (name if len(scores) == 1 else f"{group}/{name}"), float(value)


def _as_detectron2(output: dict[str, Any], task: Task) -> dict[str, Any]:
    """An output as Detectron2's models give it, which evaluators take; one of theirs as it is."""
    if any(isinstance(part, torch.Tensor | Instances) for value in output.values() for part in _parts(value)):
        return output
    if task.form == "masks":
        classes = torch.arange(task.num_classes, dtype=torch.uint8)[:, None, None]
        # Its argmax is the ids.
        return {"sem_seg": (torch.from_numpy(output["sem_seg"]) == classes).byte()}
    if not task.has_scores:
        segments, infos = output["panoptic_seg"]
        return {"panoptic_seg": (torch.from_numpy(segments), infos)}
    found = output["instances"]
    instances = Instances(found.image_size)
    instances.pred_boxes = Boxes(torch.from_numpy(found.pred_boxes))
    instances.scores = torch.from_numpy(found.scores)
    instances.pred_classes = torch.from_numpy(found.pred_classes)
    if found.pred_masks is not None:
        instances.pred_masks = torch.from_numpy(found.pred_masks)
    return {"instances": instances}


def _parts(value: Any) -> tuple[Any, ...]:  # noqa: ANN401, a part of an output
    return value if isinstance(value, tuple) else (value,)
