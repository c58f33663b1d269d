import numpy as np
import pytest

from bdd100k_d2.drawing.draw import Box, draw_boxes, overlay_mask, text_color

RED, BLUE = (255, 0, 0), (0, 0, 255)


@pytest.fixture
def image() -> np.ndarray:
    return np.random.default_rng(0).integers(40, 200, (240, 320, 3), np.uint8)


def changed(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """(H, W), where the images differ."""
    return (before != after).any(axis=2)


def extent(mask: np.ndarray) -> tuple[int, int, int, int]:
    rows, columns = np.nonzero(mask)
    return columns.min(), rows.min(), columns.max(), rows.max()


def test_an_outline_covers_the_border_of_the_box_and_nothing_else(image: np.ndarray) -> None:
    drawn = draw_boxes(image, [Box((50, 60, 149, 139), RED)])
    assert drawn.dtype == np.uint8 and drawn.shape == image.shape
    expected = np.zeros(image.shape[:2], bool)
    expected[60:140, 50:150] = True
    expected[62:138, 52:148] = False  # two pixels wide, inside of the inclusive corners
    assert (drawn[expected] == RED).all()
    np.testing.assert_array_equal(changed(image, drawn), expected)


def test_the_image_that_is_given_stays_as_it_is(image: np.ndarray) -> None:
    before = image.copy()
    draw_boxes(image, [Box((50, 60, 149, 139), RED, "car")])
    overlay_mask(image, np.zeros(image.shape[:2], np.uint8), [RED])
    np.testing.assert_array_equal(image, before)


@pytest.mark.parametrize(("side", "line"), [(12, 1), (100, 2), (200, 3)])
def test_lines_grow_with_the_box(image: np.ndarray, side: int, line: int) -> None:
    drawn = draw_boxes(image, [Box((10, 10, 9 + side, 9 + side), RED)])
    middle = 10 + side // 2
    assert (drawn[middle, 10 : 10 + side] == RED).all(axis=1).sum() == 2 * line


def test_a_box_of_one_pixel_is_one_pixel(image: np.ndarray) -> None:
    assert extent(changed(image, draw_boxes(image, [Box((7, 9, 7, 9), RED)]))) == (7, 9, 7, 9)


def test_what_lies_outside_of_the_image_is_cut_off(image: np.ndarray) -> None:
    drawn = draw_boxes(image, [Box((-30, -20, 40, 50), RED)])
    assert extent(changed(image, drawn)) == (0, 0, 40, 50)
    assert (drawn[:51, 40] == RED).all()


@pytest.mark.parametrize(
    "corners",
    [
        (400, 10, 420, 30),
        (10, -50, 30, -1),
        (float("nan"), 0, 10, 10),
        (0, 0, float("inf"), 10),
        (30, 10, 20, 40),
    ],
)
def test_a_box_without_a_place_is_not_drawn(image: np.ndarray, corners: tuple[float, ...]) -> None:
    np.testing.assert_array_equal(draw_boxes(image, [Box(corners, RED, "car", 0.9)]), image)


def test_the_higher_score_is_drawn_on_top_whatever_the_order(image: np.ndarray) -> None:
    boxes = [Box((50, 60, 149, 139), RED, score=0.9), Box((50, 60, 149, 139), BLUE, score=0.4)]
    for order in (boxes, boxes[::-1]):
        assert (draw_boxes(image, order)[60, 50:150] == RED).all()


def test_without_scores_the_smaller_box_is_drawn_on_top(image: np.ndarray) -> None:
    small, large = Box((50, 60, 99, 99), RED), Box((50, 60, 199, 199), BLUE)
    assert (draw_boxes(image, [small, large])[60, 50:100] == RED).all()


def test_a_dashed_outline_has_gaps(image: np.ndarray) -> None:
    on = changed(image, draw_boxes(image, [Box((50, 60, 149, 139), RED, dashed=True)]))
    assert extent(on) == (50, 60, 149, 139)
    assert not on[61:139, 51:149].any()
    for edge in (on[60, 50:150], on[139, 50:150], on[60:140, 50], on[60:140, 149]):
        assert 0.4 < edge.mean() < 0.8


def test_the_chip_stands_on_the_box(image: np.ndarray) -> None:
    plain = draw_boxes(image, [Box((50, 60, 149, 139), RED)])
    chip = changed(plain, draw_boxes(image, [Box((50, 60, 149, 139), RED, "car 0.97")]))
    x1, y1, x2, y2 = extent(chip)
    assert (x1, y2) == (50, 59)
    assert 12 <= y2 - y1 + 1 <= 24 and 30 <= x2 - x1 + 1 <= 100


def test_the_chip_has_the_color_of_the_box_and_text_in_contrast() -> None:
    image = np.full((240, 320, 3), 90, np.uint8)
    for color, text in (((255, 215, 40), (0, 0, 0)), ((20, 20, 90), (255, 255, 255))):
        chip = draw_boxes(image, [Box((50, 60, 149, 139), color, "car 0.97")])[48:58, 52:98].reshape(-1, 3).astype(int)
        assert (abs(chip - color).max(axis=1) == 0).mean() > 0.4
        assert (abs(chip - text).max(axis=1) < 60).sum() > 20


@pytest.mark.parametrize(
    "corners", [(0, 0, 60, 60), (5, 10, 60, 60), (290, 0, 319, 60), (280, 200, 319, 239), (0, 0, 319, 239)]
)
def test_the_chip_stays_inside_of_the_image(image: np.ndarray, corners: tuple[int, ...]) -> None:
    bare = changed(image, draw_boxes(image, [Box(corners, RED)]))
    chip = changed(image, draw_boxes(image, [Box(corners, RED, "traffic sign 0.55")])) & ~bare
    x1, _, x2, _ = extent(chip)
    assert chip.sum() > 1000  # whole, 110 by 15 pixels or so, less the outline under it
    assert x2 - x1 > 90


def test_small_boxes_get_no_chip(image: np.ndarray) -> None:
    drawn = draw_boxes(image, [Box((50, 60, 61, 71), RED, "traffic light 0.50")])
    assert extent(changed(image, drawn)) == (50, 60, 61, 71)


def test_chips_do_not_cover_each_other_and_the_best_score_has_its_chip(image: np.ndarray) -> None:
    best = Box((100, 100, 160, 160), RED, "car 0.90", 0.9)
    alone = draw_boxes(image, [best])
    chip = changed(draw_boxes(image, [best._replace(text="")]), alone)
    crowd = [Box((100 + i, 100 + i, 160 + i, 160 + i), BLUE, "car 0.50", 0.5 - i / 100) for i in range(1, 30)]
    crowded = draw_boxes(image, [best, *crowd])
    np.testing.assert_array_equal(crowded[chip], alone[chip])


def test_a_chip_moves_away_from_another(image: np.ndarray) -> None:
    boxes = [Box((100, 100, 130, 160), RED, "car 0.90", 0.9), Box((100, 100, 130, 160), BLUE, "car 0.50", 0.5)]
    drawn = draw_boxes(image, boxes)
    above, below = ((drawn == color).all(axis=2) for color in (RED, BLUE))
    assert extent(above)[:2] == (100, 100 - (extent(below)[3] - extent(below)[1] + 1))
    assert extent(below)[1] == 161


def test_a_chip_does_not_hide_a_smaller_box(image: np.ndarray) -> None:
    # Above the large box, where its chip would go, and below it.
    small = [Box((60, 86, 76, 98), BLUE), Box((60, 201, 76, 213), BLUE)]
    drawn = draw_boxes(image, [Box((50, 100, 90, 200), RED, "bus"), *small])
    assert (drawn[86, 60:77] == BLUE).all() and (drawn[213, 60:77] == BLUE).all()


def test_a_text_that_is_wider_than_the_image_is_left_out() -> None:
    image = np.zeros((60, 60, 3), np.uint8)
    drawn = draw_boxes(image, [Box((10, 30, 50, 55), RED, "a very long class name")])
    assert extent(changed(image, drawn)) == (10, 30, 50, 55)


def test_no_boxes_change_nothing(image: np.ndarray) -> None:
    np.testing.assert_array_equal(draw_boxes(image, []), image)


def test_the_overlay_mixes_color_and_image_half_and_half(image: np.ndarray) -> None:
    mask = np.full(image.shape[:2], 255, np.uint8)
    mask[:80], mask[80:160] = 0, 1
    mixed = overlay_mask(image, mask, [(200, 100, 0), None])
    expected = (image[:80] + np.array([200.0, 100.0, 0.0])) / 2
    assert mixed.dtype == np.uint8
    assert abs(mixed[:80] - expected).max() <= 0.5
    np.testing.assert_array_equal(mixed[80:], image[80:])  # a class without a color, and ignored pixels


@pytest.mark.parametrize(("opacity", "value"), [(0.0, 100), (0.25, 125), (1.0, 200)])
def test_the_opacity_of_the_overlay(opacity: float, value: int) -> None:
    mixed = overlay_mask(np.full((4, 4, 3), 100, np.uint8), np.zeros((4, 4), np.uint8), [(200, 200, 200)], opacity)
    assert (mixed == value).all()


@pytest.mark.parametrize(
    "wrong", [np.zeros((240, 320), np.uint8), np.zeros((240, 320, 4), np.uint8), np.zeros((240, 320, 3), np.float32)]
)
def test_only_uint8_rgb_images_are_drawn_on(wrong: np.ndarray) -> None:
    with pytest.raises(ValueError, match="RGB image of shape"):
        draw_boxes(wrong, [])
    with pytest.raises(ValueError, match="RGB image of shape"):
        overlay_mask(wrong, np.zeros((240, 320), np.uint8), [RED])


@pytest.mark.parametrize("mask", [np.zeros((120, 320), np.uint8), np.zeros((240, 320), np.int64)])
def test_the_mask_must_fit_the_image(image: np.ndarray, mask: np.ndarray) -> None:
    with pytest.raises(ValueError, match="expected a uint8 mask of shape"):
        overlay_mask(image, mask, [RED])


def test_text_is_black_on_light_and_white_on_dark_colors() -> None:
    assert text_color((255, 215, 40)) == text_color((255, 255, 255)) == (0, 0, 0)
    assert text_color((0, 0, 142)) == text_color((0, 0, 0)) == (255, 255, 255)
