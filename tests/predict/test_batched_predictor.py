"""Many images are predicted as Detectron2's predictor does one."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from detectron2.config import CfgNode
from detectron2.data import MetadataCatalog
from detectron2.engine import DefaultPredictor
from detectron2.modeling import build_model
from support.frames import write_image

import bdd100k_d2
from bdd100k_d2.engine import precision
from bdd100k_d2.errors import ConfigError, DataError, UnreadableError, WeightsError


@pytest.fixture
def cfg(tmp_path: Path) -> CfgNode:
    """A detector of random weights that finds something, and resizes nothing of 128x96."""
    cfg = bdd100k_d2.get_config("sample/faster_rcnn_R_18_FPN")
    cfg.MODEL.DEVICE, cfg.INPUT.MIN_SIZE_TEST, cfg.INPUT.MAX_SIZE_TEST = "cpu", 96, 128
    cfg.MODEL.ROI_HEADS.SCORE_THRESH_TEST, cfg.TEST.DETECTIONS_PER_IMAGE = 0.0, 20
    torch.manual_seed(0)
    cfg.MODEL.WEIGHTS = str(tmp_path / "weights.pth")
    torch.save({"model": build_model(cfg).state_dict()}, cfg.MODEL.WEIGHTS)
    return cfg


@pytest.fixture
def images(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / f"{i}.jpg" for i in range(5)]
    for i, path in enumerate(paths):
        # The fourth is of another size.
        write_image(path, 96, 128 if i != 3 else 100, seed=i)
    return paths


def assert_close(found: dict, expected: dict) -> None:
    ours, theirs = found["instances"], expected["instances"]
    assert ours.image_size == theirs.image_size and len(ours) == len(theirs) > 0
    torch.testing.assert_close(ours.pred_boxes.tensor, theirs.pred_boxes.tensor, rtol=0, atol=1e-2)
    torch.testing.assert_close(ours.scores, theirs.scores, rtol=0, atol=1e-5)
    assert torch.equal(ours.pred_classes, theirs.pred_classes)


@pytest.mark.parametrize("batch_size", [1, 2, 8])
def test_frame_by_frame_what_detectron2_predicts(cfg: CfgNode, images: list[Path], batch_size: int) -> None:
    theirs = DefaultPredictor(cfg)
    ours = bdd100k_d2.Predictor(cfg, batch_size=batch_size)
    arrays = [cv2.imread(str(path)) for path in images]
    # Paths and arrays together.
    frames = [*images[:3], *arrays[3:]]
    results = list(ours.stream(frames))
    assert len(results) == 5
    for result, frame, array in zip(results, frames, arrays, strict=True):
        assert result.frame is frame
        np.testing.assert_array_equal(result.image, array[..., ::-1])
        assert_close(result.output, theirs(array))
    assert_close(ours(images[3]), theirs(arrays[3]))


def test_segmentation_and_another_order_of_channels(small_cfg: Callable[..., CfgNode], tiny_root: Path) -> None:
    cfg = small_cfg("INPUT.FORMAT", "BGR")
    cfg.MODEL.WEIGHTS = str(tiny_root / "weights.pth")
    torch.save({"model": build_model(cfg).state_dict()}, cfg.MODEL.WEIGHTS)
    paths = sorted((tiny_root / "bdd100k/images/10k/val").iterdir())
    theirs = DefaultPredictor(cfg)
    for result, path in zip(bdd100k_d2.Predictor(cfg, batch_size=2).stream(paths), paths, strict=True):
        expected = theirs(cv2.imread(str(path)))["sem_seg"]
        assert expected.shape[1:] == (720, 1280)
        torch.testing.assert_close(result.output["sem_seg"], expected, rtol=0, atol=1e-4)


def test_without_folded_norms_batches_and_channels_last_it_is_equal(cfg: CfgNode, images: list[Path]) -> None:
    cfg.MODEL.CHANNELS_LAST = False
    found = bdd100k_d2.Predictor(cfg, fold=False)(images[0])["instances"]
    expected = DefaultPredictor(cfg)(cv2.imread(str(images[0])))["instances"]
    assert torch.equal(found.pred_boxes.tensor, expected.pred_boxes.tensor) and torch.equal(
        found.scores, expected.scores
    )


def test_a_slice_of_the_config_has_the_classes_of_its_base(cfg: CfgNode) -> None:
    cfg = cfg.clone()
    base = cfg.DATASETS.TEST[0]
    cfg.DATASETS.SLICES = [{"name": "dark_and_wet", "base": base, "timeofday": "night", "weather": "rainy"}]
    cfg.DATASETS.TEST = ("dark_and_wet",)
    assert bdd100k_d2.Predictor(cfg).metadata.thing_classes == MetadataCatalog.get(base).thing_classes


def test_it_reads_no_further_than_it_has_to(cfg: CfgNode, images: list[Path]) -> None:
    taken = 0

    def endless() -> Iterator[Path]:
        nonlocal taken
        while True:
            taken += 1
            yield images[0]

    stream = bdd100k_d2.Predictor(cfg, batch_size=2).stream(endless())
    for _ in range(6):
        next(stream)
    assert [one for one in threading.enumerate() if one.name.startswith("read_")]
    # Three batches are out, two and a frame a thread are waiting.
    assert 6 <= taken <= 6 + 4 + 8
    stream.close()
    assert not [one for one in threading.enumerate() if one.name.startswith("read_")]


def test_a_frame_that_cannot_be_read(cfg: CfgNode, images: list[Path]) -> None:
    predictor = bdd100k_d2.Predictor(cfg, batch_size=2)
    images[1].write_bytes(b"no image")
    with pytest.raises(UnreadableError, match=r"1\.jpg: the image cannot be read"):
        list(predictor.stream(images))
    failed = []
    results = list(predictor.stream(images, on_error=lambda frame, error: failed.append((frame, str(error)))))
    assert [result.frame for result in results] == [images[0], *images[2:]]
    assert [frame for frame, _ in failed] == [images[1]] and "download it again" in failed[0][1]
    with pytest.raises(DataError, match=r"uint8 array \(H, W, 3\), BGR, not float32 \(4, 5\)"):
        predictor(np.zeros((4, 5), np.float32))


@pytest.mark.parametrize(
    ("frame", "kind", "message"),
    [
        (None, UnreadableError, "a frame is None"),
        (np.empty((0, 0, 3), np.uint8), UnreadableError, r"a frame is an array without pixels, \(0, 0, 3\)"),
        (np.empty(0, np.uint8), DataError, r"uint8 array \(H, W, 3\), BGR, not uint8 \(0,\)"),
        (np.zeros((4, 5, 4), np.uint8), DataError, r"not uint8 \(4, 5, 4\)"),
        (np.zeros((4, 5, 3), np.uint16), DataError, r"not uint16 \(4, 5, 3\)"),
        (7, DataError, "a path or a uint8 array .* not int"),
        (np.zeros((1, 65500, 3), np.uint8), UnreadableError, "a frame: resized as INPUT says, the image is 128x0 pix"),
    ],
)
def test_what_is_no_frame_is_one_that_cannot_be_read(
    cfg: CfgNode, images: list[Path], frame: object, kind: type[DataError], message: str
) -> None:
    predictor, failed = bdd100k_d2.Predictor(cfg, batch_size=2), []
    results = list(predictor.stream([images[0], frame, images[1]], lambda *error: failed.append(error)))
    assert [result.frame for result in results] == images[:2]
    ((given, error),) = failed
    assert given is frame and isinstance(error, kind)
    with pytest.raises(kind, match=message):
        predictor(frame)
    with pytest.raises(kind, match=message):
        list(predictor.stream([images[0], frame, images[1]]))


def test_mixed_precision(cfg: CfgNode, images: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    for fast in (True, False):
        monkeypatch.setattr(precision, "has_fast_bfloat16", lambda fast=fast: fast)
        predictor = bdd100k_d2.Predictor(cfg, amp=True)
        predictor.model.backbone.register_forward_hook(lambda *args: seen.append(args[2]["p2"].dtype))
        predictor(images[0])
    assert seen == [torch.bfloat16, torch.float32]


def test_threads(cfg: CfgNode) -> None:
    before = torch.get_num_threads()
    try:
        bdd100k_d2.Predictor(cfg, threads=before + 1)
        assert torch.get_num_threads() == before + 1
        bdd100k_d2.Predictor(cfg)
        assert torch.get_num_threads() == before + 1
    finally:
        torch.set_num_threads(before)


def test_a_model_that_is_replaced_predicts(cfg: CfgNode, images: list[Path]) -> None:
    """As scripts do with a compiled one."""
    predictor = bdd100k_d2.Predictor(cfg)
    plain, predictor.model = predictor.model, lambda batch: [{"seen": len(batch)}]
    assert predictor(images[0]) == {"seen": 1}
    predictor.model = plain
    assert predictor.model is plain and len(predictor(images[0])["instances"])


def test_weights_and_batches_that_cannot_be(cfg: CfgNode) -> None:
    with pytest.raises(ConfigError, match="batch_size has to be 1 or more"):
        bdd100k_d2.Predictor(cfg, batch_size=0)
    with pytest.raises(ConfigError, match="no weights were published"):
        bdd100k_d2.Predictor("sample/faster_rcnn_R_18_FPN")
    cfg.MODEL.WEIGHTS = ""
    with pytest.raises(WeightsError, match=r"add MODEL\.WEIGHTS"):
        bdd100k_d2.Predictor(cfg)
