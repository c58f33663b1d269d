"""Mosaic, MixUp and the distortion of colours against mmdetection 2.x, and in numbers that are computed here."""

from pathlib import Path

import numpy as np
import pytest
from parity.seeded import seeded_boxes, seeded_image

from bdd100k_d2.data.float_photometric import FloatPhotometricDistortion, FloatPhotometricTransform
from bdd100k_d2.data.multi_image import LabelledImage, MixUp, Mosaic

# Those of tests/parity/sources/mm_strong.py, which made the golden file.
SIZE = (45, 80)
IMAGES = ((45, 80), (90, 160), (64, 70), (30, 120), (72, 128))


@pytest.fixture(scope="module")
def golden() -> dict[str, np.ndarray]:
    with np.load(Path(__file__).parents[1] / "parity/golden/strong.npz") as file:
        return dict(file)


def labelled(number: int) -> LabelledImage:
    height, width = IMAGES[number]
    boxes = seeded_boxes(height, width, 6, seed=number)
    return LabelledImage(seeded_image(height, width, seed=number), boxes, np.arange(6) + 10 * number)


def assert_equal(found: LabelledImage, golden: dict[str, np.ndarray], name: str) -> None:
    np.testing.assert_array_equal(found.image, golden[f"{name}/image"])
    np.testing.assert_array_equal(found.classes, golden[f"{name}/classes"])
    np.testing.assert_allclose(found.boxes, golden[f"{name}/boxes"], atol=2e-5)


@pytest.mark.parametrize("case", range(3))
def test_mosaic_is_mmdets(golden: dict[str, np.ndarray], case: int) -> None:
    x, y = golden[f"mosaic{case}/draws"]
    mosaic = Mosaic(SIZE, (0.5, 1.5))
    found = mosaic.combine([labelled(i) for i in range(4)], (int(x * SIZE[1]), int(y * SIZE[0])))
    assert_equal(found, golden, f"mosaic{case}")
    # Some boxes were dropped, and others clipped.
    assert 6 < len(found.boxes) < 24 and (found.boxes % [160, 90, 160, 90] == 0).any()


@pytest.mark.parametrize("case", range(4))
def test_mixup_is_mmdets(golden: dict[str, np.ndarray], case: int) -> None:
    ratio, is_flipped, target, other, y, x = golden[f"mixup{case}/draws"].tolist()
    mixup = MixUp(SIZE, (0.5, 1.5), 0.5)
    found = mixup.combine(labelled(int(target)), labelled(int(other)), ratio, bool(is_flipped), (int(x), int(y)))
    assert_equal(found, golden, f"mixup{case}")


@pytest.mark.parametrize("image_format", ["RGB", "BGR"])
@pytest.mark.parametrize("case", range(3))
def test_the_distortion_is_mmdets(golden: dict[str, np.ndarray], case: int, image_format: str) -> None:
    names = [{"last": "last_contrast"}.get(name, name) for name in golden[f"photometric{case}/names"].tolist()]
    amounts = dict(zip(names, golden[f"photometric{case}/amounts"].tolist(), strict=True))
    order = golden[f"photometric{case}/order"].tolist() or None
    image = seeded_image(*SIZE, seed=9)
    if image_format == "BGR":
        found = FloatPhotometricTransform(**amounts, order=order, image_format="BGR").apply_image(image)
    else:
        # mmdet's channels are in the other order, and are permuted in it.
        order = None if order is None else [2 - order[2 - i] for i in range(3)]
        found = FloatPhotometricTransform(**amounts, order=order).apply_image(image[..., ::-1])[..., ::-1]
    assert found.dtype == np.float32 and found.shape == (*SIZE, 3)
    np.testing.assert_allclose(found, golden[f"photometric{case}/image"], atol=2e-4)
    # Nothing is cut.
    assert (found.min() < 0) == (case == 2) and (found.max() > 255) == (case == 1)


def test_a_mosaic_in_numbers() -> None:
    images = [
        LabelledImage(np.full((4, 8, 3), 10 * (i + 1), np.uint8), np.array([[0, 0, 8, 4.0]]), np.array([i]))
        for i in range(4)
    ]
    image, boxes, classes = Mosaic((4, 8), (0.5, 1.5)).combine(images, (6, 5))
    assert image.shape == (8, 16, 3) and image.dtype == np.uint8
    expected = np.full((8, 16), 114)
    expected[1:5, :6], expected[1:5, 6:14], expected[5:, :6], expected[5:, 6:14] = 10, 20, 30, 40
    np.testing.assert_array_equal(image[..., 0], expected)
    # The left ones are cut at the left, the lower ones below.
    assert boxes.tolist() == [[0, 1, 6, 5], [6, 1, 14, 5], [0, 5, 6, 8], [6, 5, 14, 8]]
    assert classes.tolist() == [0, 1, 2, 3]


def test_a_mixup_in_numbers() -> None:
    image = LabelledImage(np.full((8, 16, 3), 101, np.uint8), np.array([[1.0, 1, 3, 3]]), np.array([7]))
    # As high as the canvas, half as wide.
    other = LabelledImage(np.full((8, 8, 3), 52, np.uint8), np.array([[0.0, 0, 2, 8], [4, 4, 8, 8]]), np.array([1, 2]))
    found = MixUp((4, 8), (0.5, 1.5), 0.5).combine(image, other, 1.0, True, (0, 0))
    expected = np.full((8, 16), 50)
    # Rounded down: (101 + 114) / 2 and (101 + 52) / 2.
    expected[:4, :4], expected[:4, 4:8] = 107, 76
    np.testing.assert_array_equal(found.image[..., 0], expected)
    assert found.boxes.tolist() == [[1, 1, 3, 3], [7, 0, 8, 4], [4, 2, 6, 4]] and found.classes.tolist() == [7, 1, 2]
    assert image.image.max() == 101


def test_averages_are_rounded_down() -> None:
    first, second = np.indices((256, 256), np.uint8)
    nothing = np.zeros((0, 4)), np.zeros(0, np.int64)
    images = [LabelledImage(np.repeat(one[..., None], 3, axis=2), *nothing) for one in (first, second)]
    found = MixUp((256, 256), (1.0, 1.0), 0.0)(*images)
    np.testing.assert_array_equal(found.image[..., 1], (first.astype(int) + second) // 2)


def test_draws_are_in_their_ranges() -> None:
    images = [labelled(i) for i in range(4)]
    np.random.seed(0)
    mosaic = Mosaic(SIZE, (0.5, 1.5))
    centers = []
    mosaic.combine = lambda _, center: centers.append(center)  # type: ignore[method-assign]
    mixup = MixUp(SIZE, (0.5, 1.5), 0.25)
    drawn = []
    mixup.combine = lambda *args: drawn.append(args[2:])  # type: ignore[method-assign]
    for _ in range(400):
        mosaic(images)
        mixup(images[0], images[1])
    x, y = np.array(centers).T
    assert 40 <= x.min() < 45 and 115 < x.max() < 120 and 22 <= y.min() < 24 and 64 < y.max() < 68
    ratios, flips, offsets = zip(*drawn, strict=True)
    assert 0.5 <= min(ratios) < 0.51 and 1.49 < max(ratios) < 1.5 and 0.2 < np.mean(flips) < 0.3
    assert all(0 <= x <= max(int(80 * ratio) - 80, 0) for ratio, (x, _) in zip(ratios, offsets, strict=True))
    assert max(x for x, _ in offsets) > 30 and max(y for _, y in offsets) > 15


def test_the_distortion_changes_each_of_half_of_the_images() -> None:
    np.random.seed(0)
    distortion = FloatPhotometricDistortion()
    drawn = [distortion.get_transform(np.zeros((2, 2, 3), np.uint8)) for _ in range(800)]
    for name, low, high in (("brightness", -32, 32), ("saturation", 0.5, 1.5), ("hue", -18, 18)):
        amounts = [getattr(one, name) for one in drawn if getattr(one, name) is not None]
        assert 340 < len(amounts) < 460 and low <= min(amounts) < low + 0.05 * (high - low) and max(amounts) <= high
    contrasts = [(one.contrast is not None, one.last_contrast is not None) for one in drawn]
    assert (True, True) not in contrasts and 150 < contrasts.count((True, False)) < 250
    assert 150 < contrasts.count((False, True)) < 250 and 340 < sum(one.order is not None for one in drawn) < 460


def test_a_narrow_image_keeps_a_pixel() -> None:
    line = LabelledImage(np.full((400, 1, 3), 9, np.uint8), np.zeros((0, 4)), np.zeros(0, np.int64))
    found = Mosaic((4, 8), (0.5, 1.5)).combine([line] * 4, (8, 4))
    assert (found.image == 9).sum() == 2 * 8 * 3 and found.boxes.shape == (0, 4)
