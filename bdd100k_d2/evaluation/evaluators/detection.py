"""The evaluator of detections."""

import logging

import numpy as np
from detectron2.utils import comm

from ...data.labels import write_frames
from ...tasks import TASKS
from .. import prediction_files
from ..boxes import Boxes, join_boxes
from ..files.detection import match_boxes
from .base import DatasetScores, OfficialEvaluator, Records

logger = logging.getLogger(__name__)


class BDD100KDetEvaluator(OfficialEvaluator):
    """Writes ``det.json`` and scores with COCO's twelve scores."""

    task = "det"

    def _forget(self) -> None:
        self._predictions: list[Boxes] = []

    def process(self, inputs: Records, outputs: Records) -> None:
        """Keeps the ``instances`` of each image, whose boxes are in pixels of the original image."""
        for one, output in zip(inputs, outputs, strict=True):
            corners, classes, scores = prediction_files.object_columns(output["instances"])
            frames = np.zeros(len(corners), np.int64)
            self._predictions.append(Boxes([one["image_id"]], frames, classes, corners, scores))

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
        path = self.output_dir / TASKS[self.task].results[0]
        write_frames(prediction_files.detection_frames(boxes, self.names), path)
        logger.info("%d detections in %d frames are in %s", len(boxes.frame), len(boxes.names), path)
        if self.label_path is None:
            return self.no_scores()
        matched = match_boxes(self.label_path, boxes, path, self.frames)
        return self.report("bbox", matched.toolkit_scores(), matched.extra_metrics(), "AP")
