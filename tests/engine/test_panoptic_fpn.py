"""Panoptic FPN trains on panoptic labels in each form, is scored by the panoptic quality, and predicts bitmasks."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from detectron2.config import CfgNode
from detectron2.modeling import build_model
from pycocotools.mask import encode
from support.commands import run_tool
from support.frames import write_image
from support.small_models import SMALL_MODELS

import bdd100k_d2
from bdd100k_d2.config import config_names
from bdd100k_d2.data.bitmasks import Bitmask, encode_bitmask, read_bitmask
from bdd100k_d2.data.labels import RLE, Frame, ImageSize, Label, write_frames
from bdd100k_d2.data.loader import build_train_loader
from bdd100k_d2.data.register import register_all
from bdd100k_d2.drawing.dataset_images import write_loader_images
from bdd100k_d2.evaluation.prediction_files import write_mask
from bdd100k_d2.tasks import TASKS

HEIGHT, WIDTH = 96, 160
NAMES = TASKS["pan_seg"].names
CONFIGS = [name for name in config_names() if name.startswith("pan_seg/")]


pytestmark = pytest.mark.usefixtures("catalogs_as_they_were")


def bitmask() -> Bitmask:
    """Road and sky, two cars and a person; a strip is unlabelled."""
    instances = np.ones((HEIGHT, WIDTH), np.int32)
    instances[:40], instances[90:] = 2, 0
    instances[50:80, 20:60], instances[45:70, 90:130], instances[50:85, 70:80] = 3, 4, 5
    ids, classes = np.array([7, 30, 31, 32, 33]), ["road", "sky", "car", "car", "person"]
    return Bitmask(instances, ids, np.array([1 + NAMES.index(name) for name in classes]), np.zeros(5, np.uint8))


def frame(name: str) -> Frame:
    """The same in run lengths, the road in two labels."""
    found, labels = bitmask(), []
    for i, category in enumerate(found.categories.tolist(), 1):
        pixels = found.instances == i
        parts = [pixels & (np.arange(WIDTH) < 50), pixels & (np.arange(WIDTH) >= 50)] if i == 1 else [pixels]
        for part in parts:
            rle = encode(np.asfortranarray(part.astype(np.uint8)))
            mask = RLE(rle["counts"].decode(), tuple(rle["size"]))
            labels.append(Label(str(len(labels)), NAMES[category - 1], rle=mask))
    return Frame(name, labels=labels, size=ImageSize(WIDTH, HEIGHT))


def write_official(root: Path, form: str) -> None:
    for split in ("train", "val", "test"):
        names = [f"{split}{i}.jpg" for i in range(2)]
        for i, name in enumerate(names):
            write_image(root / "bdd100k/images/10k" / split / name, HEIGHT, WIDTH, seed=i)
        labels = root / "bdd100k/labels/pan_seg"
        if split == "test":
            continue
        if form == "rles":
            (labels / "rles").mkdir(parents=True, exist_ok=True)
            write_frames([frame(name) for name in names], labels / f"rles/pan_seg_{split}.json")
            continue
        for name in names:
            write_mask(encode_bitmask(bitmask()), labels / "bitmasks" / split / name.replace(".jpg", ".png"))
    register_all(root)


def small(name: str, out: Path, *keys: object) -> CfgNode:
    cfg = bdd100k_d2.get_config(name)
    cfg.merge_from_list(
        ["MODEL.DEVICE", "cpu", "SOLVER.AMP.ENABLED", False, "MODEL.WEIGHTS", "", "OUTPUT_DIR", str(out)]
    )
    cfg.merge_from_list([*SMALL_MODELS["det"], "MODEL.FPN.OUT_CHANNELS", 32, "MODEL.BACKBONE.FREEZE_AT", 0])
    cfg.merge_from_list(["MODEL.SEM_SEG_HEAD.CONVS_DIM", 32, "MODEL.ROI_MASK_HEAD.CONV_DIM", 8])
    cfg.INPUT.MIN_SIZE_TRAIN, cfg.INPUT.MIN_SIZE_TEST, cfg.TEST.NUM_PICTURES = (64,), 64, 1
    cfg.SOLVER.IMS_PER_BATCH, cfg.SOLVER.MAX_ITER, cfg.SOLVER.WARMUP_ITERS, cfg.DATALOADER.NUM_WORKERS = 2, 1, 0, 0
    cfg.SOLVER.REFERENCE_WORLD_SIZE, cfg.SOLVER.STEPS, cfg.SOLVER.CHECKPOINT_PERIOD, cfg.TEST.EVAL_PERIOD = 0, (), 9, 1
    cfg.merge_from_list([*keys])
    return cfg


LOSSES = {"loss_rpn_cls", "loss_rpn_loc", "loss_cls", "loss_box_reg", "loss_mask", "loss_sem_seg"}


def trained(cfg: CfgNode) -> dict[str, float]:
    """Trains one iteration, and returns the last scores, with the losses of the training."""
    bdd100k_d2.Trainer(cfg).train()
    lines = [json.loads(line) for line in Path(cfg.OUTPUT_DIR, "metrics.json").read_text().splitlines()]
    found = {key: value for line in lines for key, value in line.items()}
    assert found.keys() >= LOSSES and all(np.isfinite(found[key]) for key in LOSSES)
    return found


@pytest.mark.parametrize("name", CONFIGS)
def test_each_config_takes_a_step(tmp_path: Path, name: str) -> None:
    write_official(tmp_path / "root", "bitmasks")
    torch.manual_seed(0)
    cfg = small(name, tmp_path / "out")
    model = build_model(cfg).train()
    from detectron2.utils.events import EventStorage

    with EventStorage():
        losses = model(next(iter(build_train_loader(cfg, 0))))
    assert losses.keys() == LOSSES
    sum(losses.values()).backward()
    grads = {key: value.grad for key, value in model.named_parameters() if value.requires_grad}
    assert all(grad is not None and torch.isfinite(grad).all() for grad in grads.values())


@pytest.mark.parametrize("form", ["bitmasks", "rles"])
def test_from_official_labels_to_a_submission(tmp_path: Path, form: str) -> None:
    """Training with its evaluation, evaluation of the saved weights, prediction, pictures, and what is handed in."""
    write_official(tmp_path / "root", form)
    keys = ("MODEL.ROI_HEADS.SCORE_THRESH_TEST", 0.0, "TEST.DETECTIONS_PER_IMAGE", 9, "TEST.VAL_LOSS.PERIOD", 1)
    cfg = small(CONFIGS[0], tmp_path / "out", *keys)
    scores = trained(cfg)
    assert np.isfinite(scores["val_loss/loss_sem_seg"])
    assert 0 <= scores["panoptic_seg/PQ"] <= 100 and scores["panoptic_seg/N"] >= 4
    cfg.MODEL.WEIGHTS = str(tmp_path / "out/model_final.pth")
    predictor = bdd100k_d2.Predictor(cfg)
    again = bdd100k_d2.Trainer.test(cfg, predictor.model)["panoptic_seg"]
    assert again["PQ"] == pytest.approx(scores["panoptic_seg/PQ"])
    (tmp_path / "config.yaml").write_text(cfg.dump())
    arguments = ("--input", tmp_path / "root/bdd100k/images/10k/test", "--output", tmp_path / "predicted", "--overlay")
    ran = run_tool("predict", "--config-file", tmp_path / "config.yaml", *arguments)
    assert ran.returncode == 0, ran.stderr
    files = sorted((tmp_path / "predicted").rglob("bitmasks/*.png"))
    assert [file.stem for file in files] == ["test0", "test1"]
    for file in files:
        found = read_bitmask(file)
        assert found.instances.shape == (HEIGHT, WIDTH)
        # Stuff has its category's id; things count on from 31.
        stuff = found.categories <= 30
        assert (found.ids[stuff] == found.categories[stuff]).all() and (found.ids[~stuff] > 30).all()
    (drawn, _) = write_loader_images(cfg, tmp_path / "drawn", limit=2)
    assert drawn.is_file()


def test_own_classes_in_run_lengths(tmp_path: Path) -> None:
    """A COCO file of a thing and two kinds of stuff of one's own."""
    for i in range(2):
        write_image(tmp_path / f"images/{i}.jpg", HEIGHT, WIDTH, seed=i)
    names = {7: "lawn", 30: "heaven", 35: "tram", 31: "tram"}
    classes = ["lawn", "heaven", "tram"]
    found = bitmask()
    document = {"categories": [{"id": i, "name": name} for i, name in enumerate(classes, 1)]}
    document["images"] = [{"id": i, "file_name": f"{i}.jpg", "height": HEIGHT, "width": WIDTH} for i in range(2)]
    document["annotations"] = [
        {
            "id": 10 * i + k,
            "image_id": i,
            "category_id": 1 + classes.index(names[category]),
            "segmentation": {
                "size": [HEIGHT, WIDTH],
                "counts": encode(np.asfortranarray((found.instances == k).astype(np.uint8)))["counts"].decode(),
            },
            "iscrowd": 0,
        }
        for i in range(2)
        for k, category in enumerate(found.categories.tolist(), 1)
    ]
    (tmp_path / "coco.json").write_text(json.dumps(document))
    bdd100k_d2.register_dataset("parks", tmp_path / "coco.json", tmp_path / "images", task="pan_seg", things=["tram"])
    keys = ("MODEL.ROI_HEADS.NUM_CLASSES", 1, "MODEL.SEM_SEG_HEAD.NUM_CLASSES", 3)
    cfg = small(CONFIGS[0], tmp_path / "out", *keys)
    cfg.DATASETS.TRAIN = cfg.DATASETS.TEST = ("parks",)
    scores = trained(cfg)
    assert {key for key in scores if "PQ-" in key} == {f"panoptic_seg/PQ-{name}" for name in classes}
    (sample, _) = next(iter(build_train_loader(cfg, 0)))
    assert set(sample["sem_seg"].unique().tolist()) == {0, 1, 2, 255}
    assert len(sample["instances"]) == 3
