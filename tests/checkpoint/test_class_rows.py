"""Weights for other classes: the rows of the last layers go to the classes of the same names."""

import logging
import pickle
from pathlib import Path

import pytest
import torch
from detectron2.config import CfgNode
from detectron2.modeling import build_model
from detectron2.structures import Boxes, Instances
from detectron2.utils.events import EventStorage
from torch import nn

import bdd100k_d2
from bdd100k_d2.checkpoint.class_rows import take_rows_by_name
from bdd100k_d2.checkpoint.loading import load_weights
from bdd100k_d2.errors import ConfigError, WeightsError
from bdd100k_d2.tasks import TASKS

OURS = {"thing_classes": TASKS["det"].names}
COCO = "coco_2017_train"


def config(name: str, classes: int) -> CfgNode:
    cfg = bdd100k_d2.get_config(name)
    cfg.MODEL.DEVICE = "cpu"
    cfg.MODEL.ROI_HEADS.NUM_CLASSES = cfg.MODEL.RETINANET.NUM_CLASSES = cfg.MODEL.SEM_SEG_HEAD.NUM_CLASSES = classes
    return cfg


def build(name: str, classes: int, seed: int) -> nn.Module:
    torch.manual_seed(seed)
    model = build_model(config(name, classes))
    for parameter in model.parameters():
        if parameter.ndim == 1:
            nn.init.normal_(parameter)
    return model


def saved(model: nn.Module, path: Path, classes: list[str] | None = None) -> str:
    content = {"model": model.state_dict()}
    torch.save(content | ({"classes": {"thing_classes": classes}} if classes else {}), path)
    return str(path)


@pytest.fixture(scope="module")
def coco(tmp_path_factory: pytest.TempPathFactory) -> tuple[nn.Module, str]:
    """A detector of COCO's 80 classes, and its file, which does not name them."""
    model = build("det/faster_rcnn_R_50_FPN_1x", 80, seed=0)
    return model, saved(model, tmp_path_factory.mktemp("coco") / "coco.pth")


# Of pedestrian, rider, car, truck, bus, train, motorcycle, bicycle, traffic light and sign: the places among COCO's.
PLACES = [0, None, 2, 7, 5, 6, 3, 1, 9, 11]


def check_rows(ours: nn.Module, theirs: nn.Module, initial: dict[str, torch.Tensor] | None) -> None:
    new, old = ours.state_dict(), theirs.state_dict()
    head = "roi_heads.box_predictor."
    for i, place in enumerate(PLACES):
        for end in ("weight", "bias"):
            scores, boxes = new[f"{head}cls_score.{end}"][i], new[f"{head}bbox_pred.{end}"][4 * i : 4 * i + 4]
            if place is not None:
                assert torch.equal(scores, old[f"{head}cls_score.{end}"][place])
                assert torch.equal(boxes, old[f"{head}bbox_pred.{end}"][4 * place : 4 * place + 4])
            elif initial is None:
                assert (scores == (-1e4 if end == "bias" else 0)).all() and (boxes == 0).all()
            else:
                assert torch.equal(scores, initial[f"{head}cls_score.{end}"][i])
    assert torch.equal(new[f"{head}cls_score.bias"][10], old[f"{head}cls_score.bias"][80])
    assert torch.equal(new["roi_heads.box_head.fc1.weight"], old["roi_heads.box_head.fc1.weight"])


def test_a_detector_of_coco_goes_on_to_learn(coco: tuple[nn.Module, str], caplog: pytest.LogCaptureFixture) -> None:
    model = build("det/faster_rcnn_R_50_FPN_1x", 10, seed=1)
    initial = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with caplog.at_level(logging.INFO, "bdd100k_d2"):
        load_weights(model, coco[1], classes=OURS, trained_for=COCO)
    check_rows(model, coco[0], initial)
    assert "| pedestrian    | person              |" in caplog.text
    assert "| rider         | as initialised      |" in caplog.text
    assert "| traffic sign  | stop sign           |" in caplog.text
    instances = Instances((64, 64), gt_boxes=Boxes(torch.tensor([[2.0, 2, 40, 40]])), gt_classes=torch.tensor([1]))
    with EventStorage():
        losses = model.train()([{"image": torch.zeros(3, 64, 64), "instances": instances}])
    assert all(loss.isfinite() for loss in losses.values())


def test_a_detector_of_coco_predicts_without_training(
    coco: tuple[nn.Module, str], caplog: pytest.LogCaptureFixture
) -> None:
    model = build("det/faster_rcnn_R_50_FPN_1x", 10, seed=1)
    with caplog.at_level(logging.INFO, "bdd100k_d2"):
        load_weights(model, coco[1], exact=True, classes=OURS, trained_for=COCO)
    check_rows(model, coco[0], None)
    assert "| rider         | never predicted     |" in caplog.text
    image = torch.randint(0, 256, (3, 64, 96), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    # What COCO's model finds of these classes, this one finds too; COCO's others are background or nothing here.
    features = torch.randn(5, 1024)
    ours = model.roi_heads.box_predictor.cls_score(features).softmax(dim=1)
    assert (ours[:, 1] == 0).all()
    theirs = coco[0].roi_heads.box_predictor.cls_score(features)
    kept = [*(place for place in PLACES if place is not None), 80]
    assert torch.allclose(ours[:, [0, *range(2, 11)]], theirs[:, kept].softmax(dim=1), atol=1e-6)
    assert "instances" in model.eval()([{"image": image}])[0]


@pytest.mark.parametrize("exact", [False, True])
def test_pickled_arrays_as_detectron2_publishes_them(coco: tuple[nn.Module, str], tmp_path: Path, exact: bool) -> None:
    arrays = {name: tensor.numpy() for name, tensor in coco[0].state_dict().items()}
    (tmp_path / "coco.pkl").write_bytes(pickle.dumps({"model": arrays, "__author__": "Detectron2 Model Zoo"}))
    model = build("det/faster_rcnn_R_50_FPN_coco", 10, seed=1)
    initial = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    load_weights(model, str(tmp_path / "coco.pkl"), exact=exact, classes=OURS, trained_for=COCO)
    check_rows(model, coco[0], None if exact else initial)


def test_names_in_a_file_go_before_the_key(tmp_path: Path) -> None:
    # A config that trained from nameless weights keeps the key; the run's own files name their classes.
    theirs = build("det/faster_rcnn_R_50_FPN_1x", 3, seed=0)
    path, names = (
        saved(theirs, tmp_path / "own.pth", ["car", "truck", "bus"]),
        {"thing_classes": ["car", "truck", "bus"]},
    )
    for key in ("bus,car,truck", COCO):
        model = build("det/faster_rcnn_R_50_FPN_1x", 3, seed=1)
        load_weights(model, path, exact=True, classes=names, trained_for=key)
        scores = "roi_heads.box_predictor.cls_score.weight"
        assert torch.equal(model.state_dict()[scores], theirs.state_dict()[scores])
    with pytest.raises(WeightsError, match="the same ones in another order"):
        turned = {"thing_classes": ["bus", "car", "truck"]}
        load_weights(model, path, exact=True, classes=turned, trained_for="bus,car,truck")


def test_weights_of_unknown_classes_are_refused_as_before(coco: tuple[nn.Module, str]) -> None:
    model = build("det/faster_rcnn_R_50_FPN_1x", 10, seed=1)
    with pytest.raises(WeightsError, match="they have 80 classes, the model 10"):
        load_weights(model, coco[1], exact=True, classes=OURS)
    with pytest.raises(
        ConfigError, match="MODEL.WEIGHTS_CLASSES a, b: 2 names, but .*coco.pth has 80 classes; give those"
    ):
        load_weights(model, coco[1], exact=True, classes=OURS, trained_for="a, b")


def test_names_that_weights_state_are_enough_to_learn(tmp_path: Path) -> None:
    theirs = build("det/retinanet_R_50_FPN_1x", 3, seed=0)
    path = saved(theirs, tmp_path / "three.pth", ["tram", "Car", "person"])
    model = build("det/retinanet_R_50_FPN_1x", 10, seed=1)
    initial = model.head.cls_score.weight.detach().clone().view(9, 10, -1)
    load_weights(model, path, classes=OURS)
    new, old = model.head.cls_score.weight.view(9, 10, -1), theirs.head.cls_score.weight.view(9, 3, -1)
    # Pedestrian and car, of each of nine anchors.
    assert torch.equal(new[:, 0], old[:, 2]) and torch.equal(new[:, 2], old[:, 1])
    assert torch.equal(new[:, [1, *range(3, 10)]], initial[:, [1, *range(3, 10)]])
    with pytest.raises(WeightsError, match="thing classes of the weights are not those of the data sets|3 classes"):
        load_weights(model, path, exact=True, classes=OURS)


def test_masks_and_segmenters_take_rows_too() -> None:
    state = {
        "roi_heads.box_predictor.0.cls_score.weight": torch.arange(3.0)[:, None],
        "roi_heads.box_predictor.0.bbox_pred.weight": torch.arange(4.0)[:, None],
        "roi_heads.mask_head.predictor.weight": torch.tensor([5.0, 6.0]).view(2, 1, 1, 1),
    }
    initial = {
        "roi_heads.box_predictor.0.cls_score.weight": torch.full((4, 1), 9.0),
        "roi_heads.box_predictor.0.bbox_pred.weight": torch.full((4, 1), 9.0),
        "roi_heads.mask_head.predictor.weight": torch.full((3, 1, 1, 1), 9.0),
    }
    theirs, ours = {"thing_classes": ["a", "b"]}, {"thing_classes": ["b", "c", "a"]}
    assert take_rows_by_name(state, initial, theirs, ours, "w", switch_off=False) == ["thing_classes"]
    scores, boxes, masks = (tensor.flatten().tolist() for tensor in state.values())
    # The boxes are for all classes together.
    assert (scores, boxes, masks) == ([1, 9, 0, 2], [0, 1, 2, 3], [6, 9, 5])
    state = {"sem_seg_head.conv_seg.bias": torch.tensor([1.0, 2.0]), "sem_seg_head.conv_seg.weight": torch.ones(2, 1)}
    initial = {name: torch.zeros(3, *tensor.shape[1:]) for name, tensor in state.items()}
    stuff = {"stuff_classes": ["road", "sky"]}, {"stuff_classes": ["sky", "wall", "road"]}
    assert take_rows_by_name(state, initial, *stuff, "w", switch_off=True) == ["stuff_classes"]
    assert state["sem_seg_head.conv_seg.bias"].tolist() == [2, -1e4, 1]
    assert take_rows_by_name(state, initial, {"stuff_classes": ["x"]}, stuff[1], "w", switch_off=True) == []


def test_pointrend_keeps_no_rows(tmp_path: Path) -> None:
    theirs = build("sem_seg/pointrend_R_50_40k", 3, seed=0)
    torch.save({"model": theirs.state_dict()}, tmp_path / "points.pth")
    path, ours = str(tmp_path / "points.pth"), {"stuff_classes": ["a", "c", "b"]}
    model = build("sem_seg/pointrend_R_50_40k", 3, seed=1)
    with pytest.raises(WeightsError, match="the stuff classes of the weights are not those of the data sets"):
        load_weights(model, path, exact=True, classes=ours, trained_for="a, b, c")
    before = model.sem_seg_head.point_head.fc1.weight.detach().clone()
    load_weights(model, path, classes=ours, trained_for="a, b, c")
    assert torch.equal(model.sem_seg_head.point_head.fc1.weight, before)
