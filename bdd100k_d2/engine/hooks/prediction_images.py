"""Predictions drawn on a few test images, for TensorBoard and Weights & Biases."""

import logging
from typing import Any

import cv2
import numpy as np
import torch
from detectron2.config import CfgNode
from detectron2.data import Metadata, MetadataCatalog
from detectron2.utils import comm
from detectron2.utils.events import get_event_storage
from torch import nn

from ...data.images import load_image
from ...data.mapper import BDD100KDatasetMapper
from ...data.randomness import Purpose, drawing
from ...drawing.overlay import (
    MIN_SCORE,
    Classes,
    Objects,
    classes_of_segments,
    draw_classes,
    draw_objects,
    draw_segments,
    panoptic_classes,
    stack_masks,
    stuff_classes,
    thing_classes,
)
from ...evaluation.prediction_files import object_columns
from .evaluation import fixed_subset

logger = logging.getLogger(__name__)

_WIDTH = 640


class PredictionImages:
    """Draws what the model sees in ``TEST.NUM_PICTURES`` images of the first test set, always the same.

    Boxes and instances below a score of 0.3 are left out; images wider than 640 pixels are made smaller. The main
    process works alone, on the model without a wrapper. The data is read at the first call. Names and colours are those
    of the data set; without names for the classes of the model nothing is drawn, which a warning says once.
    """

    def __init__(self, cfg: CfgNode, model: nn.Module) -> None:
        self._cfg = cfg
        self._model = model
        self._records: list[dict[str, Any]] | None = None

    def __call__(self) -> None:
        """Puts the images into the storage as ``predictions/<number>_<name>``."""
        if not comm.is_main_process():
            return
        if self._records is None:
            names = self._cfg.DATASETS.TEST
            self._records = fixed_subset(names, self._cfg.TEST.NUM_PICTURES, "TEST.NUM_PICTURES")
        metadata = MetadataCatalog.get(self._cfg.DATASETS.TEST[0])
        mapper = BDD100KDatasetMapper(self._cfg, is_train=False)
        training = self._model.training
        self._model.eval()
        try:
            # Detectron2's resize draws one of its sizes even where there is but one.
            with torch.no_grad(), drawing(0, Purpose.AUGMENTATION):
                for number, record in enumerate(self._records):
                    (output,) = self._model([mapper(record)])
                    image = draw_prediction(load_image(record["file_name"], "RGB"), output, metadata)
                    if image is None:
                        self._records = []
                        reason = "the metadata does not name the classes that the model gives"
                        logger.warning("TEST.NUM_PICTURES: none of %s are drawn, because %s.", metadata.name, reason)
                        return
                    name = f"predictions/{number}_{record['file_name'].rsplit('/', 1)[-1]}"
                    get_event_storage().put_image(name, _small(image).transpose(2, 0, 1))
        finally:
            self._model.train(training)


def draw_prediction(image: np.ndarray, output: dict[str, Any], metadata: Metadata) -> np.ndarray | None:
    """Draws an output of a model on a copy of ``image``, (H, W, 3) uint8, RGB; None if classes have no names.

    ``output`` has "panoptic_seg", "instances" or "sem_seg" at the image's size, as Detectron2's models give them;
    ``metadata`` has the names of the classes, and maybe colours.
    """
    things, stuff = thing_classes(metadata), stuff_classes(metadata)
    if "panoptic_seg" in output:
        segments, infos = output["panoptic_seg"]
        if not all(_has_name(info["category_id"], things if info["isthing"] else stuff) for info in infos):
            return None
        class_of = classes_of_segments(infos, metadata)
        return draw_segments(image, segments.cpu().numpy(), class_of, panoptic_classes(metadata))[0]
    if "instances" in output:
        instances = output["instances"].to("cpu")
        instances = instances[instances.scores >= MIN_SCORE]
        corners, classes, scores = object_columns(instances)
        if not _has_name(classes.max(initial=0), things):
            return None
        masks = instances.has("pred_masks")
        owners = stack_masks(instances.pred_masks.numpy(), corners, scores) if masks else None
        return draw_objects(image, Objects(corners, classes, scores, owners), things)
    if len(output["sem_seg"]) != len(stuff.names):
        return None
    ids = output["sem_seg"].argmax(dim=0).to("cpu", torch.uint8).numpy()
    return draw_classes(image, ids, stuff)


def _has_name(index: int, classes: Classes) -> bool:
    return index < len(classes.names)


def _small(image: np.ndarray) -> np.ndarray:
    height, width = image.shape[:2]
    if width <= _WIDTH:
        return image
    return cv2.resize(image, (_WIDTH, round(height * _WIDTH / width)), interpolation=cv2.INTER_AREA)
