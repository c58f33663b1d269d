import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from support.frames import make_frame, write_image
from support.run_folders import det_color, write_config, write_det_predictions, write_det_run, write_mask_run

from bdd100k_d2.data.labels import Frame, Label, write_frames
from bdd100k_d2.data.vintages import read_labels
from bdd100k_d2.drawing.overlay import classes_of_task
from bdd100k_d2.errors import DataError, OutputError
from bdd100k_d2.report.gallery import Gallery, make_gallery
from bdd100k_d2.report.page_images import GalleryImages
from bdd100k_d2.report.run import read_run
from bdd100k_d2.tasks import TASKS


def gallery(folder: Path, root: Path, page: Path, **options: object) -> Gallery:
    return make_gallery(read_run(folder, root).evaluations[0], page, "x", **options)


def read(path: Path) -> np.ndarray:
    """(H, W, 3) RGB, as signed numbers."""
    return cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB).astype(int)


def gray_image(path: Path) -> None:
    cv2.imwrite(str(path), np.full((96, 160, 3), 90, np.uint8))


def test_ground_truth_is_left_and_prediction_right(tiny_root: Path, tmp_path: Path) -> None:
    gray_image(tiny_root / "bdd100k/images/100k/val/val0.jpg")
    result = gallery(write_det_run(tmp_path / "det"), tiny_root, tmp_path / "page")
    pair = result.pairs[0]
    truth, prediction = read(tmp_path / "page" / pair.truth.full), read(tmp_path / "page" / pair.prediction.full)
    assert truth.shape == prediction.shape == (96, 160, 3)
    for image, column in ((truth, 10), (prediction, 12)):
        # JPEG blurs colours over two pixels, the width of the line.
        assert abs(image[40:60, column : column + 2] - det_color("car")).mean() < 40
    assert abs(truth[40:60, 100:102] - det_color("pedestrian")).mean() < 60
    assert abs(prediction[40:60, 96:106] - 90).max() < 12  # its score is below the threshold


def test_notes_and_counts(tiny_root: Path, tmp_path: Path) -> None:
    result = gallery(write_det_run(tmp_path / "det"), tiny_root, tmp_path / "page")
    assert [(pair.name, pair.notes) for pair in result.pairs] == [
        ("val0.jpg", ("clear", "highway", "night", "2 objects", "1 detection")),
        ("val1.jpg", ("1 object", "0 detections")),  # "other vehicle" does not count
        ("val2.jpg", ("0 objects", "0 detections")),  # left out of det.json
    ]
    assert result.num_frames == 3
    assert result.counts == {"car": 1, "pedestrian": 1, "motorcycle": 1}


@pytest.mark.parametrize("task", ["det", "sem_seg"])
def test_of_a_slice_only_its_frames_are_shown(tiny_root: Path, tmp_path: Path, task: str) -> None:
    folder = write_det_run(tmp_path / "run") if task == "det" else write_mask_run(tmp_path / "run")
    write_config(folder, f"bdd100k_{task}_val_night")
    write_det_predictions(folder, Frame("val0.jpg", labels=[]))
    for name in ("val1.png", "val2.png") if task == "sem_seg" else ():
        (folder / "inference/masks" / name).unlink()
    result = gallery(folder, tiny_root, tmp_path / "page")
    assert [Path(pair.name).stem for pair in result.pairs] == ["val0"] and result.num_frames == 1
    assert result.counts == ({"car": 1, "pedestrian": 1} if task == "det" else None)


def test_the_score_threshold(tiny_root: Path, tmp_path: Path) -> None:
    folder = write_det_run(tmp_path / "det")
    for threshold, count in (
        (0.0, "2 detections"),
        (0.2, "2 detections"),
        (0.21, "1 detection"),
        (0.95, "0 detections"),
    ):
        assert gallery(folder, tiny_root, tmp_path / "page", score_threshold=threshold).pairs[0].notes[-1] == count


def test_images_come_in_two_sizes(tiny_root: Path, tmp_path: Path) -> None:
    pair = gallery(write_mask_run(tmp_path / "seg"), tiny_root, tmp_path / "page").pairs[0]
    for image in (pair.truth, pair.prediction):
        assert read(tmp_path / "page" / image.full).shape == (720, 1280, 3)
        assert read(tmp_path / "page" / image.small).shape == (540, 960, 3) == (image.height, image.width, 3)


def test_masks_lie_half_over_the_image(tiny_root: Path, tmp_path: Path) -> None:
    path = tiny_root / "bdd100k/images/10k/val/val0.jpg"
    cv2.imwrite(str(path), np.full((720, 1280, 3), 100, np.uint8))
    pair = gallery(write_mask_run(tmp_path / "seg"), tiny_root, tmp_path / "page").pairs[0]
    prediction = read(tmp_path / "page" / pair.prediction.full)
    assert abs(prediction - (np.array([128, 64, 128]) + 100) / 2).max() < 4  # road everywhere
    truth = read(tmp_path / "page" / pair.truth.full)
    assert abs(truth[8:70, 8:70] - 100).max() < 8  # ignored pixels
    assert abs(truth[80:].reshape(-1, 3).std(axis=0)).min() > 5


def test_background_of_drivable_is_not_painted() -> None:
    assert classes_of_task(TASKS["drivable"]).colors == ((219, 94, 86), (86, 211, 219), None)
    assert None not in classes_of_task(TASKS["sem_seg"]).colors


@pytest.mark.parametrize(
    ("count", "names"), [(0, []), (1, ["val0"]), (2, ["val0", "val2"]), (9, ["val0", "val1", "val2"])]
)
def test_frames_are_taken_at_equal_distances(tiny_root: Path, tmp_path: Path, count: int, names: list[str]) -> None:
    for number, folder in enumerate((write_det_run(tmp_path / "det"), write_mask_run(tmp_path / "seg"))):
        result = gallery(folder, tiny_root, tmp_path / f"page{number}", max_frames=count)
        assert [pair.name.removesuffix(".jpg") for pair in result.pairs] == names
        assert result.num_frames == 3


def test_a_test_split_shows_predictions_alone(tiny_root: Path, tmp_path: Path) -> None:
    det = gallery(write_det_run(tmp_path / "det", "test", scores=None), tiny_root, tmp_path / "page")
    seg = gallery(write_mask_run(tmp_path / "seg", scores=None, split="test"), tiny_root, tmp_path / "page")
    assert det.counts is None and det.num_frames == 2 and seg.num_frames == 3
    for result in (det, seg):
        assert all(pair.truth is None for pair in result.pairs)
    assert det.pairs[0].notes == ("1 detection",)


def test_masks_of_another_split_are_left_out(tiny_root: Path, tmp_path: Path) -> None:
    folder = write_mask_run(tmp_path / "seg")
    cv2.imwrite(str(folder / "inference/masks/test0.png"), np.zeros((720, 1280), np.uint8))
    # What a Mac leaves beside a mask is none, even where both folders have it.
    for masks in (folder / "inference/masks", tiny_root / "bdd100k/labels/sem_seg/masks/val"):
        (masks / "._val0.png").write_bytes(b"no mask")
    assert gallery(folder, tiny_root, tmp_path / "page").num_frames == 3


def test_file_names_are_safe_in_an_address(tiny_root: Path, tmp_path: Path) -> None:
    name = "a #1%?.jpg"
    write_image(tiny_root / "bdd100k/images/100k/val" / name)
    write_frames([make_frame(name, ("car", 1, 1, 30, 30))], tiny_root / "bdd100k/labels/det_20/det_val.json")
    folder = write_det_run(tmp_path / "det")
    write_det_predictions(folder, Frame(name, labels=[]))
    pair = gallery(folder, tiny_root, tmp_path / "page").pairs[0]
    assert pair.name == name
    assert pair.truth.small == "assets/x-0001-a__1__-truth.jpg"


def spoil_labels(root: Path, frame: Frame) -> None:
    path = root / "bdd100k/labels/det_20/det_val.json"
    write_frames([frame, *read_labels(path).frames], path)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (
            lambda r: (r / "bdd100k/images/100k/val/val1.jpg").unlink(),
            r"val1\.jpg: the image cannot be read .*--root",
        ),
        (lambda r: (r / "bdd100k/images/100k/val/val1.jpg").write_bytes(b""), r"val1\.jpg: not an image"),
        (lambda r: (r / "bdd100k/images/100k/val/val1.jpg").write_bytes(b"x" * 99), r"val1\.jpg: not an image"),
        (
            lambda r: (r / "bdd100k/labels/det_20/det_val.json").unlink(),
            r"det_val\.json: the label file cannot be read",
        ),
        (lambda r: spoil_labels(r, Frame("../../x.jpg")), r"'\.\./\.\./x\.jpg' is not a plain file name"),
        (
            lambda r: spoil_labels(r, make_frame("b.jpg", ("tank", 1, 1, 9, 9))),
            r"frame b\.jpg: unknown category 'tank'",
        ),
    ],
)
def test_det_input_that_cannot_be_shown(tiny_root: Path, tmp_path: Path, spoil: object, message: str) -> None:
    spoil(tiny_root)
    with pytest.raises(DataError, match=message):
        gallery(write_det_run(tmp_path / "det"), tiny_root, tmp_path / "page")


def test_predictions_of_other_frames(tiny_root: Path, tmp_path: Path) -> None:
    folder = write_det_run(tmp_path / "det", "train")
    (folder / "config.yaml").write_text((folder / "config.yaml").read_text().replace("det_train", "det_val"))
    with pytest.raises(DataError, match=r"det\.json: none of its frames is one of .*det_val\.json"):
        gallery(folder, tiny_root, tmp_path / "page")


def test_a_predicted_category_that_is_unknown(tiny_root: Path, tmp_path: Path) -> None:
    folder = write_det_run(tmp_path / "det")
    box = make_frame("val0.jpg", ("tank", 1, 1, 9, 9)).labels[0].box2d
    write_det_predictions(folder, Frame("val0.jpg", labels=[Label(category="tank", score=0.9, box2d=box)]))
    with pytest.raises(DataError, match=r"det\.json: frame val0\.jpg: unknown category 'tank'. Known are pedestrian"):
        gallery(folder, tiny_root, tmp_path / "page")


def small_mask(root: Path, folder: Path) -> None:
    cv2.imwrite(str(folder / "inference/masks/val0.png"), np.zeros((360, 640), np.uint8))


def wrong_id(root: Path, folder: Path) -> None:
    cv2.imwrite(str(folder / "inference/masks/val0.png"), np.full((720, 1280), 31, np.uint8))


def no_labels(root: Path, folder: Path) -> None:
    (root / "bdd100k/labels/sem_seg/masks/val").rename(root / "gone")


def no_predictions(root: Path, folder: Path) -> None:
    for path in (folder / "inference/masks").iterdir():
        path.unlink()


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (small_mask, r"val0\.png: the mask has 640x360 pixels, the image val0\.jpg 1280x720"),
        (wrong_id, r"val0\.png: the mask holds the ids \[31\]"),
        (no_labels, r"masks/val: no such folder of masks; check the path, or point --root or DETECTRON2_DATASETS"),
        (no_predictions, r"inference/masks: no mask of a frame of bdd100k_sem_seg_val; evaluate again"),
    ],
)
def test_masks_that_cannot_be_shown(tiny_root: Path, tmp_path: Path, spoil: object, message: str) -> None:
    folder = write_mask_run(tmp_path / "seg")
    spoil(tiny_root, folder)
    with pytest.raises(DataError, match=message):
        gallery(folder, tiny_root, tmp_path / "page")


def test_a_folder_that_cannot_be_written(tiny_root: Path, tmp_path: Path) -> None:
    (tmp_path / "page").write_text("a file")
    with pytest.raises(OutputError, match="page"):
        gallery(write_det_run(tmp_path / "det"), tiny_root, tmp_path / "page")


@pytest.mark.parametrize("kind", ["pipe", "/dev/zero"])
def test_an_image_that_is_no_file_is_refused_or_counted(tiny_root: Path, tmp_path: Path, kind: str) -> None:
    path = tiny_root / "bdd100k/images/100k/val/val0.jpg"
    path.unlink()
    if kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to(kind)
    with pytest.raises(DataError, match=r"val0\.jpg: no file that can be read; mend the link or remove it"):
        gallery(write_det_run(tmp_path / "det"), tiny_root, tmp_path / "page")
    images = GalleryImages(tmp_path / "page")
    assert images.add("a", "val0.jpg", path).small is None and (images.missing, images.unreadable) == (1, 0)
