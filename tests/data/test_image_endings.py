"""Images of any ending work as those in ``.jpg`` do, from the training lists to the check, the masks and the report."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from detectron2.data import DatasetCatalog
from support import check_roots as roots
from support.frames import make_frame, write_image
from support.run_folders import write_mask_run

from bdd100k_d2.data.check.dataset import check_dataset
from bdd100k_d2.data.datasets import load_det, load_images, load_masks
from bdd100k_d2.data.image_names import images_by_stem
from bdd100k_d2.data.instances import load_instances
from bdd100k_d2.data.labels import write_frames
from bdd100k_d2.data.register import register_all
from bdd100k_d2.errors import DataError
from bdd100k_d2.evaluation.evaluators import BDD100KInsSegEvaluator
from bdd100k_d2.evaluation.prediction_files import mask_path
from bdd100k_d2.evaluation.submission.masks import match_files
from bdd100k_d2.report.gallery import make_gallery
from bdd100k_d2.report.run import read_run

NAMES = ["a.jpeg", "b.PNG", "c.webp"]


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Images of three endings, and beside them what is none."""
    for name in NAMES:
        write_image(tmp_path / "images" / name)
    for name in ("._a.jpg", "notes.txt"):
        (tmp_path / "images" / name).touch()
    return tmp_path / "images"


def write_masks(folder: Path, pixels: np.ndarray) -> Path:
    folder.mkdir()
    for stem in "abc":
        cv2.imwrite(str(folder / f"{stem}.png"), pixels)
    return folder


def listed(records: list[dict]) -> list[tuple[str, str]]:
    return [(record["file_name"], record["image_id"]) for record in records]


def test_one_of_several_files_of_a_stem_is_its_image() -> None:
    names = ["b.JPG", "a.png", "a.jpg", "a.webp", "notes", "c.v1", "c.v1.bmp"]
    assert images_by_stem(names) == {"a": "a.jpg", "b": "b.JPG", "c.v1": "c.v1.bmp"}


def test_they_are_loaded_by_their_own_names(tmp_path: Path, images: Path) -> None:
    expected = [(str(images / name), name) for name in NAMES]
    assert listed(load_images(images)) == expected
    write_frames([make_frame(name, ("car", 1, 1, 9, 9)) for name in NAMES], tmp_path / "det.json")
    assert listed(load_det(tmp_path / "det.json", images)) == expected
    masks = load_masks(write_masks(tmp_path / "masks", np.zeros((96, 160), np.uint8)), images)
    assert listed(masks) == expected
    assert [Path(record["sem_seg_file_name"]).name for record in masks] == ["a.png", "b.png", "c.png"]
    bitmasks = write_masks(tmp_path / "bitmasks", np.full((96, 160, 4), (0, 0, 3, 1), np.uint8))
    instances = load_instances(bitmasks, images)
    assert listed(instances) == expected
    assert [len(record["annotations"]) for record in instances] == [1, 1, 1]


def test_the_official_image_comes_before_a_drawing_of_it(tmp_path: Path, images: Path) -> None:
    write_image(images / "a.jpg")
    (images / "a.png").write_bytes(b"a drawing beside it")
    assert [record["image_id"] for record in load_images(images)] == ["a.jpg", "b.PNG", "c.webp"]


def test_masks_are_named_after_them(images: Path) -> None:
    assert [mask_path("masks", name).name for name in (*NAMES, "d.v1")] == ["a.png", "b.png", "c.png", "d.v1.png"]
    assert match_files(["in/a.png", "in/b.png", "in/c.png"], NAMES) == (
        [("in/a.png", "a.jpeg"), ("in/b.png", "b.PNG"), ("in/c.png", "c.webp")],
        [],
    )


@pytest.fixture(scope="module")
def renamed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sound data set whose images are called ``.jpeg``, ``.JPG`` and ``.png``, in the labels too."""
    root = roots.make_sound_root(tmp_path_factory.mktemp("renamed"))
    for place in (root / "bdd100k/images").glob("*/*/*.jpg"):
        if place.stem[-1] == "2":
            write_image(place.with_suffix(".png"), 720, 1280)
            place.unlink()
        else:
            place.rename(place.with_suffix({"0": ".jpeg", "1": ".JPG"}[place.stem[-1]]))
    for split in ("train", "val"):
        path = roots.labels_path(root, split)
        text = path.read_text()
        for i, suffix in enumerate((".jpeg", ".JPG", ".png")):
            text = text.replace(f"{split}{i}.jpg", f"{split}{i}{suffix}")
        path.write_text(text)
    return root


def test_the_check_finds_nothing_missing(renamed: Path) -> None:
    report = check_dataset(renamed, released=roots.RELEASED, workers=2)
    assert report.findings == []
    assert {facts.pictures for facts in report.datasets} == {3}
    assert check_dataset(renamed, fast=True, released=roots.RELEASED).findings == []


def test_what_is_trained_with_and_evaluated(renamed: Path, tmp_path: Path) -> None:
    register_all(renamed)
    for task in ("det", "sem_seg", "drivable", "ins_seg", "pan_seg"):
        for split in ("train", "val", "test"):
            names = [record["image_id"] for record in DatasetCatalog.get(f"bdd100k_{task}_{split}")]
            assert names == [f"{split}0.jpeg", f"{split}1.JPG", f"{split}2.png"]
    evaluator = BDD100KInsSegEvaluator("bdd100k_ins_seg_val", tmp_path)
    names = [name for name, _, _ in evaluator.missing(evaluator.truth, ["val0.jpeg", "val1.JPG"])]
    assert names == ["val2.jpg"]


def test_the_report_shows_them(renamed: Path, tmp_path: Path) -> None:
    run = read_run(write_mask_run(tmp_path / "run"), renamed)
    gallery = make_gallery(run.evaluations[0], tmp_path / "page", "x")
    assert [pair.name for pair in gallery.pairs] == ["val0.jpeg", "val1.JPG", "val2.png"]


def test_two_images_of_one_frame_are_refused_but_beside_a_jpg(tmp_path: Path) -> None:
    for name in ("a.jpg", "a.png", "b.PNG", "b.webp"):
        write_image(tmp_path / "drawn.png")
        (tmp_path / "drawn.png").rename(tmp_path / name)
    with pytest.raises(DataError, match=r"b\.PNG and b\.webp are images of one frame.* rename one of the two"):
        load_images(tmp_path)
    (tmp_path / "b.webp").unlink()
    assert [record["image_id"] for record in load_images(tmp_path)] == ["a.jpg", "b.PNG"]
