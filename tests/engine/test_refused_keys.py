"""Each config key of Detectron2 is read, or is refused where it asks for something."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from detectron2.config import CfgNode, get_cfg
from detectron2.modeling import build_model
from support.small_models import SMALL_MODELS

import bdd100k_d2
from bdd100k_d2.config import all_keys
from bdd100k_d2.data.augmentation import build_augmentation
from bdd100k_d2.engine.refused_keys import REFUSED, refuse_ignored_keys
from bdd100k_d2.errors import ConfigError

Make = Callable[..., CfgNode]

# Keys that no training of the test below reads, and who does. Others are read there, or in `REFUSED`.
ELSEWHERE = {
    "CUDNN_BENCHMARK": "Detectron2's default_setup, which `setup` calls, and PyTorch",
    "FLOAT32_PRECISION": "the same, in later versions of Detectron2",
    "GLOBAL.HACK": "the user's own code alone",
    "DATASETS.PRECOMPUTED_PROPOSAL_TOPK_TRAIN": "MODEL.LOAD_PROPOSALS, which is refused",
    "DATASETS.PRECOMPUTED_PROPOSAL_TOPK_TEST": "MODEL.LOAD_PROPOSALS, which is refused",
    "TEST.AUG.MIN_SIZES": "engine.test_time_augmentation",
    "TEST.AUG.MAX_SIZE": "engine.test_time_augmentation",
    "TEST.AUG.FLIP": "engine.test_time_augmentation",
    "MODEL.ROI_KEYPOINT_HEAD.MIN_KEYPOINTS_PER_IMAGE": "the loader, of data sets with keypoints",
    "MODEL.ANCHOR_GENERATOR.ANGLES": "Detectron2's RotatedAnchorGenerator",
    "MODEL.PANOPTIC_FPN.COMBINE.ENABLED": "nobody; Detectron2 warns of it",
    # Of later versions of Detectron2, whose schedules are built by it as ever.
    "SOLVER.BASE_LR_END": "WarmupCosineLR and WarmupStepWithFixedGammaLR",
    "SOLVER.NUM_DECAYS": "WarmupStepWithFixedGammaLR",
    "SOLVER.RESCALE_INTERVAL": "Detectron2's schedules",
}


@contextmanager
def noting_keys(cfg: CfgNode, monkeypatch: pytest.MonkeyPatch) -> Iterator[set[str]]:
    """Inside it, which keys of ``cfg`` and its copies are read; nodes are told by the keys that they hold."""
    nodes = {frozenset(cfg): ""}
    nodes |= {frozenset(value): f"{key}." for key, value in all_keys(cfg) if isinstance(value, CfgNode)}
    read: set[str] = set()
    get = CfgNode.__getattr__

    def note(self: CfgNode, name: str) -> object:
        read.add(f"{nodes.get(frozenset(self), '?.')}{name}")
        return get(self, name)

    with monkeypatch.context() as patched:
        patched.setattr(CfgNode, "__getattr__", note)
        yield read


def small(name: str, *keys: object) -> CfgNode:
    cfg = bdd100k_d2.get_config(name)
    cfg.merge_from_list(["MODEL.DEVICE", "cpu", "MODEL.WEIGHTS", "", *SMALL_MODELS["det"], *SMALL_MODELS["sem_seg"]])
    cfg.merge_from_list(["MODEL.ROI_MASK_HEAD.CONV_DIM", 8, "SOLVER.REFERENCE_WORLD_SIZE", 0, *keys])
    return cfg


def test_every_key_is_read_or_refused(tiny_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bdd100k_d2.register_all(tiny_root)
    keys = {key for key, value in all_keys(get_cfg()) if not isinstance(value, CfgNode)}
    models = (
        small("det/cascade_rcnn_R_50_FPN_1x"),
        small("det/retinanet_R_50_FPN_1x"),
        small("ins_seg/mask_rcnn_R_50_FPN_1x", "MODEL.KEYPOINT_ON", True),
        small("ins_seg/mask_rcnn_R_50_FPN_1x", "MODEL.META_ARCHITECTURE", "PanopticFPN", "MODEL.SEM_SEG_HEAD.NORM", ""),
    )
    training = (
        "SOLVER.MAX_ITER 1 SOLVER.IMS_PER_BATCH 1 SOLVER.CLIP_GRADIENTS.ENABLED True INPUT.MIN_SIZE_TRAIN (64,) "
        "SOLVER.CLIP_GRADIENTS.CLIP_TYPE norm DATALOADER.SAMPLER_TRAIN RepeatFactorTrainingSampler "
        "TEST.PRECISE_BN.ENABLED True TEST.PRECISE_BN.NUM_ITER 1 DATALOADER.NUM_WORKERS 0 INPUT.MIN_SIZE_TEST 64"
    )
    detector = small("det/faster_rcnn_R_50_FPN_1x", *training.split(), "OUTPUT_DIR", str(tmp_path / "out"))
    segmenter = small("sem_seg/semantic_fpn_R_50_40k", "INPUT.CROP.SIZE", [64, 64])
    with noting_keys(detector, monkeypatch) as read:
        for cfg in models:
            build_model(cfg)
        build_model(segmenter)
        build_augmentation(segmenter, is_train=True)
        trainer = bdd100k_d2.Trainer(detector)
        trainer.resume_or_load(False)
        trainer.train()
        # By value, or with another schedule, other keys are read.
        detector.SOLVER.CLIP_GRADIENTS.CLIP_TYPE, detector.SOLVER.LR_SCHEDULER_NAME = "value", "WarmupMultiStepLR"
        bdd100k_d2.Trainer.build_lr_scheduler(detector, bdd100k_d2.Trainer.build_optimizer(detector, build_model(cfg)))
    assert keys - read - REFUSED.keys() - ELSEWHERE.keys() == set()
    assert not ELSEWHERE.keys() & REFUSED.keys()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["VERSION", 1], "VERSION is 1; only configs of version 2 are read"),
        (["TEST.KEYPOINT_OKS_SIGMAS", [0.1]], r"TEST\.KEYPOINT_OKS_SIGMAS is \[0\.1\]; no evaluator here takes it"),
        (["MODEL.LOAD_PROPOSALS", True], r"MODEL\.LOAD_PROPOSALS is True; proposals in files are not read"),
        (["DATASETS.PROPOSAL_FILES_TRAIN", ("a.pkl",)], r"DATASETS\.PROPOSAL_FILES_TRAIN is \('a\.pkl',\); proposals"),
        (["DATASETS.PROPOSAL_FILES_TEST", ["a.pkl"]], r"DATASETS\.PROPOSAL_FILES_TEST is \('a\.pkl',\); proposals"),
        (["MODEL.SEM_SEG_HEAD.IGNORE_VALUE", 254], r"IGNORE_VALUE is 254; the masks .* have 255 where no class"),
        (
            ["SOLVER.OPTIMIZER", "AdamW", "SOLVER.MOMENTUM", 0.8],
            r"SOLVER\.MOMENTUM is 0\.8; it is for SGD: leave it out",
        ),
        (["SOLVER.OPTIMIZER", "AdamW", "SOLVER.NESTEROV", True], r"SOLVER\.NESTEROV is True; it is for SGD: leave it"),
    ],
)
def test_a_key_that_would_be_ignored_is_refused(small_cfg: Make, changes: list[object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        bdd100k_d2.Trainer(small_cfg(*changes))
    with pytest.raises(ConfigError, match=message):
        bdd100k_d2.Trainer.build_model(small_cfg(*changes))


def test_all_refused_keys_are_tested() -> None:
    (marks,) = test_a_key_that_would_be_ignored_is_refused.pytestmark
    assert {changes[-2] for changes, _ in marks.args[1]} == REFUSED.keys()


def test_what_asks_for_nothing_is_not_refused(small_cfg: Make) -> None:
    sgd = ("SOLVER.OPTIMIZER", "SGD", "SOLVER.MOMENTUM", 0.8, "SOLVER.NESTEROV", True)
    refuse_ignored_keys(small_cfg(*sgd, "TEST.AUG.MIN_SIZES", (160, 320), "TEST.AUG.MAX_SIZE", 640))


def test_a_trainer_that_augments_in_tests_is_let_alone(small_cfg: Make) -> None:
    """The method that Detectron2's own script has, and users' scripts have from it."""

    class Augmenting(bdd100k_d2.Trainer):
        @classmethod
        def test_with_TTA(cls, cfg: CfgNode, model: object) -> None:  # noqa: N802, Detectron2's name
            pass

    Augmenting.build_model(small_cfg("TEST.AUG.ENABLED", True))
