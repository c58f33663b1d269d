"""The evaluator of panoptic segmentation."""

import logging
from pathlib import Path

from detectron2.data import MetadataCatalog
from detectron2.utils import comm

from .. import results
from ..files.panoptic import MatchedSegments
from ..metrics.panoptic import PanopticCounts, bitmask_counts
from .base import Inputs, Scores
from .bitmasks import BitmaskEvaluator

logger = logging.getLogger(__name__)


class BDD100KPanSegEvaluator(BitmaskEvaluator):
    """Writes ``bitmasks/`` and scores them with the panoptic quality."""

    task = "pan_seg"
    submission = ("bitmasks",)

    def __init__(self, dataset_name: str, output_dir: Path) -> None:
        """Takes a registered dataset of panoptic segmentation and the folder to write into."""
        super().__init__(dataset_name, output_dir)
        metadata = MetadataCatalog.get(dataset_name)
        self._thing_ids = {k: i for i, k in metadata.thing_dataset_id_to_contiguous_id.items()}
        self._stuff_ids = {k: i for i, k in metadata.stuff_dataset_id_to_contiguous_id.items()}
        self._counts: dict[str, PanopticCounts] = {}

    def reset(self) -> None:
        """Forgets all predictions and removes the files of an earlier evaluation."""
        super().reset()
        self._counts = {}

    def process(self, inputs: Inputs, outputs: Inputs) -> None:
        """Writes and counts the ``panoptic_seg`` of each image: (H, W) segment ids, and what the segments are.

        Raises:
            DataError: the ground truth is missing or unreadable, or has another size.
            OutputError: the bitmask cannot be written.
        """
        for one, output in zip(inputs, outputs, strict=True):
            name = one["image_id"]
            segments, infos = output["panoptic_seg"]
            pixels = results.panoptic_bitmask(
                segments.cpu().numpy(), {info["id"]: self._class_of(info) for info in infos}
            )
            pair = self.write(pixels, name)
            if pair is not None:
                self._counts[name] = bitmask_counts(*pair, len(self.names))

    def _class_of(self, info: dict) -> int:
        """The index into the class names of a segment, whose ``category_id`` counts things and stuff apart."""
        ids = self._thing_ids if info["isthing"] else self._stuff_ids
        return ids[info["category_id"]] - 1

    def evaluate(self) -> Scores | None:
        """Gathers and scores.

        Returns:
            On the main process ``{"panoptic_seg": {...}}``: "PQ", "SQ", "RQ" in percent and "N", each also for "/STUFF"
            and "/THING", and "PQ-<class>" for each class; empty for a dataset without labels. None elsewhere.
        """
        gathered = comm.gather(self._counts)
        if not comm.is_main_process():
            return None
        logger.info("The predicted bitmasks are in %s", self.output_dir / "bitmasks")
        if self.truth is None:
            return self.no_scores()
        counts = {name: each for rank in gathered for name, each in rank.items()}
        for name, *pair in self.missing(counts):
            counts[name] = bitmask_counts(*pair, len(self.names))
        matched = MatchedSegments(sorted(counts), [counts[name] for name in sorted(counts)], "N")
        return self.report("panoptic_seg", matched.toolkit_scores(), matched.extra_metrics(), "PQ")
