"""The colour changes of mmsegmentation's recipes."""

import colorsys

import numpy as np
import pytest

from bdd100k_d2.data.photometric import PhotometricDistortion, PhotometricTransform


def noise(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (6, 7, 3), np.uint8)


def test_brightness_and_contrast_are_cut_and_rounded_down() -> None:
    image = np.array([[[0, 100, 250]]], np.uint8)
    assert PhotometricTransform([("brightness", 10.7)]).apply_image(image).tolist() == [[[10, 110, 255]]]
    assert PhotometricTransform([("brightness", -10.5)]).apply_image(image).tolist() == [[[0, 89, 239]]]
    assert PhotometricTransform([("contrast", 1.25)]).apply_image(image).tolist() == [[[0, 125, 255]]]
    # One after the other.
    both = PhotometricTransform([("contrast", 0.5), ("brightness", 1.0)])
    assert both.apply_image(image).tolist() == [[[1, 51, 126]]]


@pytest.mark.parametrize("image_format", ["RGB", "BGR"])
def test_hue_and_saturation(image_format: str) -> None:
    image = np.array([[[200, 40, 40]]], np.uint8)
    ordered = image if image_format == "RGB" else image[..., ::-1]
    turned = PhotometricTransform([("hue", 15)], image_format).apply_image(ordered)
    # 15 of 180 steps: 30 degrees from red towards yellow.
    expected = np.array(colorsys.hsv_to_rgb(30 / 360, 0.8, 200 / 255)) * 255
    assert np.abs((turned if image_format == "RGB" else turned[..., ::-1])[0, 0] - expected).max() <= 1.5
    paler = PhotometricTransform([("saturation", 0.5)], image_format).apply_image(ordered)
    expected = np.array(colorsys.hsv_to_rgb(0, 0.4, 200 / 255)) * 255
    assert np.abs((paler if image_format == "RGB" else paler[..., ::-1])[0, 0] - expected).max() <= 1.5


def test_half_of_the_images_get_each_change_and_contrast_comes_second_or_last() -> None:
    np.random.seed(0)
    drawn = [PhotometricDistortion().get_transform(noise()).changes for _ in range(2000)]
    for name, low, high in (
        ("brightness", -32, 32),
        ("contrast", 0.5, 1.5),
        ("saturation", 0.5, 1.5),
        ("hue", -18, 17),
    ):
        amounts = [amount for changes in drawn for one, amount in changes if one == name]
        assert 900 < len(amounts) < 1100
        assert low <= min(amounts) < low + 0.05 * (high - low) and high - 0.05 * (high - low) < max(amounts) <= high
    orders = {tuple(name for name, _ in changes) for changes in drawn}
    assert ("brightness", "contrast", "saturation", "hue") in orders
    assert ("brightness", "saturation", "hue", "contrast") in orders
    # Contrast has two places in six of the sixteen sets of changes.
    assert len(orders) == 16 + 6


def test_the_image_stays_as_it_was() -> None:
    image, view = noise(), noise()[:, ::-1]
    PhotometricTransform([("hue", 3), ("saturation", 1.2), ("brightness", 3)]).apply_image(image)
    assert (image == noise()).all()
    # OpenCV takes no view of reversed columns.
    assert PhotometricTransform([("hue", 3)]).apply_image(view).shape == view.shape
