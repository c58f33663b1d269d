"""The evaluator of instance masks."""

import logging
from pathlib import Path

import numpy as np
from detectron2.utils import comm

from .. import results
from ..files.instances import MatchedBitmasks
from ..metrics.instances import FrameMatches, match_instances
from .base import Inputs, Scores
from .bitmasks import BitmaskEvaluator

logger = logging.getLogger(__name__)


class BDD100KInsSegEvaluator(BitmaskEvaluator):
    """Writes ``bitmasks/`` and ``score.json`` and scores them with COCO's twelve scores."""

    task = "ins_seg"
    submission = ("bitmasks", "score.json")

    def __init__(self, dataset_name: str, output_dir: Path) -> None:
        """Takes a registered dataset of instance segmentation and the folder to write into."""
        super().__init__(dataset_name, output_dir)
        self._scores: dict[str, np.ndarray] = {}
        self._matches: dict[str, FrameMatches] = {}

    def reset(self) -> None:
        """Forgets all predictions and removes the files of an earlier evaluation."""
        super().reset()
        self._scores, self._matches = {}, {}

    def process(self, inputs: Inputs, outputs: Inputs) -> None:
        """Writes and matches the ``instances`` of each image: ``pred_masks`` (N, H, W) at the original size.

        Raises:
            DataError: the ground truth is missing or unreadable, or has another size.
            OutputError: the bitmask cannot be written.
        """
        for one, output in zip(inputs, outputs, strict=True):
            name = one["image_id"]
            instances = output["instances"].to("cpu")
            scores = instances.scores.numpy().astype(np.float64)
            pixels, kept = results.instance_bitmask(
                instances.pred_masks.numpy(), scores, instances.pred_classes.numpy()
            )
            self._scores[name] = scores[kept]
            pair = self.write(pixels, name)
            if pair is not None:
                self._matches[name] = match_instances(*pair, np.arange(len(kept)), scores[kept], len(self.names))

    def evaluate(self) -> Scores | None:
        """Gathers, writes and scores.

        Returns:
            On the main process ``{"segm": {...}}`` in percent: COCO's twelve scores, "AP-<class>" for each class; empty
            for a dataset without labels. None elsewhere.
        """
        gathered = comm.gather((self._scores, self._matches))
        if not comm.is_main_process():
            return None
        scores = {name: each for rank, _ in gathered for name, each in rank.items()}
        scores = {name: scores[name] for name in sorted(scores)}
        results.write_instance_scores(
            (results.scored_frame(name, each) for name, each in scores.items()), self.output_dir / "score.json"
        )
        logger.info("The predicted bitmasks and score.json are in %s", self.output_dir)
        if self.truth is None:
            return self.no_scores()
        matches = {name: match for _, rank in gathered for name, match in rank.items()}
        for name, *pair in self.missing(scores):
            matches[name] = match_instances(*pair, np.zeros(0, np.int64), np.zeros(0), len(self.names))
        matched = MatchedBitmasks(sorted(matches), [matches[name] for name in sorted(matches)])
        return self.report("segm", matched.toolkit_scores(), matched.extra_metrics(), "AP")
