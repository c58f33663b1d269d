"""The evaluator of detections."""

import logging
import os
from pathlib import Path

import numpy as np
from detectron2.utils import comm

from ...data.labels import write_frames
from .. import prediction_files
from ..boxes import Boxes, LabelFlags, join_boxes
from ..files.detection import MatchedBoxes, match_boxes
from ..files.matched_frames import match_frames
from ..metrics.coco_scores import METRICS
from ..toolkit_format import official_detection
from .base import DatasetScores, OfficialEvaluator, Records, as_result
from .coco_results import write_boxes
from .records import box_truth, frame_name

logger = logging.getLogger(__name__)


class BDD100KDetEvaluator(OfficialEvaluator):
    """Writes ``det.json`` and scores with COCO's twelve scores."""

    task_name = "det"

    def __init__(self, dataset_name: str, output_dir: str | os.PathLike[str] | None = None) -> None:
        super().__init__(dataset_name, output_dir)
        if self.records is not None and self.is_scored:
            self._truth = box_truth(self.records, dataset_name, self.task)

    def _forget(self) -> None:
        self._predictions: list[Boxes] = []

    def process(self, inputs: Records, outputs: Records) -> None:
        """Keeps the ``instances`` of each image, whose boxes are in pixels of the original image.

        It raises the error of :meth:`check_predicted`.
        """
        for one, output in zip(inputs, outputs, strict=True):
            self.check_predicted(output["instances"], frame_name(one))
            corners, classes, scores = prediction_files.object_columns(output["instances"])
            frames = np.zeros(len(corners), np.int64)
            self._predictions.append(Boxes([frame_name(one)], frames, classes, corners, scores))

    def evaluate(self) -> DatasetScores | None:
        """Gathers, writes and scores.

        Returns:
            On the main process ``{"bbox": {...}}`` in percent: the twelve scores, "AP-<class>" for each class; empty
            for a dataset without labels. None elsewhere.
        """
        gathered = comm.gather(join_boxes(self._predictions))
        if not comm.is_main_process():
            return None
        boxes = join_boxes(gathered).sorted()
        self.check_any(boxes.names)
        path = Path(f"predictions for {self.dataset_name}")
        if self.output_dir is not None:
            path = self.output_dir / "det.json"
            write_frames(prediction_files.detection_frames(boxes, self.names), path)
            logger.info("%d detections in %d frames are in %s", len(boxes.frame), len(boxes.names), path)
            if self.with_coco_results:
                write_boxes(self, boxes, self.output_dir)
        if not self.is_scored:
            return self.no_scores(boxes.names)
        matched = self._matched(boxes, path)
        return self.report("bbox", matched.toolkit_scores(), matched.extra_metrics(), "AP")

    def scores_of_nothing(self) -> DatasetScores:
        """As `OfficialEvaluator` says."""
        nothing = {metric: np.full(len(self.names) + 1, np.nan) for metric in METRICS}
        return as_result("bbox", official_detection(nothing, self.names), {}, "AP")

    def _matched(self, boxes: Boxes, path: Path) -> MatchedBoxes:
        if self.label_path is not None:
            return match_boxes(self.label_path, boxes, path, self.frames, self.task)
        names, truth = self._truth
        match_frames(names, boxes.names, self.source, path)
        unsaid = np.full(len(truth.crowd), -1, np.int8)
        flags = LabelFlags(truth.crowd, unsaid, unsaid)
        return MatchedBoxes(names=names, truth=truth, flags=flags, detections=boxes.detections(names), task=self.task)
