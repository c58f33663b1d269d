"""Objects, classes of pixels and the legend, on a flat image whose every pixel is known."""

import colorsys

import numpy as np
import pytest
from detectron2.data.catalog import Metadata

from bdd100k_d2.data.categories import own_categories
from bdd100k_d2.drawing.draw import luminance
from bdd100k_d2.drawing.legend import add_legend
from bdd100k_d2.drawing.overlay import (
    IGNORED_COLOR,
    Classes,
    Objects,
    classes_of_task,
    draw_classes,
    draw_objects,
    edge_color,
    present_classes,
    stack_masks,
    stuff_classes,
    thing_classes,
    visible_classes,
)
from bdd100k_d2.tasks import TASKS

IMAGE = np.full((120, 160, 3), 100, np.uint8)
CLASSES = Classes(("car", "bus"), ((255, 0, 0), (0, 0, 255)))


def objects(*corners: tuple[float, ...], **fields: np.ndarray) -> Objects:
    return Objects(np.array(corners, np.float64), np.arange(len(corners)), **fields)


def masks(*regions: tuple[slice, slice]) -> np.ndarray:
    found = np.zeros((len(regions), 120, 160), bool)
    for mask, region in zip(found, regions, strict=True):
        mask[region] = True
    return found


def test_scores_are_written_and_ground_truth_has_none() -> None:
    plain = draw_objects(IMAGE, objects((40, 60, 120, 100)), CLASSES)
    scored = draw_objects(IMAGE, objects((40, 60, 120, 100), scores=np.array([0.5])), CLASSES)
    widths = [(drawn[50] == (255, 0, 0)).all(axis=1).nonzero()[0].max() for drawn in (plain, scored)]
    assert widths[1] > widths[0] + 20  # " 0.50"
    np.testing.assert_array_equal(plain[60:], scored[60:])


def test_ignored_objects_are_dashed_and_have_no_mask() -> None:
    owners = stack_masks(masks((slice(60, 101), slice(40, 121))), np.array([[40.0, 60, 120, 100]]))
    drawn = draw_objects(IMAGE, objects((40, 60, 120, 100), owners=owners, ignored=np.array([True])), CLASSES)
    edge = (drawn[60, 40:121] == IGNORED_COLOR).all(axis=1)
    assert 0.4 < edge.mean() < 0.8
    assert (drawn[65:95, 45:115] == 100).all() and (drawn[:60] == 100).all()


def test_the_mask_of_the_higher_score_lies_on_top_and_each_has_an_outline() -> None:
    corners = np.array([[20.0, 30, 79, 89], [50, 30, 109, 89]])
    both = masks((slice(30, 90), slice(20, 80)), (slice(30, 90), slice(50, 110)))
    for scores, owner in (((0.9, 0.4), 0), ((0.4, 0.9), 1)):
        owners = stack_masks(both, corners, np.array(scores))
        assert (owners[30:90, 50:80] == owner + 1).all() and owners.dtype == np.uint16
        drawn = draw_objects(IMAGE, Objects(corners, np.array([0, 1]), np.array(scores), owners), CLASSES)
        middle = [(178, 50, 50), (50, 50, 178)][owner]
        assert abs(drawn[60, 65].astype(int) - middle).max() <= 1
    # Two objects of one class side by side: the line between them has the class's edge colour.
    owners = stack_masks(both, corners, np.array([0.9, 0.4]))
    ids = np.where(owners > 0, 0, 255).astype(np.uint8)
    drawn = draw_classes(IMAGE, ids, CLASSES, owners)
    assert drawn[60, 79].tolist() == drawn[60, 80].tolist() == list(edge_color(CLASSES.colors[0]))


def test_more_objects_than_a_byte_can_number() -> None:
    corners = np.array([[x, y, x + 3, y + 3] for y in range(0, 80, 4) for x in range(0, 64, 4)], np.float64)
    regions = [(slice(int(y), int(y) + 4), slice(int(x), int(x) + 4)) for x, y in corners[:, :2]]
    owners = stack_masks(masks(*regions), corners)
    assert len(corners) == 320 and owners.max() == 320
    kinds = np.arange(320) % 2
    drawn = draw_objects(IMAGE, Objects(corners, kinds, None, owners), CLASSES)
    few = draw_objects(IMAGE, Objects(corners[:200], kinds[:200], None, np.where(owners > 200, 0, owners)), CLASSES)
    np.testing.assert_array_equal(drawn[:40], few[:40])
    assert (drawn[:80, :64] != 100).any(axis=2).all()


def test_without_scores_the_smaller_mask_lies_on_top() -> None:
    corners = np.array([[20.0, 30, 39, 49], [10, 20, 109, 89]])
    owners = stack_masks(masks((slice(30, 50), slice(20, 40)), (slice(20, 90), slice(10, 110))), corners)
    assert owners[40, 30] == 1 and owners[60, 60] == 2 and owners[0, 0] == 0


def test_classes_of_pixels_are_half_opaque_with_an_outline_and_others_stay() -> None:
    ids = np.full((120, 160), 255, np.uint8)
    ids[20:60, 20:60], ids[20:60, 60:100] = 0, 1
    drawn = draw_classes(IMAGE, ids, CLASSES)
    assert abs(drawn[40, 40].astype(int) - (178, 50, 50)).max() <= 1
    assert drawn[20, 40].tolist() == drawn[40, 59].tolist() == list(edge_color((255, 0, 0)))
    assert drawn[40, 60].tolist() == list(edge_color((0, 0, 255)))
    np.testing.assert_array_equal(drawn[ids == 255], IMAGE[ids == 255])
    assert (IMAGE == 100).all()


def test_the_background_is_neither_painted_nor_outlined() -> None:
    classes = visible_classes(TASKS["drivable"].names, TASKS["drivable"].colors)
    assert classes.colors[2] is None
    ids = np.full((120, 160), 2, np.uint8)
    ids[40:80, 40:80] = 0
    drawn = draw_classes(IMAGE, ids, classes)
    np.testing.assert_array_equal(drawn[ids == 2], IMAGE[ids == 2])
    assert (drawn[ids == 0] != 100).any(axis=1).all()


@pytest.mark.parametrize("task", TASKS)
def test_outlines_of_all_classes_are_seen_at_night_and_keep_their_hue(task: str) -> None:
    for color in TASKS[task].colors:
        edge = edge_color(color)
        assert luminance(edge) >= 0.35 and max(edge) <= 255
        assert edge == color or np.argmax(edge) in np.flatnonzero(np.array(color) == max(color))


def test_present_classes() -> None:
    ids = np.zeros((4, 5), np.uint8)
    ids[0, :3] = 18, 255, 7
    assert present_classes(ids) == [0, 7, 18, 255]


def test_the_legend_has_the_classes_under_the_image_the_absent_ones_dimmed() -> None:
    legend = add_legend(IMAGE, CLASSES, [1])
    np.testing.assert_array_equal(legend[:120], IMAGE)
    strip = legend[120:].reshape(-1, 3)
    assert (strip == (0, 0, 255)).all(axis=1).any() and not (strip == (255, 0, 0)).all(axis=1).any()
    assert legend.shape[0] % 2 == 0 and legend.shape[1:] == (160, 3)


def test_the_legend_has_one_size_for_all_frames_of_a_video() -> None:
    classes = visible_classes(TASKS["sem_seg"].names, TASKS["sem_seg"].colors)
    frame = np.zeros((720, 1280, 3), np.uint8)
    shapes = {add_legend(frame, classes, present).shape for present in ([], [0, 3], range(19), [255])}
    assert len(shapes) == 1
    large = np.zeros((1440, 2560, 3), np.uint8)
    assert add_legend(large, classes, []).shape[0] - 1440 > shapes.pop()[0] - 720


def test_classes_without_a_color_are_not_in_the_legend() -> None:
    classes = Classes(("car", "background"), ((255, 0, 0), None))
    np.testing.assert_array_equal(
        add_legend(IMAGE, classes, [0]), add_legend(IMAGE, Classes(("car",), ((255, 0, 0),)), [0])
    )


def test_masks_must_fit_the_image() -> None:
    with pytest.raises(ValueError, match="expected a uint8 mask of shape"):
        draw_classes(IMAGE, np.zeros((60, 80), np.uint8), CLASSES)
    with pytest.raises(ValueError, match="RGB image of shape"):
        add_legend(IMAGE[..., 0], CLASSES, [])


def test_own_classes_of_a_task_have_their_colors_and_background_none() -> None:
    own = own_categories(("tram", "car", "background"), None, are_things=True)
    task = TASKS["det"].with_classes(own)
    classes = classes_of_task(task)
    assert classes == Classes(("tram", "car", "background"), ((255, 136, 64), (30, 170, 255), None))
    drawn = draw_objects(IMAGE, objects((20, 30, 60, 70), (90, 30, 130, 70)), classes)
    assert drawn[50, 20].tolist() == [255, 136, 64] and drawn[50, 90].tolist() == [30, 170, 255]


@pytest.mark.parametrize("colors", [None, [(9, 8, 7)], [(9, 8, 7)] * 3])
def test_colors_that_are_not_one_per_class_are_none(colors: list | None) -> None:
    metadata = Metadata(thing_classes=["tram", "car"])
    if colors is not None:
        metadata.thing_colors = colors
    assert thing_classes(metadata) == Classes(("tram", "car"), ((255, 136, 64), (30, 170, 255)))
    assert stuff_classes(metadata) == Classes((), ())


def test_own_colors_are_told_apart_from_those_of_bdd100ks_names() -> None:
    names = ("car", "traffic light", "traffic sign", "building", *(f"own {i}" for i in range(6)))
    colors = [one.color for one in own_categories(names, None, are_things=True)]
    assert colors[:4] == [(30, 170, 255), (255, 215, 40), (90, 225, 70), (70, 70, 70)]
    hues = sorted(colorsys.rgb_to_hsv(*color)[0] for color in (*colors[:3], *colors[4:]))
    assert min(np.diff([*hues, hues[0] + 1])) > 0.04


def test_a_class_beyond_a_byte_has_its_box_and_no_mask() -> None:
    classes = Classes(tuple(f"class {i}" for i in range(301)), ((255, 0, 0),) * 301)
    owners = stack_masks(masks((slice(60, 101), slice(40, 121))), np.array([[40.0, 60, 120, 100]]))
    drawn = draw_objects(IMAGE, Objects(np.array([[40.0, 60, 120, 100]]), np.array([300]), None, owners), classes)
    assert drawn[80, 40].tolist() == [255, 0, 0] and drawn[80, 80].tolist() == [100, 100, 100]
