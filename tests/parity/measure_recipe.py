"""Schedules, optimizers and augmentations of the zoo's recipes against Vis4D 1.0.0 (golden/recipe.npz).

Grey levels are units of 0 to 255. Equal seeds give equal draws: both take crops and colours from NumPy in one order.
"""

import zlib
from collections.abc import Iterator, Mapping

import numpy as np
import torch
from comparing import Line, load_golden, our_names
from detectron2.config import CfgNode
from detectron2.data import transforms as T  # noqa: N812, the name Detectron2 uses
from detectron2.modeling import build_model
from seeded import (
    HEIGHT,
    WIDTH,
    boxes_across_the_border,
    image_of_colors,
    mask_of_one_large_class,
    sampled_pixels,
    seeded_image,
)
from torch.nn import functional as F  # noqa: N812, the name PyTorch uses

import bdd100k_d2
from bdd100k_d2.data.augmentation import BalancedCrop, ColorJitter, LinearResizeTransform, build_augmentation
from bdd100k_d2.engine.solver import build_optimizer, build_schedule

CONFIGS = {
    "det_1x": "det/faster_rcnn_R_50_FPN_1x",
    "det_3x": "det/faster_rcnn_R_50_FPN_3x",
    "sem_seg_40k": "sem_seg/semantic_fpn_R_50_40k",
}
TITLES = {"det_1x": "Faster R-CNN 1x", "det_3x": "Faster R-CNN 3x", "sem_seg_40k": "Semantic FPN 40k"}


def measure_rates() -> Iterator[Line]:
    """The learning rate of every iteration."""
    golden = load_golden("recipe")
    for recipe, title in TITLES.items():
        cfg = bdd100k_d2.get_config(CONFIGS[recipe])
        assert golden[f"{recipe}/iterations"] == cfg.SOLVER.MAX_ITER
        expected = _chained_rates(golden) if recipe == "sem_seg_40k" else _held_rates(golden, recipe)
        apart = float(np.abs(rates(cfg, cfg.SOLVER.MAX_ITER) - expected).max())
        yield Line(title, f"learning rate of each of {cfg.SOLVER.MAX_ITER:,} iterations", 1e-9, apart)


def measure_optimizers() -> Iterator[Line]:
    """Which parameters are trained and decayed, and by what; each has to be the same."""
    golden = load_golden("recipe")
    for recipe, title in TITLES.items():
        cfg = bdd100k_d2.get_config(CONFIGS[recipe])
        cfg.MODEL.DEVICE = "cpu"
        model = build_model(cfg)
        optimizer = build_optimizer(cfg, model)
        names = {parameter: name for name, parameter in model.named_parameters()}
        settings = ("weight_decay", "lr", "momentum", "dampening", "nesterov")
        ours = {
            names[parameter]: (parameter.numel(), *(group[key] for key in settings))
            for group in optimizer.param_groups
            for parameter in group["params"]
            if parameter.requires_grad
        }
        assert type(optimizer) is torch.optim.SGD
        of_all = tuple(golden[f"{recipe}/{key}"].item() for key in settings[2:])
        columns = [golden[f"{recipe}/{key}"].tolist() for key in ("trained", "parameters", "sizes", "decay", "rate")]
        source = our_names(load_golden("segmenter" if recipe == "sem_seg_40k" else "detector"))
        theirs = {source[name]: (*values, *of_all) for trained, name, *values in zip(*columns, strict=True) if trained}
        assert len(theirs) > 150
        other = len(dict(ours.items() ^ theirs.items()))
        yield Line(title, f"of {len(theirs)} trained parameters: otherwise decayed, trained or moved", 0, other)


def measure_augmentations() -> Iterator[Line]:
    """Resize, crop and colours with equal draws, on one image."""
    golden = load_golden("recipe")
    image, boxes = seeded_image(HEIGHT, WIDTH), boxes_across_the_border()
    noise = np.random.default_rng(1).integers(0, 256, (HEIGHT, WIDTH), np.uint8)
    grey, pixels, masks = [], [], []
    for i, (height, width) in enumerate(golden["resize/sizes"].tolist()):
        transform = LinearResizeTransform(HEIGHT, WIDTH, height, width)
        resized = transform.apply_image(image)
        assert resized.shape == (height, width, 3) and resized.dtype == np.uint8
        grey.append(float(np.abs(resized - in_floating_point(image, height, width)).max()))
        pixels.append(float(np.abs(transform.apply_box(boxes) - golden["resize/boxes"][i]).max()))
        ids = np.ascontiguousarray(transform.apply_segmentation(noise))
        masks.append(zlib.crc32(ids) != golden["resize/mask_crc32"][i])
    title = "Augmentation"
    yield Line(title, "resize to each of six sizes (OpenCV in bytes, PyTorch in floats)", 1, max(grey), "grey levels")
    yield Line(title, "boxes resized and not clipped", 1e-3, max(pixels), "px")
    yield Line(title, "masks resized otherwise, of six", 0, sum(masks))
    cfg = bdd100k_d2.get_config(CONFIGS["sem_seg_40k"])
    yield Line(title, "crops elsewhere, of 200 seeds", 0, _crops_elsewhere(cfg, golden))
    yield Line(title, "colour jitter, 24 seeds (rounded to bytes)", 0.51, _jitter(cfg, golden), "grey levels")


def in_256ths(grey_levels: np.ndarray) -> np.ndarray:
    """The unit of the golden pixels."""
    return grey_levels.astype(np.float64) * 256


def in_floating_point(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """The resize that Vis4D leaves to PyTorch; test_recipe_parity.py holds it against golden pixels."""
    chw = torch.from_numpy(image).permute(2, 0, 1)[None].float()
    return F.interpolate(chw, (height, width), mode="bilinear", align_corners=False)[0].permute(1, 2, 0).numpy()


def augmentation(cfg: CfgNode, kind: type) -> T.Augmentation:
    (one,) = (one for one in build_augmentation(cfg, is_train=True) if isinstance(one, kind))
    return one


def rates(cfg: CfgNode, steps: int) -> np.ndarray:
    """The rate of each iteration, and the one that the last leaves behind."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=cfg.SOLVER.BASE_LR)
    schedule = build_schedule(cfg, optimizer)
    found = [optimizer.param_groups[0]["lr"]]
    optimizer.step()
    for _ in range(steps):
        schedule.step()
        found.append(optimizer.param_groups[0]["lr"])
    return np.array(found)


def _held_rates(golden: Mapping[str, np.ndarray], recipe: str) -> np.ndarray:
    # Between two of the golden iterations the rate is constant.
    iterations = np.arange(golden[f"{recipe}/iterations"] + 1)
    last = np.searchsorted(golden[f"{recipe}/rate_at"], iterations, side="right") - 1
    expected = golden[f"{recipe}/rates"][last]
    assert len(np.unique(np.round(expected[500:], 12))) == 3
    return expected


def _chained_rates(golden: Mapping[str, np.ndarray]) -> np.ndarray:
    # Vis4D's two schedulers in turn, each changing what the optimizer holds.
    rate, expected = 0.01 * 0.001, [0.01 * 0.001]
    for i in range(1, 40_001):
        if i <= 500:
            rate *= (0.001 + 0.999 * i / 500) / (0.001 + 0.999 * (i - 1) / 500)
        rate = (rate - 0.0001) * ((1 - i / 40_000) / (1 - (i - 1) / 40_000)) ** 0.9 + 0.0001
        expected.append(rate)
    expected = np.array(expected)
    np.testing.assert_allclose(expected[golden["sem_seg_40k/rate_at"]], golden["sem_seg_40k/rates"], rtol=0, atol=1e-14)
    return expected


def _crops_elsewhere(cfg: CfgNode, golden: Mapping[str, np.ndarray]) -> int:
    crop = augmentation(cfg, BalancedCrop)
    mask = mask_of_one_large_class()
    image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    elsewhere, drawn_once = 0, 0
    for seed, (box, next_draw) in enumerate(zip(golden["crop/boxes"], golden["crop/next_draws"], strict=True)):
        np.random.seed(seed)
        found = crop.get_transform(image, mask)
        corners = (found.x0, found.y0, found.x0 + found.w, found.y0 + found.h)
        # The draw after it shows that as many were drawn.
        elsewhere += corners != tuple(box) or np.random.random() != next_draw
        np.random.seed(seed)
        crop.crop.get_transform(image)
        drawn_once += np.random.random() == next_draw
    # Some crops were drawn again and some were not.
    assert 0.2 < drawn_once / len(golden["crop/boxes"]) < 0.8
    return elsewhere


def _jitter(cfg: CfgNode, golden: Mapping[str, np.ndarray]) -> float:
    jitter, image, apart = augmentation(cfg, ColorJitter), image_of_colors(), []
    jitter.prob = 1.0
    jittered = zip(golden["color/jittered"], golden["color/next_draws"], strict=True)
    for seed, (expected, next_draw) in enumerate(jittered):
        np.random.seed(seed)
        found = jitter.get_transform(image).apply_image(image)
        assert np.random.random() == next_draw
        apart.append(np.abs(in_256ths(sampled_pixels(found)) - expected).max() / 256)
    return float(max(apart))
