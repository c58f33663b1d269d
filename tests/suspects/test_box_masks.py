"""Boxes against the masks of the same frames."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from support.frames import write_image
from support.suspect_sets import PLACES, SuspectSet, detected_frames, sound_frames

from bdd100k_d2.data.labels import Box2D, write_frames
from bdd100k_d2.errors import ConfigError, DataError
from bdd100k_d2.suspects.find import SuspectOptions, find_suspects
from bdd100k_d2.tasks import TASKS

IDS = {name: i for i, name in enumerate(TASKS["sem_seg"].names)}


def write_set(folder: Path) -> tuple[SuspectSet, Path]:
    """Sound boxes and detections, and masks of the same objects on a road; no mask of the last frame."""
    files = SuspectSet(folder / "truth.json", folder / "run.json", folder / "images")
    write_frames(sound_frames(), files.truth)
    write_frames(detected_frames(), files.predicted)
    masks = folder / "masks"
    masks.mkdir()
    for frame in sound_frames()[:-1]:
        mask = np.full((96, 160), IDS["road"], np.uint8)
        for label, (x1, y1, x2, y2) in zip(frame.labels or (), PLACES, strict=True):
            name = "person" if label.category == "pedestrian" else label.category
            mask[y1 + 2 : y2 - 1, x1 + 2 : x2 - 1] = IDS[name or ""]
        cv2.imwrite(str(masks / f"{frame.name[:-4]}.png"), mask)
    return files, masks


def repaint(path: Path, box: tuple[int, int, int, int], name: str) -> None:
    mask = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    mask[box[1] : box[3] + 1, box[0] : box[2] + 1] = IDS[name]
    cv2.imwrite(str(path), mask)


def test_what_masks_and_boxes_do_not_share(tmp_path: Path) -> None:
    files, masks = write_set(tmp_path)
    repaint(masks / "004.png", PLACES[0], "road")
    repaint(masks / "006.png", PLACES[0], "bus")
    repaint(masks / "008.png", (60, 60, 89, 89), "car")
    options = SuspectOptions(kinds=("mask against box",), masks=masks, workers=1)
    suspects = find_suspects("det", files.truth, [files.predicted], None, options).suspects
    changes = {(one.change.frame, one.change.action): one for one in suspects}
    removed, renamed = changes["004.jpg", "remove"], changes["006.jpg", "rename"]
    assert removed.change.label.place == 0 and renamed.change.category == "bus"
    added = changes["008.jpg", "add"].change
    assert added.category == "car" and added.box == (60.0, 60.0, 89.0, 89.0)
    assert "of the pixels of this car are one in the mask" in removed.evidence
    # The bus of the mask is the car that is called so, and is not to be added too.
    assert len(suspects) == 3


def test_a_region_inside_a_box_of_another_class_is_one_object_or_two(tmp_path: Path) -> None:
    files, masks = write_set(tmp_path)
    frames = sound_frames()
    # The bus fills 47 % of the car's box, which has no pixel of a car: IoU is below 0.5, and it is one object.
    repaint(masks / "006.png", PLACES[0], "road")
    repaint(masks / "006.png", (4, 4, 33, 17), "bus")
    # And a car with a bus before it, which has no box.
    frames[8].labels[0].box2d = Box2D(4.0, 4.0, 33.0, 93.0)
    repaint(masks / "008.png", (4, 4, 33, 93), "car")
    repaint(masks / "008.png", (6, 60, 31, 89), "bus")
    write_frames(frames, files.truth)
    options = SuspectOptions(kinds=("mask against box",), masks=masks, workers=1)
    suspects = find_suspects("det", files.truth, [files.predicted], None, options).suspects
    found = {(one.change.frame, one.change.action, one.change.category) for one in suspects}
    assert found == {("006.jpg", "rename", "bus"), ("008.jpg", "add", "bus")}


def test_equal_boxes_and_masks_have_no_suspects(tmp_path: Path) -> None:
    files, masks = write_set(tmp_path)
    options = SuspectOptions(kinds=("mask against box",), masks=masks, workers=1)
    assert find_suspects("det", files.truth, [files.predicted], None, options).suspects == []


def test_masks_of_another_size_are_refused(tmp_path: Path) -> None:
    files, masks = write_set(tmp_path)
    path = masks / "004.png"
    mask = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    cv2.imwrite(str(path), mask[::2, ::2])
    options = SuspectOptions(masks=masks, workers=1)
    message = r"masks/004\.png: the mask is 80x48, and its frame 004\.jpg is 160x96; give masks of the same images"
    with pytest.raises(DataError, match=message):
        find_suspects("det", files.truth, [files.predicted], None, options)
    # Without a size in the labels it is the image's, and without an image BDD100K's.
    frames = sound_frames()
    for frame in frames:
        frame.size = None
    write_frames(frames, files.truth)
    with pytest.raises(DataError, match=r"the mask is 160x96, and its frame 000\.jpg is 1280x720"):
        find_suspects("det", files.truth, [files.predicted], None, options)
    for frame in frames:
        write_image(files.images / frame.name)
    with pytest.raises(DataError, match=message):
        find_suspects("det", files.truth, [files.predicted], files.images, options)
    cv2.imwrite(str(path), mask)
    assert find_suspects("det", files.truth, [files.predicted], files.images, options).num_frames == 60


def test_masks_of_other_frames_are_refused(tmp_path: Path) -> None:
    files, masks = write_set(tmp_path)
    for path in masks.glob("*.png"):
        path.rename(path.with_name(f"x{path.name}"))
    options = SuspectOptions(masks=masks, workers=1)
    with pytest.raises(DataError, match="none of its 59 masks is of a frame of the boxes"):
        find_suspects("det", files.truth, [files.predicted], None, options)
    with pytest.raises(DataError, match="no such folder of masks"):
        find_suspects("det", files.truth, [files.predicted], None, options._replace(masks=tmp_path / "nowhere"))
    with pytest.raises(ConfigError, match="masks beside boxes are of det"):
        find_suspects("sem_seg", masks, [masks], None, options)
