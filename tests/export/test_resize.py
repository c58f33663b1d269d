"""The resize inside a graph gives the very pixels that the resize outside of one gives."""

from collections.abc import Iterator

import cv2
import numpy as np
import pytest
import torch
from detectron2.data.transforms import AugInput, AugmentationList
from PIL import Image
from torch import nn

import bdd100k_d2
from bdd100k_d2.data.augmentation import build_augmentation
from bdd100k_d2.errors import ConfigError
from bdd100k_d2.export.resize import AntialiasedResize, LinearResize, LinearResizeOfAnySize, build_resize


def sizes(number: int, seed: int) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
    """Old and new sizes: any, halves, one side kept, enlarged, and those of the data."""
    random = np.random.default_rng(seed)
    for i in range(number):
        height, width, new_height, new_width = map(int, random.integers(1, 200, 4))
        if i % 5 == 0:
            yield (2 * new_height, 2 * new_width), (new_height, new_width)
        elif i % 5 == 1:
            yield (height, width), (height, new_width)
        else:
            yield (height, width), (new_height, new_width)
    yield (720, 1280), (320, 569)
    yield (360, 641), (720, 1280)


def image(height: int, width: int) -> np.ndarray:
    """Random pixels, or black and white ones, of which sums are the largest."""
    random = np.random.default_rng(height * width)
    return (
        random.integers(0, 256, (height, width, 3), np.uint8)
        if height % 2
        else (random.integers(0, 2, (height, width, 3)) * 255).astype(np.uint8)
    )


def resized(module: nn.Module, pixels: np.ndarray) -> np.ndarray:
    found = module(torch.from_numpy(pixels)[None])[0].numpy()
    assert found.dtype in (np.float32, np.uint8)
    return found


def test_linear_is_opencvs() -> None:
    for old, new in sizes(60, seed=0):
        pixels = image(*old)
        expected = cv2.resize(pixels, new[::-1], interpolation=cv2.INTER_LINEAR)
        assert np.array_equal(resized(LinearResize(old, new), pixels), expected.reshape(*new, 3)), (old, new)


def test_antialiased_is_pillows() -> None:
    for old, new in sizes(60, seed=1):
        pixels = image(*old)
        expected = np.array(Image.fromarray(pixels).resize(new[::-1], Image.Resampling.BILINEAR))
        assert np.array_equal(resized(AntialiasedResize(old, new), pixels), expected), (old, new)


@pytest.mark.parametrize("antialias", [True, False])
@pytest.mark.parametrize("size", [(720, 1280), (333, 200), (64, 300), (50, 60)])
def test_a_graph_resizes_as_the_config_says(size: tuple[int, int], antialias: bool) -> None:
    pixels, cfg = image(*size), config("INPUT.RESIZE_ANTIALIAS", antialias)
    expected = as_read(cfg, pixels)
    assert expected.shape != pixels.shape
    assert np.array_equal(resized(build_resize(cfg, size), pixels), expected)
    if not antialias:
        assert np.array_equal(resized(build_resize(cfg, None), pixels), expected)


def config(*keys: object) -> object:
    cfg = bdd100k_d2.get_config("sem_seg/semantic_fpn_R_50_40k")
    cfg.INPUT.MIN_SIZE_TEST, cfg.INPUT.MAX_SIZE_TEST = 100, 180
    cfg.merge_from_list([*keys])
    return cfg


def as_read(cfg: object, pixels: np.ndarray) -> np.ndarray:
    inputs = AugInput(pixels)
    AugmentationList(build_augmentation(cfg, is_train=False))(inputs)
    return inputs.image


def test_sizes_are_those_of_the_config_but_for_halves_that_floats_round_down() -> None:
    resize, cfg = LinearResizeOfAnySize(100, 180), config()
    for height, width in np.random.default_rng(0).integers(2, 300, (100, 2)).tolist():
        blank = np.zeros((height, width, 3), np.uint8)
        assert resized(resize, blank).shape == as_read(cfg, blank).shape, (height, width)
    assert resized(LinearResizeOfAnySize(720, 1280), np.zeros((97, 512, 3), np.uint8)).shape == (243, 1280, 3)
    wide = config("INPUT.MIN_SIZE_TEST", 720, "INPUT.MAX_SIZE_TEST", 1280)
    assert as_read(wide, np.zeros((97, 512, 3), np.uint8)).shape == (242, 1280, 3)


@pytest.mark.parametrize("keys", [("INPUT.MIN_SIZE_TEST", 0), ("INPUT.MIN_SIZE_TEST", 120, "INPUT.MAX_SIZE_TEST", 200)])
def test_nothing_is_done_to_a_size_that_is_kept(keys: tuple[object, ...]) -> None:
    assert isinstance(build_resize(config(*keys), (120, 200)), nn.Identity)


def test_what_cannot_be_resized_is_refused() -> None:
    with pytest.raises(
        ConfigError, match=r"--size dynamic: INPUT.RESIZE_ANTIALIAS is True, .*; give the size of the im"
    ):
        build_resize(config("INPUT.RESIZE_ANTIALIAS", True), None)
    with pytest.raises(ConfigError, match=r"--size 1x9000: resized as INPUT says, the image is 180x0 pixels"):
        build_resize(config(), (1, 9000))
