"""Detectron2 evaluators around the official metrics, one a task, chosen by a dataset's ``evaluator_type``."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
from detectron2.config import CfgNode
from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.evaluation import DatasetEvaluator
from detectron2.utils import comm

from ..data.categories import names
from ..data.labels import read_frames
from ..data.masks import check_mask, read_mask
from ..errors import ConfigError, DataError
from . import results
from .boxes import detection_columns, ground_truth_columns
from .metrics.detection import detection_scores
from .metrics.segmentation import SegmentationScores, confusion_matrix, segmentation_scores, without_background

logger = logging.getLogger(__name__)

Inputs = list[dict[str, Any]]
Scores = dict[str, dict[str, float]]


def build_evaluator(cfg: CfgNode, dataset_name: str) -> DatasetEvaluator:
    """The evaluator of a registered dataset.

    It writes into ``OUTPUT_DIR/inference``, or with several test sets into a folder of the dataset's name there.

    Raises:
        ConfigError: the dataset is not one of BDD100K's.
    """
    kind = MetadataCatalog.get(dataset_name).get("evaluator_type", None)
    if kind not in EVALUATORS:
        raise ConfigError(f"no evaluator for {dataset_name} of type {kind!r}; there are {', '.join(EVALUATORS)}.")
    folder = Path(cfg.OUTPUT_DIR) / "inference"
    return EVALUATORS[kind](dataset_name, folder / dataset_name if len(cfg.DATASETS.TEST) > 1 else folder)


def _remove_old_results(folder: Path) -> None:
    """Removes what an earlier evaluation, perhaps of another split, left in ``folder``."""
    if comm.is_main_process():
        for path in (folder / "det.json", folder / "scores.json", *(folder / "masks").glob("*.png")):
            path.unlink(missing_ok=True)
    # No rank writes before the old files are gone.
    comm.synchronize()


class BDD100KDetEvaluator(DatasetEvaluator):
    """Writes ``det.json`` and, where the dataset has labels, ``scores.json`` with COCO's twelve scores."""

    def __init__(self, dataset_name: str, output_dir: Path) -> None:
        """Takes a registered detection dataset and the folder to write into."""
        self.dataset_name = dataset_name
        self.output_dir = output_dir
        self.names = names("det")
        self._predictions: list[tuple[str, np.ndarray, np.ndarray, np.ndarray]] = []

    def reset(self) -> None:
        """Forgets all predictions and removes the files of an earlier evaluation."""
        _remove_old_results(self.output_dir)
        self._predictions = []

    def process(self, inputs: Inputs, outputs: Inputs) -> None:
        """Keeps the ``instances`` of each picture, whose boxes are in pixels of the original picture."""
        for one, output in zip(inputs, outputs, strict=True):
            instances = output["instances"].to("cpu")
            self._predictions.append(
                (
                    one["image_id"],
                    instances.pred_boxes.tensor.numpy().astype(np.float64),
                    instances.scores.numpy().astype(np.float64),
                    instances.pred_classes.numpy(),
                )
            )

    def evaluate(self) -> Scores | None:
        """Gathers, writes and scores.

        Returns:
            On the main process ``{"bbox": {...}}`` in percent: the twelve scores, "AP-<class>" for each class; empty
            for a dataset without labels. None elsewhere.
        """
        gathered = comm.gather(self._predictions)
        if not comm.is_main_process():
            return None
        frames, count = [], 0
        for name, boxes, scores, classes in sorted(
            (one for rank in gathered for one in rank), key=lambda prediction: prediction[0]
        ):
            frames.append(results.detection_frame(name, boxes, scores, classes, self.names, first_id=count))
            count += len(scores)
        path = self.output_dir / "det.json"
        results.write_detections(frames, path)
        logger.info("%d detections in %d frames are in %s", count, len(frames), path)
        labels = MetadataCatalog.get(self.dataset_name).label_path
        if labels is None:
            logger.info("%s has no public labels: no scores.", self.dataset_name)
            return {}
        truth = read_frames(labels)
        frame_names = sorted(frame.name for frame in truth)
        official = results.official_detection(
            detection_scores(
                ground_truth_columns(truth, frame_names),
                detection_columns(frames, frame_names),
                len(frame_names),
                len(self.names),
            ),
            self.names,
        )
        results.write_scores(official, self.output_dir / "scores.json")
        logger.info("Official scores of %s:\n%s", self.dataset_name, results.table(official))
        per_class = {f"AP-{name}": value for name, value in official["AP"][0].items()}
        return {"bbox": results.summary(official) | per_class}


class BDD100KSemSegEvaluator(DatasetEvaluator):
    """Writes a mask a picture into ``masks/`` and, where the dataset has labels, ``scores.json``."""

    task = "sem_seg"

    def __init__(self, dataset_name: str, output_dir: Path) -> None:
        """Takes a registered segmentation dataset and the folder to write into."""
        self.dataset_name = dataset_name
        self.output_dir = output_dir
        self.names = names(self.task)
        self.has_labels = MetadataCatalog.get(dataset_name).label_path is not None
        self.truth = (
            {one["image_id"]: one["sem_seg_file_name"] for one in DatasetCatalog.get(dataset_name)}
            if self.has_labels
            else {}
        )
        self._matrix = np.zeros((len(self.names), len(self.names) + 1), np.int64)

    def reset(self) -> None:
        """Forgets all predictions and removes the files of an earlier evaluation."""
        _remove_old_results(self.output_dir)
        self._matrix = np.zeros((len(self.names), len(self.names) + 1), np.int64)

    def process(self, inputs: Inputs, outputs: Inputs) -> None:
        """Writes and counts the ``sem_seg`` logits (K, H, W) of each picture, at the original size.

        Raises:
            DataError: the ground truth is unreadable, has another size, or an id that is no class.
            OutputError: the mask cannot be written.
        """
        for one, output in zip(inputs, outputs, strict=True):
            prediction = output["sem_seg"].argmax(dim=0).cpu().numpy().astype(np.uint8)
            results.write_mask(prediction, results.mask_path(self.output_dir / "masks", one["image_id"]))
            if not self.has_labels:
                continue
            path = self.truth[one["image_id"]]
            truth = check_mask(read_mask(path), len(self.names), path)
            if truth.shape != prediction.shape:
                raise DataError(
                    f"{path}: the mask is {truth.shape[1]}x{truth.shape[0]}, the prediction "
                    f"{prediction.shape[1]}x{prediction.shape[0]}; download or write the mask again."
                )
            self._matrix += confusion_matrix(truth, prediction, len(self.names))

    def evaluate(self) -> Scores | None:
        """Gathers and scores.

        Returns:
            On the main process ``{task: {...}}`` in percent: "mIoU", "mAcc" (the mean precision, as officially),
            "mRecall", "fIoU", "pAcc", and "IoU-<class>" for each class; empty for a dataset without labels. None
            elsewhere.
        """
        gathered = comm.gather(self._matrix)
        if not comm.is_main_process():
            return None
        logger.info("The predicted masks are in %s", self.output_dir / "masks")
        if not self.has_labels:
            logger.info("%s has no public labels: no scores.", self.dataset_name)
            return {}
        matrix = np.sum(gathered, axis=0)
        scores = segmentation_scores(self.official_matrix(matrix))
        official = results.official_segmentation(scores, self.names[: len(scores.iou)])
        results.write_scores(official, self.output_dir / "scores.json")
        logger.info("Official scores of %s:\n%s", self.dataset_name, results.table(official))
        per_class = {f"IoU-{name}": value for name, value in official["IoU"][0].items()}
        extra = {"mRecall": scores.mean(scores.recall)} | self.further_scores(matrix)
        return {self.task: results.summary(official) | extra | per_class}

    def official_matrix(self, matrix: np.ndarray) -> np.ndarray:
        """The part of the confusion matrix (K, K + 1) that the official scores count."""
        return matrix

    def further_scores(self, matrix: np.ndarray) -> dict[str, float]:
        """Scores beside the official ones."""
        return {}


class BDD100KDrivableEvaluator(BDD100KSemSegEvaluator):
    """As for sem_seg; the official scores leave out the pixels that are background in the ground truth.

    Painting all of the background as drivable costs nothing officially, so "mIoU-strict" counts it as a class as well.
    """

    task = "drivable"

    def official_matrix(self, matrix: np.ndarray) -> np.ndarray:
        """Rows of direct and alternative only, as in the toolkit's ``evaluate_drivable``."""
        return without_background(matrix)

    def further_scores(self, matrix: np.ndarray) -> dict[str, float]:
        """The mean IoU over direct, alternative and background."""
        strict: SegmentationScores = segmentation_scores(matrix)
        return {"mIoU-strict": strict.mean(strict.iou)}


EVALUATORS: dict[str, type[DatasetEvaluator]] = {
    "bdd100k_det": BDD100KDetEvaluator,
    "bdd100k_sem_seg": BDD100KSemSegEvaluator,
    "bdd100k_drivable": BDD100KDrivableEvaluator,
}
