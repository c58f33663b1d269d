"""``TEST.AUG``: merged predictions against ones that are computed here, one image at a time."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from detectron2.config import CfgNode
from detectron2.modeling import GeneralizedRCNNWithTTA, SemanticSegmentor, build_model
from detectron2.modeling.postprocessing import detector_postprocess
from detectron2.structures import Boxes, Instances
from PIL import Image
from support.frames import write_image
from support.prediction_models import detector, saved
from support.small_models import SMALL_MODELS
from torch import Tensor, nn

import bdd100k_d2
from bdd100k_d2.engine.test_time_augmentation import augmented_in_tests
from bdd100k_d2.errors import ConfigError
from bdd100k_d2.predict.predictor import Predictor

Make = Callable[..., CfgNode]
SIZE = (96, 160)


def aug(cfg: CfgNode, sizes: tuple[int, ...], flip: bool) -> CfgNode:
    cfg = cfg.clone()
    cfg.TEST.AUG.ENABLED, cfg.TEST.AUG.MIN_SIZES, cfg.TEST.AUG.FLIP = True, sizes, flip
    return cfg


@pytest.fixture
def image(tmp_path: Path) -> np.ndarray:
    write_image(tmp_path / "a.png", *SIZE, seed=3)
    return cv2.imread(str(tmp_path / "a.png"))


def other_detector(name: str) -> CfgNode:
    """A detector of another head with random weights, in which scores differ."""
    cfg = bdd100k_d2.get_config(name)
    cfg.merge_from_list(
        [*SMALL_MODELS["det"], "MODEL.DEVICE", "cpu", "MODEL.WEIGHTS", "", "TEST.DETECTIONS_PER_IMAGE", 30]
    )
    cfg.MODEL.ROI_HEADS.SCORE_THRESH_TEST = cfg.MODEL.RETINANET.SCORE_THRESH_TEST = 0.0
    cfg.MODEL.RPN.POST_NMS_TOPK_TEST, cfg.MODEL.RETINANET.TOPK_CANDIDATES_TEST = 40, 40
    cfg.INPUT.MIN_SIZE_TEST, cfg.INPUT.MAX_SIZE_TEST = min(SIZE), max(SIZE)
    return cfg


def built(cfg: CfgNode) -> nn.Module:
    torch.manual_seed(0)
    return build_model(cfg).eval()


CASCADE, RETINANET = "det/cascade_rcnn_R_50_FPN_1x", "det/retinanet_R_50_FPN_1x"
FASTER = "det/faster_rcnn_R_50_FPN_1x"


def predictions(cfg: CfgNode, model: nn.Module, image: np.ndarray) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Boxes in the image, scores and classes of each size, as it is and flipped, by the model alone."""
    rgb = image[..., ::-1] if cfg.INPUT.FORMAT == "RGB" else image
    found = []
    for size in cfg.TEST.AUG.MIN_SIZES:
        width = round(size * SIZE[1] / SIZE[0])
        resized = cv2.resize(np.ascontiguousarray(rgb), (width, size), interpolation=cv2.INTER_LINEAR)
        for flip in (False, True)[: 1 + cfg.TEST.AUG.FLIP]:
            pixels = resized[:, ::-1] if flip else resized
            tensor = torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))
            with torch.no_grad():
                one = model([{"image": tensor}])[0]["instances"]
            boxes = one.pred_boxes.tensor.double().numpy()
            if flip:
                boxes = np.stack([width - boxes[:, 2], boxes[:, 1], width - boxes[:, 0], boxes[:, 3]], axis=1)
            boxes = boxes * np.tile([SIZE[1] / width, SIZE[0] / size], 2)
            found.append((boxes, one.scores.numpy(), one.pred_classes.numpy()))
    return found


def merged(
    found: list[tuple[np.ndarray, np.ndarray, np.ndarray]], threshold: float, most: int, has_one: bool
) -> np.ndarray:
    """Greedy NMS class by class, or one, over all of them: rows of box, score and class, best first."""
    rows = np.concatenate([np.column_stack(one) for one in found])
    rows = rows[np.argsort(-rows[:, 4], kind="stable")]
    kept: list[np.ndarray] = []
    for row in rows:
        for other in kept:
            if other[5] != row[5] and not has_one:
                continue
            sides = np.minimum(other[2:4], row[2:4]) - np.maximum(other[:2], row[:2])
            common = np.prod(np.maximum(sides, 0))
            areas = sum(np.prod(one[2:4] - one[:2]) for one in (other, row))
            if common / (areas - common) > threshold:
                break
        else:
            kept.append(row)
    return np.array(kept[:most])


def rows_of(instances: Instances) -> np.ndarray:
    return np.column_stack([instances.pred_boxes.tensor, instances.scores, instances.pred_classes])


@pytest.mark.parametrize("name", [CASCADE, RETINANET, FASTER, "one NMS of all classes"])
def test_two_sizes_and_flips_are_the_union_merged_by_nms(name: str, image: np.ndarray) -> None:
    has_one = name == "one NMS of all classes"
    cfg = aug(other_detector(FASTER if has_one else name), (96, 128), flip=True)
    cfg.MODEL.ROI_HEADS.CLASS_AGNOSTIC_NMS = has_one
    model = built(cfg)
    rgb = torch.from_numpy(np.ascontiguousarray(image[..., ::-1].transpose(2, 0, 1)))
    with torch.no_grad():
        found = augmented_in_tests(cfg, model)([{"image": rgb, "height": SIZE[0], "width": SIZE[1]}])[0]["instances"]
    threshold = (cfg.MODEL.RETINANET if "retinanet" in name else cfg.MODEL.ROI_HEADS).NMS_THRESH_TEST
    parts = predictions(cfg, model, image)
    expected = merged(parts, threshold, 30, has_one)
    assert found.image_size == SIZE and len(parts) == 4 and len(expected) == (len(found) if has_one else 30)
    np.testing.assert_allclose(rows_of(found), expected, atol=2e-3)
    assert sum(np.isin(part[1], expected[:, 4].astype(np.float32)).any() for part in parts) > 1


def test_one_size_and_its_flip_are_detectron2s(image: np.ndarray) -> None:
    """Which resizes with smoothing, and puts images of several sizes in a batch."""
    cfg = aug(other_detector(CASCADE), (128,), flip=True)
    cfg.INPUT.RESIZE_ANTIALIAS = True
    model = built(cfg)
    inputs = [{"image": torch.from_numpy(image.transpose(2, 0, 1).copy()), "height": SIZE[0], "width": SIZE[1]}]
    with torch.no_grad():
        found = augmented_in_tests(cfg, model)(inputs)[0]["instances"]
        stock = GeneralizedRCNNWithTTA(cfg, model)(inputs)[0]["instances"]
    assert len(found) == 30
    np.testing.assert_array_equal(rows_of(found), rows_of(stock))


@pytest.mark.parametrize("name", [CASCADE, RETINANET])
def test_the_plain_size_alone_is_the_plain_prediction(name: str, image: np.ndarray) -> None:
    cfg = other_detector(name)
    model = built(cfg)
    rgb = {"image": torch.from_numpy(np.ascontiguousarray(image[..., ::-1].transpose(2, 0, 1)))}
    with torch.no_grad():
        plain = model([{**rgb, "height": SIZE[0], "width": SIZE[1]}])[0]["instances"]
        found = augmented_in_tests(aug(cfg, (96,), flip=False), model)([rgb])[0]["instances"]
    np.testing.assert_array_equal(rows_of(found), rows_of(plain))


def test_masks_are_averaged(tmp_path: Path, image: np.ndarray) -> None:
    cfg = detector(tmp_path, "ins_seg")
    plain = Predictor(cfg)(image)["instances"]
    same = Predictor(aug(cfg, (96,), flip=False))(image)["instances"]
    assert len(plain) == len(same) == 12 and torch.equal(plain.pred_masks, same.pred_masks)
    np.testing.assert_array_equal(rows_of(same), rows_of(plain))
    found = Predictor(aug(cfg, (96,), flip=True))(image)["instances"]
    model = Predictor(cfg).model
    rgb = torch.from_numpy(
        np.ascontiguousarray((image[..., ::-1] if cfg.INPUT.FORMAT == "RGB" else image).transpose(2, 0, 1))
    )
    boxes = found.pred_boxes.tensor
    flipped = torch.stack([160 - boxes[:, 2], boxes[:, 1], 160 - boxes[:, 0], boxes[:, 3]], dim=1)
    masks = []
    for pixels, where in ((rgb, boxes), (rgb.flip(-1), flipped)):
        given = Instances(SIZE, pred_boxes=Boxes(where), pred_classes=found.pred_classes, scores=found.scores)
        with torch.no_grad():
            masks.append(model.inference([{"image": pixels}], [given], do_postprocess=False)[0].pred_masks)
    expected = Instances(SIZE, pred_boxes=Boxes(boxes.clone()), pred_masks=(masks[0] + masks[1].flip(-1)) / 2)
    assert torch.equal(found.pred_masks, detector_postprocess(expected, *SIZE).pred_masks)
    assert not torch.equal(found.pred_masks, plain.pred_masks)


@pytest.mark.parametrize("antialias", [True, False])
def test_probabilities_of_a_segmenter_are_averaged(
    small_cfg: Make, tmp_path: Path, image: np.ndarray, antialias: bool
) -> None:
    cfg = saved(small_cfg("DATASETS.TEST", ("bdd100k_sem_seg_val",)), tmp_path)
    cfg.INPUT.MIN_SIZE_TEST, cfg.INPUT.MAX_SIZE_TEST = min(SIZE), max(SIZE)
    cfg.INPUT.RESIZE_ANTIALIAS = antialias
    found = Predictor(aug(cfg, (96, 144), flip=True))(image)["sem_seg"]
    model = Predictor(cfg).model
    rgb = np.ascontiguousarray(image[..., ::-1] if cfg.INPUT.FORMAT == "RGB" else image)
    total = 0
    for height, width in ((96, 160), (144, 240)):
        if antialias:
            resized = np.asarray(Image.fromarray(rgb).resize((width, height), Image.Resampling.BILINEAR))
        else:
            resized = cv2.resize(rgb, (width, height), interpolation=cv2.INTER_LINEAR)
        for flip in (1, -1):
            tensor = torch.from_numpy(np.ascontiguousarray(resized[:, ::flip].transpose(2, 0, 1)))
            with torch.no_grad():
                logits = model([{"image": tensor, "height": SIZE[0], "width": SIZE[1]}])[0]["sem_seg"].numpy()
            powers = np.exp(logits.astype(np.float64))
            total = total + (powers / powers.sum(axis=0))[..., ::flip]
    np.testing.assert_allclose(found.exp().numpy(), total / 4, atol=1e-6)
    np.testing.assert_array_equal(found.argmax(0).numpy(), total.argmax(0))


class Pixelwise(SemanticSegmentor):
    """Of each pixel alone: flipping changes nothing, and one class is impossible."""

    def __init__(self) -> None:
        nn.Module.__init__(self)

    def forward(self, batched_inputs: list[dict[str, Any]]) -> list[dict[str, Tensor]]:
        images = [one["image"].float() / 50 for one in batched_inputs]
        return [{"sem_seg": torch.cat([one, torch.full_like(one[:1], -1e4)])} for one in images]


def test_flipping_alone_changes_nothing_for_a_model_that_is_symmetric(small_cfg: Make, image: np.ndarray) -> None:
    inputs = [{"image": torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))}] * 2
    model = Pixelwise()
    found = augmented_in_tests(aug(small_cfg(), (96,), flip=True), model)(inputs)
    for one, plain in zip(found, model(inputs), strict=True):
        probabilities = plain["sem_seg"].softmax(0)
        torch.testing.assert_close(one["sem_seg"].exp(), probabilities, atol=1e-6, rtol=0)
        assert torch.isfinite(one["sem_seg"]).all()


def test_the_longer_side_is_bounded(small_cfg: Make, image: np.ndarray) -> None:
    cfg = aug(small_cfg("TEST.AUG.MAX_SIZE", 80), (96, 400), flip=False)
    shapes = []
    model = Pixelwise()
    model.forward = lambda inputs: shapes.append(inputs[0]["image"].shape) or [{"sem_seg": torch.zeros(2, 96, 160)}]
    augmented_in_tests(cfg, model)([{"image": torch.from_numpy(image.transpose(2, 0, 1).copy())}])
    assert shapes == [(3, 48, 80)] * 2


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (
            ["MODEL.META_ARCHITECTURE", "PanopticFPN"],
            r"TEST\.AUG\.ENABLED is True, but predictions of PanopticFPN are not",
        ),
        (["MODEL.KEYPOINT_ON", True], r"predictions of keypoints are not merged: .*; set it False"),
        (["MODEL.META_ARCHITECTURE", "ProposalNetwork"], r"predictions of ProposalNetwork are not merged"),
        (["TEST.AUG.MIN_SIZES", ()], r"TEST\.AUG\.MIN_SIZES is \(\) and MAX_SIZE 4000; give lengths"),
        (["TEST.AUG.MIN_SIZES", (0,)], r"TEST\.AUG\.MIN_SIZES is \(0,\)"),
        (["TEST.AUG.MAX_SIZE", 0], r"MAX_SIZE 0; give lengths"),
    ],
)
def test_what_cannot_be_merged_is_refused_before_weights_are_read(keys: list[object], message: str) -> None:
    cfg = aug(other_detector("ins_seg/mask_rcnn_R_50_FPN_1x"), (96,), flip=True)
    cfg.merge_from_list(["MODEL.ROI_MASK_HEAD.CONV_DIM", 8, "MODEL.SEM_SEG_HEAD.NORM", "", *keys])
    cfg.DATASETS.TEST, cfg.MODEL.WEIGHTS = (), "missing.pth"
    with pytest.raises(ConfigError, match=message):
        Predictor(cfg)
    with pytest.raises(ConfigError, match=message):
        bdd100k_d2.Trainer.build_model(cfg)


def test_an_evaluation_has_both_scores(tiny_root: Path, tmp_path: Path) -> None:
    bdd100k_d2.register_all(tiny_root)
    cfg = aug(detector(tmp_path / "weights"), (96, 120), flip=True)
    cfg.OUTPUT_DIR, cfg.DATALOADER.NUM_WORKERS = str(tmp_path / "out"), 0
    model = bdd100k_d2.Trainer.build_model(cfg)
    results = bdd100k_d2.Trainer.test_with_TTA(cfg, model)
    assert set(results) == {"bbox_TTA"} and "AP" in results["bbox_TTA"]
    written = json.loads((tmp_path / "out/TTA/inference/scores.json").read_text())
    assert written["AP"] and not (tmp_path / "out/inference").exists()
    assert str(tmp_path / "out") == cfg.OUTPUT_DIR and cfg.INPUT.MIN_SIZE_TEST == 96
