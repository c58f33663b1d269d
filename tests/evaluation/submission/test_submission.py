"""A good submission passes; each thing that can be wrong is named with its file and frame, all in one go."""

import json
import os
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.submissions import FRAMES, SIZE, Edit, check, texts, zipped

from bdd100k_d2.errors import DataError
from bdd100k_d2.evaluation.prediction_files import (
    mask_path,
    write_mask,
    write_submission,
)
from bdd100k_d2.evaluation.submission import check_submission, describe_defects


def test_good_submissions(det: Path, masks: Path, ins_seg: Path, pan_seg: Path, tmp_path: Path) -> None:
    assert check("det", det) == []
    # A folder may hold other files as well, as the evaluators' does.
    (tmp_path / "scores.json").write_text("{}")
    assert check("det", tmp_path) == []
    (tmp_path / "scores.json").unlink()
    det_folder = tmp_path / "only"
    det_folder.mkdir()
    shutil.copy(det, det_folder)
    assert check("det", zipped(det_folder)) == []
    for task in ("sem_seg", "drivable"):
        assert check(task, masks) == check(task, masks.parent / "masks") == check(task, zipped(masks)) == []
    assert check("ins_seg", ins_seg) == check("ins_seg", zipped(ins_seg, "bitmasks", "score.json")) == []
    assert check("pan_seg", pan_seg) == check("pan_seg", zipped(pan_seg)) == []
    assert describe_defects([]) == ""


def test_processes_find_the_same(masks: Path, ins_seg: Path) -> None:
    mask_path(masks, "b.jpg").write_bytes(b"")
    mask_path(ins_seg / "bitmasks", "b.jpg").write_bytes(b"")
    for task, path in (("sem_seg", zipped(masks)), ("ins_seg", zipped(ins_seg))):
        found = check_submission(task, path, FRAMES, SIZE, processes=2)
        assert len(found) == 1 and found == check_submission(task, path, FRAMES, SIZE)


def rgb(path: Path) -> None:
    Image.new("RGB", (128, 72)).save(path)


def palette(path: Path) -> None:
    image = Image.fromarray(np.full(SIZE, 200, np.uint8), "P")
    image.putpalette([250, 170, 30] * 256)
    image.save(path)


def sixteen_bits(path: Path) -> None:
    Image.fromarray(np.zeros(SIZE, np.uint16)).save(path)


@pytest.mark.parametrize(
    ("edit", "expected"),
    [
        (Path.unlink, "missing frame: b.png: b.jpg: has no file"),
        (lambda p: shutil.copy(p, p.with_name("z.png")), "extra frame: z.png: None: no image of the split has this"),
        (rgb, "image: b.png: b.jpg: has to be grey or palette of 8 bits, is RGB of 8 bits"),
        (palette, "class id: b.png: b.jpg: 9,216 pixels have the ids 200"),
        (sixteen_bits, "image: b.png: b.jpg: has to be grey or palette of 8 bits, is grey of 16 bits"),
        (lambda p: p.write_bytes(b""), "image: b.png: b.jpg: is an empty file"),
        (lambda p: p.write_bytes(b"GIF89a" * 9), "image: b.png: b.jpg: is a GIF file; write PNG files"),
        (lambda p: p.write_bytes(p.read_bytes()[:50]), "image: b.png: b.jpg: is a damaged PNG file"),
        (
            lambda p: write_mask(np.zeros((128, 72), np.uint8), p),
            "image: b.png: b.jpg: is 72x128 pixels",
        ),
        (
            lambda p: write_mask(np.full(SIZE, 255, np.uint8), p),
            "class id: b.png: b.jpg: 9,216 pixels have the ids",
        ),
    ],
)
def test_bad_masks(edit: Callable[[Path], object], expected: str, masks: Path) -> None:
    edit(masks / "b.png")
    for path in (masks, zipped(masks)):
        (found,) = texts(check("sem_seg", path))
        assert found.startswith(expected)


def test_the_ids_of_a_palette_are_its_indices(masks: Path) -> None:
    """Whatever their colours and their bits, as the official tool has it."""
    for name, most in (("a.png", 3), ("b.png", 2)):
        image = Image.fromarray((np.arange(72 * 128) % most).astype(np.uint8).reshape(SIZE), "P")
        image.putpalette([250, 170, 30] * most)
        image.save(masks / name, bits=8 if most == 3 else 1)
    for path in (masks, zipped(masks)):
        assert check("sem_seg", path) == check("drivable", path) == []


def test_drivable_has_three_classes(masks: Path) -> None:
    write_mask(np.arange(72 * 128, dtype=np.uint8).reshape(SIZE) % 5, masks / "a.png")
    assert texts(check("drivable", masks)) == [
        "class id: a.png: a.jpg: 3,672 pixels have the ids 3, 4; classes are 0 to 2, others score as wrong"
    ]


def test_masks_in_several_folders(masks: Path) -> None:
    (masks / "more" / "deep").mkdir(parents=True)
    (masks / "c.png").rename(masks / "more" / "deep" / "c.png")
    shutil.copy(masks / "a.png", masks / "more" / "deep" / "a.png")
    (masks / "notes.txt").touch()
    kinds = Counter(f.kind for f in check("sem_seg", masks))
    assert kinds == {"layout": 2, "frame twice": 1, "extra file": 1}
    assert Counter(f.kind for f in check("sem_seg", zipped(masks))) == kinds


@pytest.mark.parametrize("name", ("log.txt", "Thumbs.db", "a.jpg", "sem_seg.json", "sub/notes.txt"))
def test_only_png_files_lie_among_the_masks(name: str, masks: Path, ins_seg: Path) -> None:
    for folder, checked, task in ((masks, masks, "sem_seg"), (ins_seg / "bitmasks", ins_seg, "ins_seg")):
        # Beside the folder of the masks is what an evaluation leaves there.
        (folder.parent / "notes.txt").touch()
        (folder / ".DS_Store").touch()
        assert check(task, checked) == []
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).touch()
        place = (folder / name).relative_to(checked)
        assert texts(check(task, checked)) == [
            f"extra file: {place}: None: lies among the PNG files, where the official tool takes no others; remove it"
        ]


@pytest.mark.parametrize("name", ("a", "val/a.jpg", "bitmasks/a.png", "a.jpeg", "a.JPG", "a.tif", "a.png"))
def test_scores_are_of_the_bitmask_that_the_official_tool_looks_for(name: str, ins_seg: Path) -> None:
    """It puts .png for .jpg in the name of the frame."""
    edit_scores(ins_seg, lambda f: f[0].update(name=name))
    kinds = Counter(defect.kind for defect in check("ins_seg", ins_seg))
    assert kinds == ({} if name == "a.png" else {"extra frame": 1, "missing frame": 1, "instance": 1})


def edit_scores(folder: Path, edit: Edit) -> None:
    frames = json.loads((folder / "score.json").read_text())
    edit(frames)
    (folder / "score.json").write_text(json.dumps(frames))


def two_categories(folder: Path) -> None:
    pixels = np.array(Image.open(folder / "bitmasks" / "b.png"))
    pixels[0, 0, 0] += 1
    write_mask(pixels, folder / "bitmasks" / "b.png")


def ninth_category(folder: Path) -> None:
    pixels = np.array(Image.open(folder / "bitmasks" / "b.png"))
    pixels[pixels[..., 0] == 8, 0] = 9
    write_mask(pixels, folder / "bitmasks" / "b.png")


@pytest.mark.parametrize(
    ("edit", "expected"),
    [
        (lambda d: (d / "bitmasks" / "b.png").unlink(), "missing frame: b.png: b.jpg: has no file"),
        (
            lambda d: edit_scores(d, lambda f: f[1]["labels"].pop()),
            "instance: bitmasks/b.png: b.jpg: 1 instances (3)",
        ),
        (
            lambda d: edit_scores(d, lambda f: f[1]["labels"].append({"index": 9, "score": 1})),
            "instance: bitmasks/b.png: b.jpg: 1 instances (9) of score.json have no pixel",
        ),
        (
            lambda d: edit_scores(d, lambda f: f[1]["labels"].append({"index": 1, "score": 1})),
            "instance: bitmasks/b.png: b.jpg: an index stands twice",
        ),
        (
            lambda d: edit_scores(d, lambda f: f[1]["labels"][0].update(score=float("nan"))),
            "score: score.json: b.jpg: a score is not finite",
        ),
        (
            lambda d: rgb(d / "bitmasks" / "b.png"),
            "image: bitmasks/b.png: b.jpg: has to be RGBA of 8 bits, is RGB of",
        ),
        (two_categories, "image: bitmasks/b.png: b.jpg: the bitmask: annotation id 3 has several categories (1, 2)"),
        (ninth_category, "category: bitmasks/b.png: b.jpg: instances 1 have category ids other than 1 to 8"),
    ],
)
def test_bad_instances(edit: Callable[[Path], object], expected: str, ins_seg: Path) -> None:
    edit(ins_seg)
    for path in (ins_seg, zipped(ins_seg)):
        (found,) = texts(check("ins_seg", path))
        assert found.startswith(expected)


def test_an_index_that_no_number_of_an_array_has(ins_seg: Path) -> None:
    edit_scores(ins_seg, lambda f: f[1]["labels"].append({"index": 10**30, "score": 1}))
    (found,) = texts(check("ins_seg", ins_seg))
    assert found.startswith("instance: bitmasks/b.png: b.jpg: 1 instances (4294967296) of score.json have no pixel")


def test_instances_by_id_instead_of_index(ins_seg: Path) -> None:
    edit_scores(ins_seg, lambda f: f[2].update(labels=[{"id": "1", "score": 0.5}]))
    label, instances = texts(check("ins_seg", ins_seg))
    assert label == "label: score.json: c.jpg: 1 of 1 labels; label 1 (None): Object missing required field `index`"
    assert instances.startswith("instance: bitmasks/c.png: c.jpg: 3 instances (1, 2, 3) have no score")


def test_the_layout_of_instances(ins_seg: Path, tmp_path: Path) -> None:
    nested = tmp_path / "nested.zip"
    write_submission(ins_seg.parent, nested, ("out",))
    assert texts(check("ins_seg", nested)) == [
        "layout: out/score.json: None: the server looks for bitmasks and score.json at the top of the zip, not in out"
    ]
    (ins_seg / "score.json").unlink()
    (found,) = texts(check("ins_seg", ins_seg))
    assert found.startswith("layout: score.json: None: 0 files of this name")


def test_segments_that_would_not_be_scored(pan_seg: Path) -> None:
    pixels = np.array(Image.open(pan_seg / "a.png"))
    pixels[pixels[..., 0] == 40, 1] = 1
    write_mask(pixels, pan_seg / "a.png")
    pixels[pixels[..., 0] == 7, 0] = 41
    write_mask(pixels, pan_seg / "c.png")
    assert texts(check("pan_seg", pan_seg)) == [
        "instance: a.png: a.jpg: segments are marked as crowd or ignored, and would not be scored",
        "category: c.png: c.jpg: instances 7 have category ids other than 1 to 40",
        "instance: c.png: c.jpg: segments are marked as crowd or ignored, and would not be scored",
    ]


def test_more_segments_than_the_official_tool_takes(pan_seg: Path) -> None:
    ids = np.arange(72 * 128, dtype=np.uint8).reshape(SIZE) % 101
    write_mask(np.dstack([np.full_like(ids, 35), ids * 0, ids * 0, ids + 1]), pan_seg / "b.png")
    assert texts(check("pan_seg", pan_seg)) == [
        "instance: b.png: b.jpg: 101 segments; the official tool fails on more than 100 in an image"
    ]


def test_nothing_to_check(masks: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nowhere: no such file or folder; give the file, folder or zip"):
        check("det", tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="empty: no file in it"):
        check("sem_seg", tmp_path / "empty")
    with pytest.raises(DataError, match="masks: one JSON file is expected, det.json"):
        check("det", masks)
    with pytest.raises(DataError, match="no task 'lane'"):
        check("lane", masks)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="a superuser may read any file")
def test_a_file_that_may_not_be_read(masks: Path) -> None:
    (masks / "b.png").chmod(0)
    assert texts(check("sem_seg", masks)) == ["image: b.png: b.jpg: cannot be read (Permission denied)"]
