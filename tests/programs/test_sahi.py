"""Programs that know nothing of the package, as sahi, read its configs as Detectron2's, and get the same models."""

from pathlib import Path

import numpy as np
import pytest
import torch
from detectron2 import model_zoo
from detectron2.config import CfgNode, get_cfg
from detectron2.data import MetadataCatalog
from detectron2.engine import DefaultPredictor
from detectron2.modeling import build_model
from support.prediction_models import config_file, detector
from support.small_models import SMALL_MODELS

import bdd100k_d2
from bdd100k_d2.config import add_bdd100k_config, config_folder, with_our_keys
from bdd100k_d2.modeling.norms import adapt_sync_norms
from bdd100k_d2.tasks import TASKS


def as_sahi_reads_it(name: str) -> CfgNode:
    """Detectron2's defaults, and whatever keys the file has."""
    cfg = get_cfg()
    cfg.set_new_allowed(True)
    cfg.merge_from_file(str(config_folder() / f"{name}.yaml"))
    return cfg


@pytest.mark.parametrize(
    "name",
    [
        "det/faster_rcnn_R_50_FPN_1x",
        "det/cascade_rcnn_R_50_FPN_1x",
        "det/retinanet_R_50_FPN_1x",
        "ins_seg/mask_rcnn_R_50_FPN_1x",
        "sem_seg/semantic_fpn_R_50_40k",
        "sample/faster_rcnn_R_18_FPN",
    ],
)
@torch.no_grad()
def test_a_config_without_our_defaults_is_the_same_model(name: str) -> None:
    outputs = []
    for cfg in (bdd100k_d2.get_config(name), as_sahi_reads_it(name)):
        cfg.merge_from_list(
            ["MODEL.DEVICE", "cpu", "MODEL.WEIGHTS", "", *SMALL_MODELS["det"], *SMALL_MODELS["sem_seg"]]
        )
        torch.manual_seed(0)
        model = build_model(cfg).eval()
        adapt_sync_norms(model)
        output = model([{"image": torch.arange(3 * 64 * 96).view(3, 64, 96) % 255.0}])[0]
        fields = output["instances"].get_fields() if "instances" in output else output
        outputs.append({key: getattr(value, "tensor", value) for key, value in fields.items()})
    ours, theirs = outputs
    assert ours.keys() == theirs.keys() and ours
    assert all(torch.equal(value, theirs[key]) for key, value in ours.items())


@pytest.mark.parametrize("task", ["det", "ins_seg"])
def test_sahi_loads_a_model_and_predicts_a_tile(task: str, tmp_path: Path) -> None:
    """As it does: a name of Detectron2's zoo or else a file, its own size, classes by the metadata of the train set."""
    made = detector(tmp_path, task)
    made.DATASETS.TRAIN = (f"bdd100k_{task}_train",)
    path, cfg = config_file(made, tmp_path), get_cfg()
    with pytest.raises((RuntimeError, ValueError), match="not available in Model Zoo"):
        model_zoo.get_config_file(str(path.name))
    cfg.set_new_allowed(True)
    cfg.merge_from_file(str(path))
    cfg.MODEL.WEIGHTS, cfg.MODEL.DEVICE = str(tmp_path / f"bdd100k_{task}_val.pth"), "cpu"
    cfg.INPUT.MIN_SIZE_TEST = cfg.INPUT.MAX_SIZE_TEST = 64
    predictor = DefaultPredictor(cfg)
    assert predictor.input_format == "RGB"
    names = MetadataCatalog.get(cfg.DATASETS.TRAIN[0]).thing_classes
    tile = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
    found = predictor(tile)["instances"].to("cpu")
    assert found.image_size == (48, 64) and len(found) == 12
    assert tuple(names) == TASKS[task].names and int(found.pred_classes.max()) < len(names)
    assert found.has("pred_masks") == (task == "ins_seg")
    # What it takes of each object.
    for box, score in zip(found.pred_boxes.tensor.tolist(), found.scores.tolist(), strict=True):
        assert 0 <= box[0] < box[2] <= 64 and 0 <= box[1] < box[3] <= 48 and 0 < score <= 1


def test_a_config_that_has_our_keys_is_taken_as_it_is() -> None:
    cfg = get_cfg()
    complete = with_our_keys(cfg)
    assert complete is not cfg and not complete.MODEL.CLIP_DELTAS_BELOW
    cfg.MODEL.RPN.NMS_THRESH = 0.5
    assert with_our_keys(cfg).MODEL.RPN.NMS_THRESH == 0.5 and "TIMM" not in cfg.MODEL
    add_bdd100k_config(cfg)
    assert with_our_keys(cfg) is cfg
