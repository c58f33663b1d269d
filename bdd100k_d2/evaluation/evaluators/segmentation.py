"""The evaluators of semantic masks: sem_seg and drivable."""

import logging
import os
from pathlib import Path

import numpy as np
import torch
from detectron2.data import MetadataCatalog
from detectron2.utils import comm

from ...data.categories import IGNORE_LABEL
from ...data.masks import check_mask, list_masks, read_mask
from ...errors import DataError
from .. import prediction_files
from ..files.matched_frames import match_frames
from ..metrics.segmentation import confusion_matrix
from ..toolkit_format import extra_segmentation_metrics, official_segmentation
from .base import DatasetScores, OfficialEvaluator, Records
from .records import frame_name, frame_stem, mask_files

logger = logging.getLogger(__name__)


class BDD100KSemSegEvaluator(OfficialEvaluator):
    """Writes one mask per image into ``masks/`` and scores their pixels."""

    task_name = "sem_seg"

    def __init__(self, dataset_name: str, output_dir: str | os.PathLike[str] | None = None) -> None:
        super().__init__(dataset_name, output_dir)
        self._ignored = MetadataCatalog.get(dataset_name).get("ignore_label", IGNORE_LABEL)
        if self.records is not None:
            self.truth = mask_files(self.records, dataset_name)
        else:
            self.truth = {} if self.label_path is None else list_masks(self.label_path, below=True)
        if self.frames is not None:
            self.truth = {stem: path for stem, path in self.truth.items() if stem in self.frames}

    def _forget(self) -> None:
        self._matrix = torch.zeros(len(self.names), len(self.names) + 1, dtype=torch.int64)
        self._names: list[str] = []

    def process(self, inputs: Records, outputs: Records) -> None:
        """Writes and counts the ``sem_seg`` logits (K, H, W) of each image, at the original size.

        Raises:
            ConfigError: as :meth:`check_predicted`.
            DataError: the ground truth is unreadable, has another size, or an id that is no class.
            OutputError: the mask cannot be written.
        """
        for one, output in zip(inputs, outputs, strict=True):
            self.check_predicted(output["sem_seg"], frame_name(one))
            prediction = output["sem_seg"].argmax(dim=0).to(torch.uint8)
            stem = frame_stem(frame_name(one))
            self._names.append(stem)
            if stem in self.truth:
                path = self.truth[stem]
                truth = self._read(path)
                if truth.shape != prediction.shape:
                    raise DataError(
                        f"{path}: the mask is {truth.shape[1]}x{truth.shape[0]}, the prediction "
                        f"{prediction.shape[1]}x{prediction.shape[0]}; download or write the mask again."
                    )
                # The sum stays where the predictions are, so that a GPU is not waited for.
                self._matrix = self._matrix.to(prediction.device) + count_pixels(truth, prediction, len(self.names))
            if self.output_dir is not None:
                path = prediction_files.mask_path(self.output_dir / "masks", stem)
                prediction_files.write_mask(prediction.cpu().numpy(), path)

    def evaluate(self) -> DatasetScores | None:
        """Gathers and scores.

        Returns:
            On the main process ``{task: {...}}`` in percent: "mIoU", "mAcc" (the mean precision, as officially),
            "mRecall", "fIoU", "pAcc", for drivable "mIoU-strict", and "IoU-<class>" for each class; empty for a dataset
            without labels. None elsewhere.
        """
        gathered = comm.gather((self._matrix.cpu().numpy(), self._names))
        if not comm.is_main_process():
            return None
        folder = f"predictions for {self.dataset_name}" if self.output_dir is None else self.output_dir / "masks"
        if self.output_dir is not None:
            logger.info("The predicted masks are in %s", folder)
        predicted = {name for _, names in gathered for name in names}
        if not self.is_scored:
            return self.no_scores(predicted)
        frames = match_frames(self.truth, predicted, self.source, folder)
        # Officially, a mask without a prediction is one of no class; two of the released masks have no image.
        missing = [self.truth[name] for name in frames if name not in predicted]
        matrix = np.sum([counts for counts, _ in gathered] + [self._missed(path) for path in missing], axis=0)
        official, extra = official_segmentation(self.task, matrix), extra_segmentation_metrics(self.task, matrix)
        return self.report(self.task.name, official, extra, "IoU")

    def _read(self, path: Path) -> np.ndarray:
        """A mask of ground truth; its pixels of the data set's ``ignore_label`` are not scored."""
        mask = read_mask(path)
        if self._ignored != IGNORE_LABEL:
            mask = np.where(mask == self._ignored, np.uint8(IGNORE_LABEL), mask)
        return check_mask(mask, len(self.names), path)

    def _missed(self, path: Path) -> np.ndarray:
        truth = self._read(path)
        return confusion_matrix(truth, np.full_like(truth, IGNORE_LABEL), len(self.names))


class BDD100KDrivableEvaluator(BDD100KSemSegEvaluator):
    """As for sem_seg; the official scores leave out the pixels that are background in the ground truth.

    Painting all of the background as drivable costs nothing officially, so "mIoU-strict" counts it as a class as well.
    """

    task_name = "drivable"


def count_pixels(truth: np.ndarray, prediction: torch.Tensor, num_classes: int) -> torch.Tensor:
    """The confusion matrix (K, K + 1) int64 of two masks (H, W) uint8, on the device of the prediction."""
    if prediction.device.type == "cpu":
        # Several times as fast as PyTorch's histogram.
        return torch.from_numpy(confusion_matrix(truth, prediction.numpy(), num_classes))
    return histogram_on_device(truth, prediction, num_classes)


def histogram_on_device(truth: np.ndarray, prediction: torch.Tensor, num_classes: int) -> torch.Tensor:
    """What :func:`count_pixels` does where the prediction is not on the CPU."""
    true = torch.from_numpy(truth.astype(np.int64)).to(prediction.device)
    pairs = true * (num_classes + 1) + prediction.clamp(max=num_classes)
    counts = torch.bincount(pairs[true < num_classes], minlength=num_classes * (num_classes + 1))
    return counts.reshape(num_classes, num_classes + 1)
