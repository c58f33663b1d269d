import numpy as np
import pytest
import torch
from detectron2.config import get_cfg
from detectron2.data import transforms as T  # noqa: N812, the name Detectron2 uses

from bdd100k_d2.config import add_bdd100k_config
from bdd100k_d2.data.augmentation import (
    ColorAdjustmentTransform,
    LinearResizeShortestEdge,
    LinearResizeTransform,
    ResizeShortestEdge,
    build_augmentation,
)


def image(height: int, width: int, channels: int = 3) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, channels), np.uint8)


@pytest.mark.parametrize("size", [(40, 60), (33, 47), (80, 120), (7, 200)])
def test_the_resize_interpolates_between_the_nearest_pixels(size: tuple[int, int]) -> None:
    """Against the definition, written out: pixel centres, weights by distance, the border repeated."""
    pixels = image(40, 60)
    rows, columns = ((np.arange(new) + 0.5) * old / new - 0.5 for new, old in zip(size, (40, 60), strict=True))
    top, left = np.floor(rows).astype(int), np.floor(columns).astype(int)
    down, right = (rows - top)[:, None, None], (columns - left)[None, :, None]

    def corner(dy: int, dx: int) -> np.ndarray:
        return pixels[np.clip(top + dy, 0, 39)[:, None], np.clip(left + dx, 0, 59)].astype(float)

    upper = corner(0, 0) * (1 - right) + corner(0, 1) * right
    lower = corner(1, 0) * (1 - right) + corner(1, 1) * right
    expected = upper * (1 - down) + lower * down
    found = LinearResizeTransform(40, 60, *size).apply_image(pixels)
    assert found.shape == (*size, 3) and found.dtype == np.uint8
    assert np.abs(found - expected).max() <= 1
    exact = LinearResizeTransform(40, 60, *size).apply_image(pixels.astype(np.float32))
    np.testing.assert_allclose(exact, expected, rtol=0, atol=0.01)


def test_views_and_single_channels() -> None:
    resize = LinearResizeTransform(40, 60, 20, 31)
    pixels = image(40, 60)
    np.testing.assert_array_equal(resize.apply_image(pixels[..., ::-1]), resize.apply_image(pixels)[..., ::-1])
    assert resize.apply_image(image(40, 60, 1)).shape == (20, 31, 1)
    assert resize.apply_image(pixels[..., 0]).shape == (20, 31)


def test_coordinates_ids_and_the_way_back() -> None:
    resize = LinearResizeTransform(40, 60, 20, 90)
    points = np.array([[0.0, 0.0], [60.0, 40.0], [10.0, 10.0]])
    scaled = resize.apply_coords(points)
    assert scaled.tolist() == [[0, 0], [90, 20], [15, 5]] and points[1].tolist() == [60, 40]
    np.testing.assert_allclose(resize.inverse().apply_coords(scaled), points)
    assert resize.apply_box(np.array([[10.0, 10.0, 20.0, 30.0]])).tolist() == [[15, 5, 30, 15]]
    ids = np.arange(40 * 60).reshape(40, 60)
    found = resize.apply_segmentation(ids)
    assert found.dtype == ids.dtype
    np.testing.assert_array_equal(found, ids[::2][:, np.arange(90) * 60 // 90])
    assert resize.inverse().apply_image(resize.apply_image(image(40, 60))).shape == (40, 60, 3)


def test_an_image_of_the_right_size_is_left_alone() -> None:
    pixels, ids = image(720, 1280), np.zeros((720, 1280), np.uint8)
    resize = LinearResizeShortestEdge([720, 720], 1280, "choice").get_transform(pixels)
    assert resize.apply_image(pixels) is pixels and resize.apply_segmentation(ids) is ids
    assert LinearResizeShortestEdge([0, 0], 1280, "choice").get_transform(pixels).apply_image(pixels) is pixels


def test_sizes_are_drawn_as_detectron2_draws_them() -> None:
    pixels = image(72, 128)
    for style, sizes in (("choice", (30, 41, 60)), ("range", (30, 70))):
        ours, theirs = (kind(sizes, 100, style) for kind in (LinearResizeShortestEdge, T.ResizeShortestEdge))
        for seed in range(30):
            np.random.seed(seed)
            found = ours.get_transform(pixels)
            np.random.seed(seed)
            expected = theirs.get_transform(pixels)
            assert (found.new_h, found.new_w) == (expected.new_h, expected.new_w)


@pytest.mark.parametrize("shape", [(72, 128), (128, 72), (41, 41), (30, 200)])
@pytest.mark.parametrize("size", [0, 41, 60])
def test_a_single_size_is_taken_without_a_draw(shape: tuple[int, int], size: int) -> None:
    cfg = get_cfg()
    add_bdd100k_config(cfg)
    cfg.INPUT.MIN_SIZE_TEST, cfg.INPUT.MAX_SIZE_TEST = size, 100
    pixels = image(*shape)
    for antialias in (True, False):
        cfg.INPUT.RESIZE_ANTIALIAS = antialias
        (ours,) = build_augmentation(cfg, is_train=False)
        np.random.seed(3)
        found = ours.get_transform(pixels).apply_image(pixels)
        after = np.random.rand()
        np.random.seed(3)
        assert after == np.random.rand()
        ours.draws = True
        np.testing.assert_array_equal(found, ours.get_transform(pixels).apply_image(pixels))


def test_the_key_chooses() -> None:
    cfg = get_cfg()
    add_bdd100k_config(cfg)
    for is_train in (True, False):
        assert type(build_augmentation(cfg, is_train)[0]) is ResizeShortestEdge
    cfg.INPUT.RESIZE_ANTIALIAS = False
    for is_train, sizes in ((True, (800,)), (False, (800, 800))):
        resize = build_augmentation(cfg, is_train)[0]
        assert type(resize) is LinearResizeShortestEdge
        assert tuple(resize.short_edge_length) == sizes and resize.max_size == 1333 and not resize.is_range
    cfg.INPUT.MIN_SIZE_TRAIN, cfg.INPUT.MIN_SIZE_TRAIN_SAMPLING = (600, 720), "range"
    assert build_augmentation(cfg, True)[0].is_range


def test_colours_are_the_same_in_a_loaders_worker_and_beside_the_model() -> None:
    """Workers have one thread; with two, means are rounded otherwise."""
    rng = np.random.default_rng(0)
    threads = torch.get_num_threads()
    try:
        for i in range(12):
            pixels = rng.integers(0, 256, (512, 1024, 3), np.uint8)
            transform = ColorAdjustmentTransform([("brightness", 1.1), ("contrast", 0.7 + i / 50), ("saturation", 0.8)])
            found = []
            for count in (1, 2):
                torch.set_num_threads(count)
                found.append(transform.apply_image(pixels))
                assert torch.get_num_threads() == count
            np.testing.assert_array_equal(*found)
    finally:
        torch.set_num_threads(threads)
