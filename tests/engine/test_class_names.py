"""The classes that weights are for go with them: from a training into evaluation, prediction and the next training."""

import os
import runpy
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from detectron2.config import CfgNode
from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.engine import default_argument_parser
from support.frames import write_image
from support.processes import in_processes, train_net
from support.small_models import SMALL_MODELS

import bdd100k_d2
from bdd100k_d2.engine import launch
from bdd100k_d2.errors import ConfigError, WeightsError, user_message

NAMES = {"own": ["car", "bus", "tram"], "turned": ["bus", "car", "tram"], "others": ["cow", "dog", "horse"]}
PREDICTOR = "roi_heads.box_predictor.cls_score.weight"


def register(root: Path) -> None:
    """Data sets ``own``, ``turned`` and ``others`` of the same two images and boxes, under other names of classes."""
    for i in range(2):
        write_image(root / f"{i}.jpg", 96, 160, seed=i)
    boxes = [{"bbox": [10 + 30 * k, 20, 40 + 30 * k, 70], "bbox_mode": 0, "category_id": k} for k in range(3)]
    records = [
        {"file_name": str(root / f"{i}.jpg"), "image_id": f"{i}.jpg", "height": 96, "width": 160, "annotations": boxes}
        for i in range(2)
    ]
    for name, classes in NAMES.items():
        DatasetCatalog.register(name, lambda: records)
        MetadataCatalog.get(name).set(evaluator_type="bdd100k_det", thing_classes=classes)


def config(out: Path, *keys: object) -> CfgNode:
    cfg = bdd100k_d2.get_config("sample/faster_rcnn_R_18_FPN")
    cfg.merge_from_list(SMALL_MODELS["det"])
    cfg.MODEL.DEVICE, cfg.SOLVER.AMP.ENABLED, cfg.MODEL.WEIGHTS, cfg.OUTPUT_DIR = "cpu", False, "", str(out)
    cfg.MODEL.ROI_HEADS.NUM_CLASSES, cfg.MODEL.ROI_HEADS.SCORE_THRESH_TEST = 3, 0.0
    cfg.INPUT.MIN_SIZE_TRAIN, cfg.INPUT.MIN_SIZE_TEST, cfg.TEST.NUM_PICTURES = (64,), 64, 0
    cfg.SOLVER.IMS_PER_BATCH, cfg.SOLVER.MAX_ITER, cfg.SOLVER.WARMUP_ITERS, cfg.DATALOADER.NUM_WORKERS = 2, 1, 0, 0
    cfg.DATASETS.TRAIN, cfg.DATASETS.TEST = ("own",), ("own",)
    cfg.merge_from_list([*keys])
    return cfg


def sets(name: str) -> tuple[object, ...]:
    return "DATASETS.TRAIN", (name,), "DATASETS.TEST", (name,)


def fail(root: Path, case: str, keys: tuple[object, ...], flags: list[str]) -> None:
    """What tools/train_net.py does in each of two processes, which write down how they end."""
    register(root)
    # What started the processes would otherwise end the other one before it can say anything.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    file = root / f"{case}.yaml"
    file.write_text(config(root / case, *keys).dump())
    main = train_net().main
    args = default_argument_parser().parse_args([*flags, "--config-file", str(file)])
    end = "well"
    try:
        launch.launch(main, args)
    except SystemExit as error:
        end = f"silent {error.code}"
    except Exception as error:
        end = str(user_message(error))
    (root / f"{case}{os.environ['RANK']}").write_text(end)


@pytest.fixture(scope="module")
def registered(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    register(tmp_path_factory.mktemp("images"))
    yield
    for name in (*NAMES, "odd"):
        if name in DatasetCatalog.list():
            DatasetCatalog.remove(name)
            MetadataCatalog.remove(name)


@pytest.fixture(scope="module")
def trained(registered: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a training on ``own``."""
    out = tmp_path_factory.mktemp("trained")
    keys = ("MODEL.EMA.ENABLED", True, "SOLVER.BEST_METRIC", "bbox/AR1", "SOLVER.CHECKPOINT_PERIOD", 1)
    trainer = bdd100k_d2.Trainer(config(out, *keys))
    trainer.train()
    # The model knows its classes too.
    with pytest.raises(ConfigError, match=r"^DATASETS\.TEST: the thing classes of the weights are .* another order"):
        bdd100k_d2.Trainer.test(config(out, "DATASETS.TEST", ("turned",)), trainer.model)
    return out


def test_other_names_of_as_many_classes(trained: Path, tmp_path: Path) -> None:
    for name in ("model_0000000", "model_final", "model_final_ema", "model_best"):
        content = torch.load(trained / f"{name}.pth", weights_only=True)
        assert content["classes"] == {"thing_classes": NAMES["own"]}, name
    weights = ("MODEL.WEIGHTS", str(trained / "model_final.pth"))
    main = runpy.run_path(str(Path(__file__).parents[2] / "tools/train_net.py"))["main"]
    evaluation = default_argument_parser().parse_args(["--eval-only"])
    for name, what in (("turned", "the same ones in another order"), ("others", "others of the same number")):
        message = rf"the thing classes of the weights are not those of the data sets, but {what}"
        cfg = config(tmp_path / name, *weights, *sets(name))
        with pytest.raises(WeightsError, match=message):
            bdd100k_d2.Predictor(cfg)
        with pytest.raises(WeightsError, match=message), pytest.MonkeyPatch.context() as patch:
            patch.setattr(launch, "setup", lambda args, cfg=cfg: cfg)
            main(evaluation)
        # To fine-tune them, all but the last layers is taken.
        trainer = bdd100k_d2.Trainer(cfg)
        before = trainer.model.state_dict()[PREDICTOR].clone()
        trainer.resume_or_load(False)
        theirs, found = torch.load(weights[1], weights_only=True)["model"], trainer.model.state_dict()
        different = {key for key, value in theirs.items() if not torch.equal(value, found[key])}
        assert different >= {PREDICTOR} and all(".box_predictor." in key for key in different)
        assert torch.equal(found[PREDICTOR], before)
        # The run itself does not go on with them.
        trainer = bdd100k_d2.Trainer(config(trained, *sets(name)))
        with pytest.raises(WeightsError, match=rf"{message}.*It is the last checkpoint of the output folder"):
            trainer.resume_or_load(True)


def test_a_model_of_which_metadata_alone_has_names_predicts_under_these(trained: Path, tmp_path: Path) -> None:
    MetadataCatalog.get("named_only").set(evaluator_type="bdd100k_det", thing_classes=NAMES["turned"])
    try:
        cfg = config(tmp_path, "MODEL.WEIGHTS", str(trained / "model_final.pth"), "DATASETS.TEST", ("named_only",))
        with pytest.raises(WeightsError, match="in another order"):
            bdd100k_d2.Predictor(cfg)
    finally:
        MetadataCatalog.remove("named_only")


def test_a_script_that_evaluates_several_sets_looks_for_evaluators_first(registered: None, tmp_path: Path) -> None:
    MetadataCatalog.get("odd").set(evaluator_type="mine", thing_classes=NAMES["own"])
    DatasetCatalog.register("odd", DatasetCatalog["own"])
    asked = []

    class Loading(bdd100k_d2.Trainer):
        @classmethod
        def build_test_loader(cls, cfg: CfgNode, dataset_name: str) -> object:
            asked.append(dataset_name)
            return super().build_test_loader(cfg, dataset_name)

    with pytest.raises(ConfigError, match="no evaluator for odd: of type 'mine'"):
        Loading.test(config(tmp_path, "DATASETS.TEST", ("own", "odd")), None)
    assert asked == []


def test_what_does_not_agree_ends_all_processes_with_one_message(trained: Path, tmp_path: Path) -> None:
    weights = ("MODEL.WEIGHTS", str(trained / "model_final.pth"))
    shutil.copytree(trained, tmp_path / "resumed")
    others = "the thing classes of the weights are not those of the data sets"
    for case, keys, flags, message in (
        ("number", ("MODEL.ROI_HEADS.NUM_CLASSES", 4), [], "MODEL.ROI_HEADS.NUM_CLASSES is 4, but own has 3 classes"),
        ("evaluated", (*sets("turned"), *weights), ["--eval-only"], f"{weights[1]}: {others}"),
        ("resumed", sets("turned"), ["--resume"], f"{tmp_path / 'resumed/model_final.pth'}: {others}"),
    ):
        in_processes(2, fail, tmp_path, case, keys, flags)
        ends = sorted((tmp_path / f"{case}{rank}").read_text() for rank in "01")
        silent, said = sorted(ends, key=lambda end: not end.startswith("silent"))
        assert silent == "silent 1" and said.startswith(message), case
