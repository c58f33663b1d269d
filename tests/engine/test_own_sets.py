"""The data sets of a config are there in scripts that start a trainer themselves."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from detectron2.config import CfgNode
from detectron2.data import DatasetCatalog, MetadataCatalog
from support.small_models import SMALL_MODELS

import bdd100k_d2
from bdd100k_d2.engine import own_sets
from bdd100k_d2.engine.trainer import Trainer


@pytest.fixture
def cfg(tiny_root: Path, tmp_path: Path) -> Iterator[CfgNode]:
    bdd100k_d2.register_all(tiny_root)
    cfg = bdd100k_d2.get_config("sample/faster_rcnn_R_18_FPN")
    cfg.merge_from_list(SMALL_MODELS["det"])
    cfg.MODEL.DEVICE, cfg.SOLVER.AMP.ENABLED, cfg.MODEL.WEIGHTS = "cpu", False, ""
    cfg.SOLVER.IMS_PER_BATCH, cfg.DATALOADER.NUM_WORKERS, cfg.OUTPUT_DIR = 2, 0, str(tmp_path)
    base = tiny_root / "bdd100k"
    cfg.DATASETS.OWN = [
        {
            "name": "own",
            "labels": str(base / "labels/det_20/det_{split}.json"),
            "images": str(base / "images/100k/{split}"),
        }
    ]
    cfg.DATASETS.SLICES = [{"name": "own_first", "base": "own_val", "first": 1}]
    cfg.DATASETS.TRAIN, cfg.DATASETS.TEST = ("own_train",), ("own_first",)
    known = set(DatasetCatalog.list())
    own_sets._described = None
    yield cfg
    for name in set(DatasetCatalog.list()) - known:
        DatasetCatalog.remove(name)
        MetadataCatalog.remove(name)


def test_a_trainer_registers_the_sets_of_its_config(cfg: CfgNode) -> None:
    assert "own_train" not in DatasetCatalog.list()
    trainer = Trainer(cfg)
    assert len(DatasetCatalog.get("own_first")) == 1
    # What the script changes after that is what is evaluated.
    records = DatasetCatalog.get("own_val")
    DatasetCatalog.remove("own_val")
    DatasetCatalog.register("own_val", lambda: records[1:])
    assert [one["image_id"] for one in Trainer.build_test_loader(cfg, "own_first").dataset] == ["val1.jpg"]
    assert trainer.cfg.DATASETS.TEST == ("own_first",)


def test_loaders_register_the_sets_of_their_config(cfg: CfgNode) -> None:
    assert len(Trainer.build_test_loader(cfg, "own_first").dataset) == 1
    DatasetCatalog.remove("own_train")
    MetadataCatalog.remove("own_train")
    assert Trainer.build_train_loader(cfg) is not None and "own_train" in DatasetCatalog.list()


def test_another_config_has_its_own_sets_of_the_same_name(cfg: CfgNode) -> None:
    own_sets.register_sets(cfg)
    other = cfg.clone()
    other.DATASETS.SLICES[0]["first"] = 2
    own_sets.register_sets(other)
    assert len(DatasetCatalog.get("own_first")) == 2
    own_sets.register_sets(cfg)
    assert len(DatasetCatalog.get("own_first")) == 1
