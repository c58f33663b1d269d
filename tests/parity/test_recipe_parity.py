"""The zoo's recipes train on the input, at the rate and by the optimizer of Vis4D 1.0.0."""

import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from comparing import Line, assert_within, load_golden
from detectron2.data import transforms as T  # noqa: N812, the name Detectron2 uses
from measure_recipe import (
    CONFIGS,
    augmentation,
    in_256ths,
    in_floating_point,
    measure_augmentations,
    measure_optimizers,
    measure_rates,
)
from seeded import (
    HEIGHT,
    WIDTH,
    boxes_across_the_border,
    image_of_colors,
    sampled_pixels,
    seeded_boxes,
    seeded_image,
)

import bdd100k_d2
from bdd100k_d2.data.augmentation import (
    BalancedCrop,
    ColorAdjustmentTransform,
    ColorJitter,
    LinearResizeShortestEdge,
    build_augmentation,
)
from bdd100k_d2.data.mapper import BDD100KDatasetMapper


@pytest.fixture(scope="module")
def golden() -> dict[str, np.ndarray]:
    return load_golden("recipe")


@pytest.mark.parametrize("measure", [measure_rates, measure_optimizers, measure_augmentations])
def test_the_recipes_are_within_the_tolerances(measure: Callable[[], Iterator[Line]]) -> None:
    assert_within(list(measure()))


def test_the_batch_is_that_of_eight_gpus(golden: dict) -> None:
    # Vis4D's zoo names images a GPU; its rates are for eight of them.
    for recipe, config in CONFIGS.items():
        assert golden[f"{recipe}/pictures_per_gpu"] * 8 == bdd100k_d2.get_config(config).SOLVER.IMS_PER_BATCH


def test_pytorch_resizes_as_the_golden_pixels_say(golden: dict) -> None:
    image = seeded_image(HEIGHT, WIDTH)
    for i, (height, width) in enumerate(golden["resize/sizes"].tolist()):
        theirs = in_floating_point(image, height, width)
        np.testing.assert_allclose(in_256ths(sampled_pixels(theirs)), golden["resize/pixels"][i], rtol=0, atol=0.6)
        if (height, width) != (HEIGHT, WIDTH):
            # Pillow's smooths: this is what the key is for.
            pillow = T.ResizeTransform(HEIGHT, WIDTH, height, width).apply_image(image)
            assert np.abs(pillow - theirs).max() > 2


def test_crops_and_colors_are_drawn_from_the_same_ranges(golden: dict) -> None:
    cfg = bdd100k_d2.get_config(CONFIGS["sem_seg_40k"])
    crop = augmentation(cfg, BalancedCrop)
    assert tuple(cfg.INPUT.CROP.SIZE) == tuple(golden["crop/shape"]) and crop.max_area == golden["crop/max_area"]
    jitter = augmentation(cfg, ColorJitter)
    assert jitter.prob == golden["color/probability"]
    assert cfg.INPUT.FORMAT == jitter.image_format == golden["color/channels"]
    spreads = (jitter.brightness, jitter.contrast, jitter.saturation, jitter.hue)
    centers = np.array([1, 1, 1, 0])
    np.testing.assert_allclose(golden["color/amounts"][:, 0], centers - spreads)
    np.testing.assert_allclose(golden["color/amounts"][:, 1], centers + spreads)


def test_the_sizes_of_the_3x_recipe(golden: dict) -> None:
    cfg = bdd100k_d2.get_config(CONFIGS["det_3x"])
    image = np.empty((HEIGHT, WIDTH, 3), np.uint8)
    resize = augmentation(cfg, T.ResizeShortestEdge)
    np.random.seed(0)
    drawn = [resize.get_transform(image) for _ in range(6000)]
    sizes = [(t.new_h, t.new_w) if hasattr(t, "new_h") else (HEIGHT, WIDTH) for t in drawn]
    theirs = {tuple(size) for size in golden["resize/sizes"].tolist()}
    assert len(theirs) == 6 and set(sizes) == theirs
    # Each as often as the others, as Python's random.choice draws.
    assert all(900 < sizes.count(size) < 1100 for size in theirs)
    for recipe in ("det_1x", "sem_seg_40k"):
        cfg = bdd100k_d2.get_config(CONFIGS[recipe])
        for is_train in (False, True):
            assert build_augmentation(cfg, is_train)[0].get_transform(image).apply_image(image) is image


def test_the_zoo_resizes_as_vis4d() -> None:
    for name in CONFIGS.values():
        cfg = bdd100k_d2.get_config(name)
        assert cfg.INPUT.FORMAT == "RGB"
        for is_train in (False, True):
            assert isinstance(build_augmentation(cfg, is_train)[0], LinearResizeShortestEdge)


def test_the_flip(golden: dict) -> None:
    image = image_of_colors()
    flip = T.HFlipTransform(160)
    assert zlib.crc32(np.ascontiguousarray(flip.apply_image(image))) == golden["flip/picture_crc32"]
    boxes = flip.apply_box(seeded_boxes(90, 160, 12, seed=2))
    np.testing.assert_allclose(boxes, golden["flip/boxes"], rtol=0, atol=1e-4)
    for recipe, key in (("det_3x", "flip/probability"), ("sem_seg_40k", "crop/flip_probability")):
        one = augmentation(bdd100k_d2.get_config(CONFIGS[recipe]), T.RandomFlip)
        assert (one.prob, one.horizontal) == (golden[key], True)


def test_boxes_are_scaled_and_not_clipped(golden: dict, tmp_path: Path) -> None:
    boxes = boxes_across_the_border()
    cv2.imwrite(str(tmp_path / "a.png"), seeded_image(HEIGHT, WIDTH)[..., ::-1])
    annotations = [
        {"bbox": [x1, y1, x2 - x1, y2 - y1], "bbox_mode": 1, "category_id": i % 10, "iscrowd": 0}
        for i, (x1, y1, x2, y2) in enumerate(boxes.astype(float).tolist())
    ]
    record = {"file_name": str(tmp_path / "a.png"), "height": HEIGHT, "width": WIDTH, "annotations": annotations}
    for i, (height, width) in enumerate(golden["resize/sizes"].tolist()):
        cfg = bdd100k_d2.get_config(CONFIGS["det_3x"])
        cfg.INPUT.MIN_SIZE_TRAIN, cfg.INPUT.RANDOM_FLIP = (height,), "none"
        result = BDD100KDatasetMapper(cfg, is_train=True)(record)
        found = result["instances"].gt_boxes.tensor
        np.testing.assert_allclose(found, golden["resize/boxes"][i], rtol=0, atol=1e-3)
        assert result["instances"].image_size == (height, width)
        # RGB, and what Vis4D's resize gives, within a grey level.
        pixels = in_256ths(sampled_pixels(result["image"].permute(1, 2, 0).numpy()))
        assert np.abs(pixels - golden["resize/pixels"][i]).max() <= 256


def test_each_color_adjustment(golden: dict) -> None:
    image = image_of_colors()
    amounts = golden["color/amounts"]
    expected = golden["color/alone"].reshape(4, 2, 17, 29, 3)
    for adjustment, name in enumerate(("brightness", "contrast", "saturation", "hue")):
        for end in range(2):
            transform = ColorAdjustmentTransform([(name, amounts[adjustment, end])])
            found = transform.apply_image(image)
            assert found.dtype == np.uint8
            # Half a grey level of rounding, and the goldens' own.
            assert np.abs(in_256ths(sampled_pixels(found)) - expected[adjustment, end]).max() <= 129
            assert np.abs(found.astype(int) - image).max() > 5
