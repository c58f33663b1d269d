"""The models that the package builds: their configs, published scores, and the names of their weights."""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from ..errors import WeightsError, did_you_mean

BDD100K_MODELS = "bdd100k-models"
VIS4D = "Vis4D"
# The source of a model of this package's own, which was not trained on BDD100K by anybody.
NOBODY = "nobody yet"
# What the addresses of published weights start with.
PREFIX = "bdd100k://"
# Written by ``python -m bdd100k_d2.zoo --measure``.
SIZES_FILE = Path(__file__).with_name("sizes.json")


class PublishedScore(NamedTuple):
    """A published score in percent; no test score where none was published."""

    metric: str
    val: float
    test: float | None = None


class ModelSize(NamedTuple):
    """Trained and fixed parameters, and operations on one 720x1280 image in 10^9 multiply-adds."""

    parameters: int
    gflops: float


@dataclass(frozen=True)
class ZooRow:
    """A model that was published, or one of the package's own.

    Attributes:
        config: what ``get_config`` takes.
        schedule: "1x" is 12 epochs, "40k" is 40,000 iterations.
        source: who published the scores.
        scores: one, or two for instance segmentation; none of a model that nobody has trained.
        weights: what follows ``bdd100k://``; None where no weights were published.
        difference: how the row was trained otherwise than ``config`` trains; empty where the config is its recipe.
        tests: test files that compare the package with the source, relative to the repository.
    """

    config: str
    schedule: str
    source: str
    scores: tuple[PublishedScore, ...]
    weights: str | None = None
    difference: str = ""
    tests: tuple[str, ...] = ()

    @property
    def task(self) -> str:
        """The task's short name, which is the config's folder."""
        return self.config.partition("/")[0]

    @property
    def is_recipe(self) -> bool:
        """Whether training with ``config`` repeats how the row was trained."""
        return not self.difference


_MODEL = "tests/parity/test_model_parity.py"
_RECIPE = "tests/parity/test_recipe_parity.py"
_OPTIMIZER = "tests/engine/test_optimizer_groups.py"

# How the zoo trains otherwise than the configs, which follow Vis4D; docs/MODEL_ZOO.md has the details.
_BATCH_32 = "batch 32, rate 0.04; RPN trains anchors across the border; boxes clipped"
_BORDER = "RPN trains anchors across the border; boxes clipped"
_MODE_SWITCH = "the hook that ends the augmentation nine epochs before the end was not published"
_RETINANET = "batch 32, rate 0.02; loss divided by the positive anchors"
_CASCADE = "batch 32, rate 0.04; stages weighted 1, 0.5, 0.25"
_STRIKES_BACK = "AdamW, batch 32, started from ResNet Strikes Back"
_MASK_PREDICTOR = "last layer of masks starts from other values"
_PREDICTORS = "last layers of masks and stuff start from other values"
_WRITTEN = "losses compared; augmentation and schedule are written from its config"
_NOT_COMPARED = "training not compared"
_RESIZED = "resized by 0.5 to 2 before the crop; no warm-up; other colour jitter"


def _vis4d(config: str, *scores: PublishedScore) -> ZooRow:
    return ZooRow(config, config.rsplit("_", 1)[1], VIS4D, scores, tests=(_MODEL, _RECIPE))


def _vis4d_ins_seg(schedule: str, mask: float, box: float) -> ZooRow:
    scores = (PublishedScore("mask AP", mask), PublishedScore("box AP", box))
    config = f"ins_seg/mask_rcnn_R_50_FPN_{schedule}"
    return ZooRow(config, schedule, VIS4D, scores, difference=_NOT_COMPARED, tests=(_MODEL,))


def _zoo(config: str, stem: str, *scores: PublishedScore, difference: str) -> ZooRow:
    task = config.partition("/")[0]
    schedule = next(part for part in stem.split("_") if part in ("1x", "3x", "5x", "40k", "80k"))
    return ZooRow(config, schedule, BDD100K_MODELS, scores, f"{task}/{stem}", difference, (_MODEL,))


def _det(config: str, stem: str, val: float, test: float, difference: str) -> ZooRow:
    return _zoo(f"det/{config}", stem, PublishedScore("box AP", val, test), difference=difference)


def _strong(config: str, stem: str, val: float, test: float) -> ZooRow:
    """A detector whose training was compared too."""
    row = _det(config, stem, val, test, difference="")
    return replace(row, tests=(_MODEL, _OPTIMIZER))


def _strong_augmentation(config: str, stem: str, val: float, test: float) -> ZooRow:
    """A Faster R-CNN on a Swin that trains on images made of several."""
    row = _det(f"faster_rcnn_swin_{config}", f"faster_rcnn_swin-{stem}", val, test, difference=_MODE_SWITCH)
    return replace(row, tests=(_MODEL, "tests/data/test_mosaic_and_mixup.py"))


def _ins_seg(
    config: str, stem: str, val: tuple[float, float], test: tuple[float, float], difference: str = _BORDER
) -> ZooRow:
    scores = map(PublishedScore, ("mask AP", "box AP"), val, test)
    return _zoo(f"ins_seg/{config}", stem, *scores, difference=difference)


def _pan_seg(config: str, stem: str, val: float, test: float) -> ZooRow:
    return _zoo(f"pan_seg/{config}", stem, PublishedScore("PQ", val, test), difference=_PREDICTORS)


def _mask(config: str, stem: str, val: tuple[float, float], test: tuple[float, float]) -> ZooRow:
    return _ins_seg(config, stem, val, test, _MASK_PREDICTOR)


def _cascade_mask(name: str, stem: str, val: tuple[float, float], test: tuple[float, float]) -> ZooRow:
    """A Cascade Mask R-CNN, whose training was compared too."""
    row = _mask(f"cascade_mask_rcnn_{name}", f"cascade_mask_rcnn_{stem}", val, test)
    return replace(row, tests=(_MODEL, _OPTIMIZER))


def _sem_seg(task: str, suffix: str, stem: str, val: float, test: float) -> ZooRow:
    config = f"{task}/semantic_fpn_R_50_{suffix}"
    return _zoo(config, stem, PublishedScore("mIoU", val, test), difference=_RESIZED)


def _segmenter(task: str, config: str, stem: str, val: float, test: float) -> ZooRow:
    return _zoo(f"{task}/{config}", stem, PublishedScore("mIoU", val, test), difference=_WRITTEN)


ROWS: tuple[ZooRow, ...] = (
    _vis4d("det/faster_rcnn_R_50_FPN_1x", PublishedScore("box AP", 31.2)),
    _vis4d("det/faster_rcnn_R_50_FPN_3x", PublishedScore("box AP", 32.4)),
    _det("faster_rcnn_R_50_FPN_1x", "faster_rcnn_r50_fpn_1x", 31.04, 29.78, _BATCH_32),
    _det("faster_rcnn_R_50_FPN_3x", "faster_rcnn_r50_fpn_3x", 32.30, 31.45, _BATCH_32),
    _det("faster_rcnn_R_50_FPN_5x", "faster_rcnn_r50_fpn_5x", 32.49, 31.86, _BATCH_32),
    _det("faster_rcnn_R_101_FPN_3x", "faster_rcnn_r101_fpn_3x", 32.71, 31.96, _BATCH_32),
    _det("faster_rcnn_R_101_FPN_5x", "faster_rcnn_r101_fpn_5x", 32.61, 31.94, _BATCH_32),
    _det("faster_rcnn_R_50_FPN_1x", "faster_rcnn_r50_fpn_rsb_1x", 31.40, 30.26, _STRIKES_BACK),
    _det("faster_rcnn_R_50_FPN_3x", "faster_rcnn_r50_fpn_rsb_3x", 32.48, 31.43, _STRIKES_BACK),
    _det("retinanet_R_50_FPN_1x", "retinanet_r50_fpn_1x", 28.58, 27.14, _RETINANET),
    _det("retinanet_R_50_FPN_3x", "retinanet_r50_fpn_3x", 30.91, 30.21, _RETINANET),
    _det("retinanet_R_101_FPN_3x", "retinanet_r101_fpn_3x", 31.29, 30.62, _RETINANET),
    _det("retinanet_R_50_FPN_1x", "retinanet_r50_fpn_rsb_1x", 29.52, 28.69, _STRIKES_BACK),
    _det("retinanet_R_50_FPN_3x", "retinanet_r50_fpn_rsb_3x", 31.13, 30.51, _STRIKES_BACK),
    _det("cascade_rcnn_R_50_FPN_1x", "cascade_rcnn_r50_fpn_1x", 32.40, 31.23, _CASCADE),
    _det("cascade_rcnn_R_50_FPN_3x", "cascade_rcnn_r50_fpn_3x", 33.72, 33.07, _CASCADE),
    _det("cascade_rcnn_R_101_FPN_3x", "cascade_rcnn_r101_fpn_3x", 33.57, 32.90, _CASCADE),
    _det("atss_R_50_FPN_1x", "atss_r50_fpn_1x", 31.45, 29.92, _WRITTEN),
    _det("atss_R_50_FPN_3x", "atss_r50_fpn_3x", 34.17, 32.38, _WRITTEN),
    _det("atss_R_101_FPN_3x", "atss_r101_fpn_3x", 33.80, 32.58, _WRITTEN),
    _strong("faster_rcnn_swin_T_FPN_1x", "faster_rcnn_swin-t_fpn_1x", 32.07, 30.96),
    _strong("faster_rcnn_swin_T_FPN_3x", "faster_rcnn_swin-t_fpn_3x", 34.12, 33.47),
    _strong("faster_rcnn_swin_S_FPN_3x", "faster_rcnn_swin-s_fpn_3x", 34.21, 33.15),
    _strong("faster_rcnn_swin_S_FPN_fp16_3x", "faster_rcnn_swin-s_fpn_fp16_3x", 34.21, 33.26),
    _strong("faster_rcnn_swin_B_FPN_fp16_3x", "faster_rcnn_swin-b_fpn_fp16_3x", 34.46, 33.35),
    _strong_augmentation("T_FPN_3x_strong", "t_fpn_3x_strong", 34.43, 33.30),
    _strong_augmentation("S_FPN_fp16_3x_strong", "s_fpn_fp16_3x_strong", 35.06, 33.69),
    _strong_augmentation("B_FPN_fp16_3x_strong", "b_fpn_fp16_3x_strong", 35.36, 34.25),
    _strong("cascade_rcnn_swin_T_FPN_3x", "cascade_rcnn_swin-t_fpn_3x", 35.95, 35.26),
    _strong("cascade_rcnn_swin_S_FPN_fp16_3x", "cascade_rcnn_swin-s_fpn_fp16_3x", 35.49, 34.86),
    _strong("cascade_rcnn_swin_B_FPN_fp16_3x", "cascade_rcnn_swin-b_fpn_fp16_3x", 35.03, 34.13),
    _strong("faster_rcnn_convnext_T_FPN_fp16_1x", "faster_rcnn_convnext-t_fpn_fp16_1x", 33.32, 31.96),
    _strong("faster_rcnn_convnext_T_FPN_fp16_3x", "faster_rcnn_convnext-t_fpn_fp16_3x", 34.08, 33.59),
    _strong("faster_rcnn_convnext_S_FPN_fp16_3x", "faster_rcnn_convnext-s_fpn_fp16_3x", 34.79, 34.49),
    _strong("faster_rcnn_convnext_B_FPN_fp16_3x", "faster_rcnn_convnext-b_fpn_fp16_3x", 33.92, 33.30),
    _strong("cascade_rcnn_convnext_T_FPN_fp16_1x", "cascade_rcnn_convnext-t_fpn_fp16_1x", 35.51, 33.99),
    _strong("cascade_rcnn_convnext_T_FPN_fp16_3x", "cascade_rcnn_convnext-t_fpn_fp16_3x", 35.84, 35.35),
    _strong("cascade_rcnn_convnext_S_FPN_fp16_3x", "cascade_rcnn_convnext-s_fpn_fp16_3x", 36.11, 35.43),
    _strong("cascade_rcnn_convnext_B_FPN_fp16_3x", "cascade_rcnn_convnext-b_fpn_fp16_3x", 35.77, 34.95),
    _strong("faster_rcnn_R_50_FPN_dconv_1x", "faster_rcnn_r50_fpn_dconv_1x", 32.09, 30.93),
    _strong("faster_rcnn_R_50_FPN_dconv_3x", "faster_rcnn_r50_fpn_dconv_3x", 33.21, 32.41),
    _strong("faster_rcnn_R_101_FPN_dconv_3x", "faster_rcnn_r101_fpn_dconv_3x", 33.09, 32.43),
    _strong("faster_rcnn_hrnet_W18_1x", "faster_rcnn_hrnetv2p_w18_1x", 31.74, 30.64),
    _strong("faster_rcnn_hrnet_W18_3x", "faster_rcnn_hrnetv2p_w18_3x", 33.35, 32.61),
    _strong("faster_rcnn_hrnet_W32_1x", "faster_rcnn_hrnetv2p_w32_1x", 32.84, 31.84),
    _strong("faster_rcnn_hrnet_W32_3x", "faster_rcnn_hrnetv2p_w32_3x", 33.97, 33.19),
    ZooRow("det/faster_rcnn_efficientnet_lite0_FPN", "3x", NOBODY, ()),
    ZooRow("det/faster_rcnn_R_50_FPN_coco", "1x", NOBODY, ()),
    _vis4d_ins_seg("1x", 17.0, 23.4),
    _vis4d_ins_seg("3x", 20.2, 26.8),
    _vis4d_ins_seg("5x", 20.2, 25.7),
    _ins_seg("mask_rcnn_R_50_FPN_1x", "mask_rcnn_r50_fpn_1x", (16.24, 22.34), (14.86, 19.59)),
    _ins_seg("mask_rcnn_R_50_FPN_3x", "mask_rcnn_r50_fpn_3x", (19.88, 25.93), (17.46, 22.32)),
    _ins_seg("mask_rcnn_R_101_FPN_3x", "mask_rcnn_r101_fpn_3x", (20.51, 26.08), (17.88, 22.01)),
    _ins_seg("mask_rcnn_R_50_FPN_1x_32bs", "mask_rcnn_r50_fpn_1x_32bs", (16.15, 21.54), (14.90, 19.24)),
    _ins_seg("mask_rcnn_R_50_FPN_3x_32bs", "mask_rcnn_r50_fpn_3x_32bs", (20.20, 26.14), (17.60, 22.03)),
    _ins_seg("mask_rcnn_R_101_FPN_3x_32bs", "mask_rcnn_r101_fpn_3x_32bs", (20.48, 25.70), (17.71, 21.94)),
    _pan_seg("panoptic_fpn_R_50_FPN_1x", "panoptic_fpn_r50_fpn_1x", 21.52, 20.59),
    _pan_seg("panoptic_fpn_R_50_FPN_3x", "panoptic_fpn_r50_fpn_3x", 22.39, 21.76),
    _pan_seg("panoptic_fpn_R_50_FPN_5x", "panoptic_fpn_r50_fpn_5x", 23.38, 22.04),
    _pan_seg("panoptic_fpn_R_101_FPN_3x", "panoptic_fpn_r101_fpn_3x", 22.61, 22.34),
    _pan_seg("panoptic_fpn_R_101_FPN_5x", "panoptic_fpn_r101_fpn_5x", 23.90, 22.50),
    _mask("mask_rcnn_R_50_FPN_dconv_1x", "mask_rcnn_r50_fpn_dconv_1x", (17.72, 23.37), (15.80, 20.73)),
    _mask("mask_rcnn_R_50_FPN_dconv_3x", "mask_rcnn_r50_fpn_dconv_3x", (20.89, 27.17), (18.29, 22.88)),
    _mask("mask_rcnn_R_101_FPN_dconv_3x", "mask_rcnn_r101_fpn_dconv_3x", (20.98, 25.99), (18.74, 22.73)),
    _mask("mask_rcnn_R_50_FPN_dconv_1x_32bs", "mask_rcnn_r50_fpn_dconv_1x_32bs", (17.50, 23.16), (15.53, 20.66)),
    _mask("mask_rcnn_R_50_FPN_dconv_3x_32bs", "mask_rcnn_r50_fpn_dconv_3x_32bs", (20.72, 27.51), (18.40, 22.80)),
    _mask("mask_rcnn_R_101_FPN_dconv_3x_32bs", "mask_rcnn_r101_fpn_dconv_3x_32bs", (20.91, 25.87), (18.60, 22.83)),
    _mask("mask_rcnn_hrnet_W18_1x", "mask_rcnn_hrnetv2p_w18_1x", (16.54, 22.97), (14.62, 19.81)),
    _mask("mask_rcnn_hrnet_W18_3x", "mask_rcnn_hrnetv2p_w18_3x", (21.28, 27.53), (17.74, 22.98)),
    _mask("mask_rcnn_hrnet_W32_1x", "mask_rcnn_hrnetv2p_w32_1x", (18.69, 24.75), (16.35, 21.52)),
    _mask("mask_rcnn_hrnet_W32_3x", "mask_rcnn_hrnetv2p_w32_3x", (22.45, 28.16), (18.76, 23.48)),
    _mask("mask_rcnn_hrnet_W40_1x", "mask_rcnn_hrnetv2p_w40_1x", (19.65, 25.46), (16.64, 21.98)),
    _mask("mask_rcnn_hrnet_W40_3x", "mask_rcnn_hrnetv2p_w40_3x", (22.57, 28.17), (19.38, 24.37)),
    _cascade_mask("R_50_FPN_1x", "r50_fpn_1x", (18.63, 25.97), (15.89, 21.55)),
    _cascade_mask("R_50_FPN_3x", "r50_fpn_3x", (19.43, 25.26), (16.18, 20.46)),
    _cascade_mask("R_101_FPN_3x", "r101_fpn_3x", (19.79, 24.79), (16.65, 20.63)),
    _cascade_mask("R_50_FPN_1x_32bs", "r50_fpn_1x_32bs", (17.67, 25.67), (15.73, 21.40)),
    _cascade_mask("R_50_FPN_3x_32bs", "r50_fpn_3x_32bs", (18.58, 24.63), (16.34, 20.75)),
    _vis4d("sem_seg/semantic_fpn_R_50_40k", PublishedScore("mIoU", 59.2)),
    _sem_seg("sem_seg", "40k", "fpn_r50_512x1024_40k", 59.24, 52.89),
    _sem_seg("sem_seg", "80k", "fpn_r50_512x1024_80k", 60.36, 52.92),
    _sem_seg("sem_seg", "40k_gn", "fpn_r50_gn_512x1024_40k", 59.44, 53.42),
    _sem_seg("sem_seg", "80k_gn", "fpn_r50_gn_512x1024_80k", 60.21, 53.00),
    _sem_seg("sem_seg", "40k_gn_dconv", "fpn_r50_gn_dconv_512x1024_40k", 61.53, 54.31),
    _sem_seg("sem_seg", "80k_gn_dconv", "fpn_r50_gn_dconv_512x1024_80k", 60.55, 53.91),
    _segmenter("sem_seg", "fcn_hrnet_W48_40k", "fcn_hr48_512x1024_40k", 63.37, 56.01),
    _segmenter("sem_seg", "fcn_hrnet_W48_80k", "fcn_hr48_512x1024_80k", 63.93, 55.89),
    _segmenter("sem_seg", "deeplabv3_R_50_D8_769_40k", "deeplabv3_r50-d8_769x769_40k", 61.62, 55.17),
    _segmenter("sem_seg", "deeplabv3_R_50_D8_40k", "deeplabv3_r50-d8_512x1024_40k", 62.16, 55.20),
    _segmenter("sem_seg", "deeplabv3_R_50_D8_80k", "deeplabv3_r50-d8_512x1024_80k", 62.55, 55.19),
    _segmenter("sem_seg", "deeplabv3_R_101_D8_80k", "deeplabv3_r101-d8_512x1024_80k", 63.23, 56.24),
    _segmenter("sem_seg", "deeplabv3plus_R_50_D8_769_40k", "deeplabv3+_r50-d8_769x769_40k", 61.22, 55.61),
    _segmenter("sem_seg", "deeplabv3plus_R_50_D8_40k", "deeplabv3+_r50-d8_512x1024_40k", 62.51, 55.14),
    _segmenter("sem_seg", "deeplabv3plus_R_50_D8_80k", "deeplabv3+_r50-d8_512x1024_80k", 63.96, 56.08),
    _segmenter("sem_seg", "deeplabv3plus_R_101_D8_80k", "deeplabv3+_r101-d8_512x1024_80k", 64.49, 57.00),
    _segmenter("sem_seg", "upernet_swin_T_40k", "upernet_swin-t_512x1024_40k", 62.00, 54.33),
    _segmenter("sem_seg", "upernet_swin_T_80k", "upernet_swin-t_512x1024_80k", 63.10, 54.81),
    _segmenter("sem_seg", "upernet_swin_S_80k", "upernet_swin-s_512x1024_80k", 65.76, 58.00),
    _segmenter("sem_seg", "upernet_swin_S_fp16_80k", "upernet_swin-s_fp16_512x1024_80k", 65.51, 57.67),
    _segmenter("sem_seg", "upernet_swin_B_fp16_80k", "upernet_swin-b_fp16_512x1024_80k", 65.98, 58.33),
    _segmenter("sem_seg", "upernet_convnext_T_fp16_40k", "upernet_convnext-t_fp16_512x1024_40k", 63.21, 56.09),
    _segmenter("sem_seg", "upernet_convnext_T_fp16_80k", "upernet_convnext-t_fp16_512x1024_80k", 64.36, 57.02),
    _segmenter("sem_seg", "upernet_convnext_S_fp16_80k", "upernet_convnext-s_fp16_512x1024_80k", 66.13, 58.15),
    _segmenter("sem_seg", "upernet_convnext_B_fp16_80k", "upernet_convnext-b_fp16_512x1024_80k", 67.26, 59.82),
    _segmenter("sem_seg", "fcn_R_50_D8_769_40k", "fcn_r50-d8_769x769_40k", 59.87, 52.59),
    _segmenter("sem_seg", "fcn_R_50_D8_40k", "fcn_r50-d8_512x1024_40k", 59.80, 53.06),
    _segmenter("sem_seg", "pspnet_R_50_D8_40k", "pspnet_r50-d8_512x1024_40k", 61.88, 54.50),
    _segmenter("sem_seg", "pspnet_R_50_D8_80k", "pspnet_r50-d8_512x1024_80k", 62.03, 54.99),
    _segmenter("sem_seg", "pspnet_R_101_D8_80k", "pspnet_r101-d8_512x1024_80k", 63.62, 56.32),
    _segmenter("sem_seg", "upernet_R_50_769_40k", "upernet_r50-d8_769x769_40k", 60.01, 54.39),
    _segmenter("sem_seg", "upernet_R_50_40k", "upernet_r50-d8_512x1024_40k", 61.12, 53.97),
    _segmenter("sem_seg", "nonlocal_R_50_D8_40k", "nonlocal_r50-d8_512x1024_40k", 61.38, 54.11),
    _segmenter("sem_seg", "nonlocal_R_50_D8_80k", "nonlocal_r50-d8_512x1024_80k", 60.98, 55.00),
    _segmenter("sem_seg", "gcnet_R_50_D8_769_40k", "gcnet_r50-d8_769x769_40k", 61.20, 53.96),
    _segmenter("sem_seg", "dnl_R_50_D8_40k", "dnl_r50-d8_512x1024_40k", 61.93, 54.35),
    _segmenter("sem_seg", "dnl_R_50_D8_80k", "dnl_r50-d8_512x1024_80k", 62.64, 54.72),
    _segmenter("sem_seg", "dnl_R_101_D8_80k", "dnl_r101-d8_512x1024_80k", 59.54, 56.31),
    _segmenter("sem_seg", "pointrend_R_50_40k", "pointrend_r50_512x1024_40k", 61.80, 53.61),
    _segmenter("sem_seg", "pointrend_R_50_80k", "pointrend_r50_512x1024_80k", 61.02, 52.53),
    ZooRow("sem_seg/semantic_fpn_efficientnet_lite0", "40k", NOBODY, ()),
    _sem_seg("drivable", "40k", "fpn_r50_512x1024_40k", 77.29, 76.71),
    _sem_seg("drivable", "80k", "fpn_r50_512x1024_80k", 78.25, 77.74),
    _sem_seg("drivable", "40k_gn", "fpn_r50_gn_512x1024_40k", 81.30, 80.85),
    _sem_seg("drivable", "80k_gn", "fpn_r50_gn_512x1024_80k", 82.59, 82.26),
    _sem_seg("drivable", "40k_gn_dconv", "fpn_r50_gn_dconv_512x1024_40k", 83.65, 83.11),
    _sem_seg("drivable", "80k_gn_dconv", "fpn_r50_gn_dconv_512x1024_80k", 83.04, 82.71),
    _segmenter("drivable", "fcn_hrnet_W48_40k", "fcn_hr48_512x1024_40k", 83.24, 82.70),
    _segmenter("drivable", "fcn_hrnet_W48_80k", "fcn_hr48_512x1024_80k", 83.27, 82.87),
    _segmenter("drivable", "deeplabv3_R_50_D8_769_40k", "deeplabv3_r50-d8_769x769_40k", 83.49, 82.74),
    _segmenter("drivable", "deeplabv3_R_50_D8_40k", "deeplabv3_r50-d8_512x1024_40k", 84.10, 83.52),
    _segmenter("drivable", "deeplabv3_R_50_D8_80k", "deeplabv3_r50-d8_512x1024_80k", 84.63, 84.14),
    _segmenter("drivable", "deeplabv3_R_101_D8_80k", "deeplabv3_r101-d8_512x1024_80k", 85.15, 84.75),
    _segmenter("drivable", "deeplabv3plus_R_50_D8_769_40k", "deeplabv3+_r50-d8_769x769_40k", 83.65, 83.00),
    _segmenter("drivable", "deeplabv3plus_R_50_D8_40k", "deeplabv3+_r50-d8_512x1024_40k", 84.12, 83.65),
    _segmenter("drivable", "deeplabv3plus_R_50_D8_80k", "deeplabv3+_r50-d8_512x1024_80k", 84.35, 83.93),
    _segmenter("drivable", "deeplabv3plus_R_101_D8_80k", "deeplabv3+_r101-d8_512x1024_80k", 84.73, 84.41),
    _segmenter("drivable", "upernet_swin_T_40k", "upernet_swin-t_512x1024_40k", 81.87, 81.05),
    _segmenter("drivable", "upernet_swin_T_80k", "upernet_swin-t_512x1024_80k", 82.26, 81.49),
    _segmenter("drivable", "upernet_swin_S_80k", "upernet_swin-s_512x1024_80k", 83.89, 83.32),
    _segmenter("drivable", "upernet_swin_S_fp16_80k", "upernet_swin-s_fp16_512x1024_80k", 83.76, 83.42),
    _segmenter("drivable", "upernet_swin_B_fp16_80k", "upernet_swin-b_fp16_512x1024_80k", 83.93, 83.41),
    _segmenter("drivable", "upernet_convnext_T_fp16_40k", "upernet_convnext-t_fp16_512x1024_40k", 77.69, 77.21),
    _segmenter("drivable", "upernet_convnext_T_fp16_80k", "upernet_convnext-t_fp16_512x1024_80k", 81.22, 80.63),
    _segmenter("drivable", "upernet_convnext_S_fp16_80k", "upernet_convnext-s_fp16_512x1024_80k", 83.14, 82.57),
    _segmenter("drivable", "upernet_convnext_B_fp16_80k", "upernet_convnext-b_fp16_512x1024_80k", 83.75, 83.24),
    _segmenter("drivable", "fcn_R_50_D8_769_40k", "fcn_r50-d8_769x769_40k", 74.84, 74.42),
    _segmenter("drivable", "pspnet_R_50_D8_769_40k", "pspnet_r50-d8_769x769_40k", 83.51, 82.68),
    _segmenter("drivable", "pspnet_R_50_D8_40k", "pspnet_r50-d8_512x1024_40k", 83.37, 82.91),
    _segmenter("drivable", "pspnet_R_50_D8_80k", "pspnet_r50-d8_512x1024_80k", 83.67, 83.43),
    _segmenter("drivable", "pspnet_R_101_D8_80k", "pspnet_r101-d8_512x1024_80k", 84.13, 83.80),
    _segmenter("drivable", "upernet_R_50_40k", "upernet_r50-d8_512x1024_40k", 82.13, 81.74),
    _segmenter("drivable", "upernet_R_50_769_40k", "upernet_r50-d8_769x769_40k", 82.65, 82.03),
    _segmenter("drivable", "nonlocal_R_50_D8_40k", "nonlocal_r50-d8_512x1024_40k", 81.74, 81.24),
    _segmenter("drivable", "gcnet_R_50_D8_40k", "gcnet_r50-d8_512x1024_40k", 82.07, 81.67),
    _segmenter("drivable", "gcnet_R_50_D8_769_40k", "gcnet_r50-d8_769x769_40k", 82.95, 82.08),
    _segmenter("drivable", "dnl_R_50_D8_40k", "dnl_r50-d8_512x1024_40k", 84.21, 83.70),
    _segmenter("drivable", "dnl_R_50_D8_80k", "dnl_r50-d8_512x1024_80k", 84.76, 84.27),
    _segmenter("drivable", "dnl_R_101_D8_80k", "dnl_r101-d8_512x1024_80k", 84.35, 83.84),
    _segmenter("drivable", "pointrend_R_50_40k", "pointrend_r50_512x1024_40k", 77.33, 76.81),
)


def read_sizes() -> dict[str, ModelSize]:
    """The measured size of each row's config, by the config's name."""
    return {config: ModelSize(**size) for config, size in json.loads(SIZES_FILE.read_text()).items()}


def published_weights(config: str) -> str | None:
    """The address of a config's published weights, or None.

    Where several were trained for one model, they are those of its plain recipe: the first row with weights.
    """
    return next((PREFIX + row.weights for row in ROWS if row.config == config and row.weights), None)


def check_weights_name(name: str) -> str:
    """Returns ``name`` if weights of this name, without ``bdd100k://``, are published; else raises `WeightsError`."""
    names = [row.weights for row in ROWS if row.weights]
    if name in names:
        return name
    raise WeightsError(f"no published weights of this name. {suggest(name, names)}")


def suggest(name: str, names: list[str]) -> str:
    """A sentence with the names that are close to ``name``, or where to find all."""
    everything = f"There are {', '.join(names)}." if len(names) < 20 else "`python -m bdd100k_d2.zoo` lists all."
    return did_you_mean(name, names, cutoff=0.5) or everything
