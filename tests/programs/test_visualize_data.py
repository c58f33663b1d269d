"""Detectron2's ``tools/visualize_data.py`` on our data sets: annotations, and what its own loader makes of them."""

from collections.abc import Iterable
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from detectron2.config import CfgNode, get_cfg
from detectron2.data import DatasetCatalog, MetadataCatalog, build_detection_train_loader
from detectron2.data import detection_utils as utils
from detectron2.utils.visualizer import Visualizer

import bdd100k_d2
from bdd100k_d2.config import config_folder

# Of pan_seg there is no recipe: any config serves.
CONFIGS = {
    "det": "det/faster_rcnn_R_50_FPN_1x",
    "ins_seg": "ins_seg/mask_rcnn_R_50_FPN_1x",
    "sem_seg": "sem_seg/semantic_fpn_R_50_40k",
    "drivable": "drivable/semantic_fpn_R_50_40k",
    "pan_seg": "ins_seg/mask_rcnn_R_50_FPN_1x",
}


def set_up(task: str) -> CfgNode:
    """The config as the program reads it, with the one line that it needs."""
    cfg = get_cfg()
    bdd100k_d2.add_bdd100k_config(cfg)
    cfg.merge_from_file(str(config_folder() / f"{CONFIGS[task]}.yaml"))
    cfg.merge_from_list(["DATASETS.TRAIN", (f"bdd100k_{task}_train",), "SOLVER.IMS_PER_BATCH", 2])
    cfg.merge_from_list(["INPUT.MIN_SIZE_TRAIN", (96,), "INPUT.MAX_SIZE_TRAIN", 171, "INPUT.CROP.ENABLED", False])
    cfg.DATALOADER.NUM_WORKERS = 0
    cfg.freeze()
    return cfg


def changed(drawn: Iterable[tuple[np.ndarray, np.ndarray]]) -> list[int]:
    """How many pixels are drawn on, of each image."""
    pairs = [*drawn]
    assert all(image.shape == picture.shape for image, picture in pairs)
    return [int((image != picture).any(axis=2).sum()) for image, picture in pairs]


@pytest.mark.usefixtures("root")
@pytest.mark.parametrize("task", CONFIGS)
def test_annotations(task: str) -> None:
    cfg, drawn = set_up(task), []
    metadata = MetadataCatalog.get(cfg.DATASETS.TRAIN[0])
    for record in DatasetCatalog.get(cfg.DATASETS.TRAIN[0]):
        image = utils.read_image(record["file_name"], "RGB")
        drawn.append((image, Visualizer(image, metadata=metadata).draw_dataset_dict(record).get_image()))
    counts = changed(drawn)
    # The third frame of det has no label.
    assert len(counts) == 3 and all(count > 500 for count in counts[: 2 if task == "det" else 3])


@pytest.mark.usefixtures("root")
@pytest.mark.parametrize("task", ["det", "ins_seg", "pan_seg"])
def test_the_loader(task: str) -> None:
    cfg, drawn = set_up(task), []
    metadata = MetadataCatalog.get(cfg.DATASETS.TRAIN[0])
    for batch in islice(build_detection_train_loader(cfg), 2):
        for one in batch:
            image = utils.convert_image_to_rgb(one["image"].permute(1, 2, 0).numpy(), cfg.INPUT.FORMAT)
            fields = one["instances"].get_fields()
            labels = [metadata.thing_classes[i] for i in fields["gt_classes"]]
            visualizer = Visualizer(image, metadata=metadata)
            masks = fields.get("gt_masks")
            picture = visualizer.overlay_instances(labels=labels, boxes=fields["gt_boxes"], masks=masks)
            drawn.append((image, picture.get_image()))
            assert isinstance(one["image_id"], str) and Path(one["image_id"]).suffix == ".jpg"
    assert all(count > 200 for count in changed(drawn)) and len(drawn) == 4
