"""Results of other detectors: COCO's lists with the file of their ids, and Ultralytics' that name their images."""

import json
import logging
import os
import threading
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from support.commands import run_tool
from support.conversion_cases import rle_of, run

from bdd100k_d2.data.coco_results import is_results, read_predictions, read_results
from bdd100k_d2.data.labels import Box2D, Frame, ImageSize
from bdd100k_d2.errors import ConfigError, DataError
from bdd100k_d2.evaluation.files.evaluate import evaluate_files
from bdd100k_d2.evaluation.toolkit_format import summary

CATEGORIES = [{"id": 5, "name": "car"}, {"id": "7", "name": "pedestrian"}]
IMAGES = [
    {"id": 20, "file_name": "v/b.jpg", "width": 160, "height": 96},
    {"id": 3, "file_name": "a.jpg", "width": 160, "height": 96},
    {"id": 4, "file_name": "c.jpg", "width": 160, "height": 96},
]
BOX = {"bbox": [10, 20, 30, 40], "score": 0.5}
MASK = np.zeros((96, 160), bool)
MASK[20:60, 10:40] = True
SEGMENTATION = msgspec.to_builtins(rle_of(MASK))


def write(path: Path, document: object) -> Path:
    path.write_text(json.dumps(document))
    return path


def coco(folder: Path, annotations: bool = True, masks: bool = False, **changes: object) -> Path:
    own = [{"id": i, "image_id": i, "category_id": 5, "bbox": BOX["bbox"]} for i in (20, 3)]
    if masks:
        own = [one | {"segmentation": SEGMENTATION} for one in own]
    document = {"images": IMAGES, "categories": CATEGORIES} | ({"annotations": own} if annotations else {}) | changes
    return write(folder / "coco.json", document)


def results(folder: Path, *entries: dict[str, Any]) -> Path:
    return write(folder / "results.json", [BOX | one for one in entries])


def test_results_become_the_frames_of_the_coco_file(tmp_path: Path) -> None:
    path = results(
        tmp_path,
        {"image_id": 3, "category_id": 5, "iscrowd": 0, "area": 7},
        {"image_id": "20", "category_id": 7, "segmentation": SEGMENTATION, "bbox": None},
        {"image_id": 3, "category_id": "7", "score": 1},
    )
    assert is_results(path)
    for annotations in (True, False):
        b, a, c = read_results(path, coco(tmp_path, annotations))
        assert [b.name, a.name, c.name] == ["b.jpg", "a.jpg", "c.jpg"]
        assert a.size == ImageSize(160, 96) and c.labels == []
        assert [(one.id, one.category, one.score, one.box2d) for one in a.labels] == [
            (0, "car", 0.5, Box2D(10, 20, 39, 59)),
            (2, "pedestrian", 1, Box2D(10, 20, 39, 59)),
        ]
        assert (b.labels[0].box2d, b.labels[0].rle) == (Box2D(10, 20, 39, 59), rle_of(MASK))


def test_results_are_scored_with_the_ids_of_the_ground_truth(tmp_path: Path) -> None:
    path = results(tmp_path, *({"image_id": i, "category_id": 5, "segmentation": SEGMENTATION} for i in (20, 3)))
    truth = coco(tmp_path, masks=True)
    for task in ("det", "ins_seg"):
        assert summary(evaluate_files(task, truth, path, workers=1).official)["AP"] == pytest.approx(100)
    for image_ids in (None, truth):
        labels = [{"id": 0, "category": "car", "box2d": {"x1": 10, "y1": 20, "x2": 39, "y2": 59}}]
        scalabel = write(tmp_path / "gt.json", [{"name": name, "labels": labels} for name in ("a.jpg", "b.jpg")])
        if image_ids is None:
            with pytest.raises(DataError, match=r"results.json: results, whose ids of .*; give the COCO file"):
                evaluate_files("det", scalabel, path, workers=1)
        else:
            found = evaluate_files("det", scalabel, path, image_ids=image_ids, workers=1)
            assert summary(found.official)["AP"] == pytest.approx(100)


def test_the_command_takes_the_ids(tmp_path: Path) -> None:
    path = results(tmp_path, {"image_id": 3, "category_id": 5})
    labels = [{"id": 0, "category": "car", "box2d": {"x1": 10, "y1": 20, "x2": 39, "y2": 59}}]
    truth = write(tmp_path / "gt.json", [{"name": "a.jpg", "labels": labels}])
    arguments = ("--gt", truth, "--pred", path, "--workers", 1, "--image-ids", coco(tmp_path))
    done = run_tool("evaluate", "det", *arguments)
    assert done.returncode == 0 and "AP 100.0000" in done.stdout
    assert run_tool("evaluate", "pan_seg", *arguments).returncode == 2
    with pytest.raises(ConfigError, match="COCO results are of det and ins_seg, not of sem_seg"):
        evaluate_files("sem_seg", truth, path, image_ids=truth)
    with pytest.raises(DataError, match=r"gt.json: is no list of COCO results, .*leave out --image-ids"):
        read_predictions(truth, coco(tmp_path))


def test_predictions_come_out_of_a_pipe(tmp_path: Path) -> None:
    """As of `--pred <(cat P)`: it is read once, also where what it holds has to be told."""
    labels = [{"id": 0, "category": "car", "box2d": {"x1": 10, "y1": 20, "x2": 39, "y2": 59}}]
    truth = write(tmp_path / "gt.json", [{"name": "a.jpg", "labels": labels}])
    listed = json.dumps([BOX | {"image_id": 3, "category_id": 5}])
    scored = json.dumps([{"name": "a.jpg", "labels": [labels[0] | {"score": 0.5}]}])
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)

    def evaluated(text: str, image_ids: Path | None = None) -> float:
        writer = threading.Thread(target=pipe.write_text, args=[text], daemon=True)
        writer.start()
        try:
            return summary(evaluate_files("det", truth, pipe, image_ids=image_ids, workers=1).official)["AP"]
        finally:
            writer.join(20)

    assert evaluated(scored) == evaluated(listed, coco(tmp_path)) == pytest.approx(100)
    assert evaluated('[{"name": "a.jpg", "labels": []}]') == 0
    with pytest.raises(DataError, match=r"pipe: COCO results, .*\(--image-ids\)"):
        evaluated(listed)


def test_masks_alone_have_boxes_and_boxes_alone_no_masks(tmp_path: Path) -> None:
    alone = {"category_id": 5, "bbox": None, "segmentation": SEGMENTATION}
    path = results(tmp_path, *({"image_id": i} | alone for i in (20, 3)))
    found = evaluate_files("det", coco(tmp_path), path, workers=1)
    assert summary(found.official)["AP"] == pytest.approx(100)
    boxes = results(tmp_path, {"image_id": 3, "category_id": 5})
    with pytest.raises(DataError, match='results.json: not one of the 1 predictions has "rle", but bbox'):
        evaluate_files("ins_seg", coco(tmp_path, masks=True), boxes, workers=1)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"image_id": 8}, r"result number 0 is of image id 8, which .*coco.json does not have; give the COCO file"),
        ({"image_id": "d"}, "result number 0 is of image id d, which"),
        ({"image_id": 3, "file_name": "d.jpg"}, "result number 0 is of image d.jpg, which"),
        ({"category_id": 6}, "of frame a.jpg: no category has the id 6; there are 5 car, 7 pedestrian"),
        ({"score": None}, "of frame a.jpg: has no score; write a finite number"),
        ({"score": "0.5"}, "result number 0: Expected `float | null`, got `str`"),
        ({"score": float("nan")}, "result number 0 holds a number that is NaN"),
        ({"bbox": None}, "of frame a.jpg: has neither a box .bbox. nor a mask"),
        ({"bbox": [1, 2, 3]}, "result number 0: .*length 4"),
        ({"segmentation": {"counts": "04", "size": [2, 2]}}, "the mask has 2x2 pixels, the image 96x160"),
        ({"segmentation": {"counts": 7, "size": [2, 2]}}, "result number 0: Expected .*segmentation.counts"),
    ],
)
def test_bad_results_are_named(tmp_path: Path, entry: dict[str, Any], message: str) -> None:
    path = results(tmp_path, {"image_id": 3, "category_id": 5} | entry)
    with pytest.raises(DataError, match=rf"results.json: .*{message}|results.json: {message}"):
        list(read_results(path, coco(tmp_path)))


def test_the_file_of_the_ids_is_checked(tmp_path: Path) -> None:
    path = results(tmp_path, {"image_id": 3, "category_id": 5})
    for changes, message in (
        ({"images": [*IMAGES, IMAGES[1] | {"id": "3"}]}, "frames a.jpg and a.jpg have the same image id 3"),
        ({"images": [*IMAGES, IMAGES[1] | {"id": 9}]}, "frame a.jpg stands twice"),
        ({"categories": [*CATEGORIES, {"id": 5, "name": "bus"}]}, "categories car and bus have the same id 5"),
        ({"images": 3}, "not a label file"),
    ):
        with pytest.raises(DataError, match=f"coco.json: {message}"):
            list(read_results(path, coco(tmp_path, **changes)))
    with pytest.raises(DataError, match=r'gt.json: no "images"; give a COCO file'):
        list(read_results(path, write(tmp_path / "gt.json", {"categories": []})))
    with pytest.raises(DataError, match="none.json: the label file cannot be read"):
        list(read_results(path, tmp_path / "none.json"))


CLASSES = ["pedestrian", "rider", "car", "truck"]
NAMES = [
    {"id": 1, "file_name": "a-0.jpg"},
    {"id": 2, "file_name": "0012.jpg"},
    {"id": 3, "file_name": "x/b.c.png"},
]


def table(folder: Path, ids: tuple[int, ...] = (1, 2, 3, 4), images: list[dict[str, Any]] = NAMES) -> Path:
    categories = [{"id": i, "name": name} for i, name in zip(ids, CLASSES, strict=True)]
    return write(folder / "gt.json", {"images": images, "categories": categories})


def test_the_model_s_classes_are_never_guessed(tmp_path: Path) -> None:
    path = results(tmp_path, {"image_id": "a-0", "category_id": 0})
    with pytest.raises(DataError, match="convert_labels.py GT gt.json --to coco` writes one, if the model has the cl"):
        list(read_results(path, None))
    with pytest.raises(DataError, match="results.json: results, whose ids of images and categories may"):
        run(path, tmp_path / "out.json", "coco")


@pytest.mark.parametrize(
    ("ids", "own", "names", "said"),
    [
        ((0, 2), (1, 2, 3, 4), "pedestrian car", "0 is pedestrian, 1 is rider, 2 is car, ..., in the order of"),
        ((1, "3", 4), (1, 2, 3, 4), "pedestrian car truck", "1 is pedestrian, 2 is rider"),
        ((1, 4), (0, 1, 2, 3), "pedestrian truck", "1 is pedestrian, 2 is rider"),
        ((0, 3), (0, 1, 2, 3), "pedestrian truck", "0 is pedestrian, 1 is rider"),
        # Of other numbers none else can be meant.
        ((2, 5), (2, 3, 5, 8), "pedestrian car", "2 is pedestrian, 3 is rider"),
    ],
)
@pytest.mark.parametrize("named", ("image_id", "file_name"))
def test_what_categories_of_named_images_count_from(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    ids: tuple[int, ...],
    own: tuple[int, ...],
    names: str,
    said: str,
    named: str,
) -> None:
    image = {"image_id": "a-0"} if named == "image_id" else {"image_id": 7, "file_name": "in/a-0.jpg"}
    path = results(tmp_path, *(image | {"category_id": i} for i in ids))
    with caplog.at_level(logging.INFO, "bdd100k_d2"):
        frame, *others = read_results(path, table(tmp_path, own))
    assert frame.name == "a-0.jpg" and [label.category for label in frame.labels] == names.split()
    assert [one.labels for one in others] == [[], []]
    (record,) = [one for one in caplog.records if said in one.message]
    assert (record.levelno == logging.INFO) == ({*map(int, ids)} <= {*own})


@pytest.mark.parametrize(
    ("ids", "own", "message"),
    [
        ((2, 3), (1, 2, 3, 4), r"category ids \(2, 3\) may count from 0 or from 1: .* with 4 and without 0 from 1"),
        ((1, 3), (0, 1, 2, 3), "may count from 0 or from 1"),
        ((2, 3), (2, 3, 5, 8), "may count from 0 or from 1"),
        ((0, 4), (1, 2, 3, 4), r"\(0, 4\) are neither those of .*gt.json nor count from 0 or from 1.*Write the ids"),
        ((4, 5), (1, 2, 3, 4), "are neither those"),
        ((-1, "x"), (1, 2, 3, 4), "are neither those"),
    ],
)
def test_what_categories_count_from_is_not_guessed(
    tmp_path: Path, ids: tuple[int, ...], own: tuple[int, ...], message: str
) -> None:
    path = results(tmp_path, *({"image_id": "a-0", "category_id": i} for i in ids))
    with pytest.raises(DataError, match=f"results.json: .*{message}"):
        list(read_results(path, table(tmp_path, own)))


def test_images_are_named_by_stems_or_all_by_ids(tmp_path: Path) -> None:
    # Ultralytics writes the number of a stem that is one. It is no id of the table, so 3 is a stem too.
    path = results(tmp_path, *({"image_id": i, "category_id": 4} for i in (12, "a-0", "b.c", "0012")))
    assert [len(frame.labels) for frame in read_results(path, table(tmp_path))] == [1, 2, 1]
    path = results(tmp_path, *({"image_id": i, "category_id": 4} for i in (12, 3)))
    with pytest.raises(DataError, match="result number 1 is of image id 3, which .*gt.json does not have"):
        list(read_results(path, table(tmp_path)))
    images = [{"id": i + 1, "file_name": f"{i}.jpg"} for i in range(3)]
    path = results(tmp_path, *({"image_id": i, "category_id": 4, "score": 0.1 * i} for i in (0, 1, 2)))
    found = list(read_results(path, table(tmp_path, images=images)))
    assert [label.score for frame in found for label in frame.labels] == [0, 0.1, 0.2]
    # Where a file name and an id speak of two images, the name is right.
    path = results(tmp_path, {"image_id": 2, "file_name": "a-0.jpg", "category_id": 4})
    assert [len(frame.labels) for frame in read_results(path, table(tmp_path))] == [1, 0, 0]


def test_results_that_have_the_ids_have_the_categories_too(tmp_path: Path) -> None:
    path = results(tmp_path, {"image_id": 1, "file_name": "a-0.jpg", "category_id": 2})
    assert next(read_results(path, table(tmp_path))).labels[0].category == "rider"


def test_a_stem_of_two_images_is_none(tmp_path: Path) -> None:
    for images in ([*NAMES, {"id": 9, "file_name": "a-0.png"}], [{"id": i, "file_name": "a-0.jpg"} for i in (1, 2)]):
        with pytest.raises(DataError, match="is of image id a-0, which"):
            list(read_results(results(tmp_path, {"image_id": "a-0", "category_id": 4}), table(tmp_path, images=images)))


@pytest.mark.parametrize(
    ("document", "found"),
    [
        ([{"segmentation": {"counts": "0" * 100_000, "size": [2, 2]}, "image_id": 1}], False),
        ([{"image_id": 1, "segmentation": {"counts": "0" * 100_000, "size": [2, 2]}}], True),
        ([{"image_id": 1}], True),
        ([{"name": "a.jpg", "labels": [{"image_id": 3}]}], False),
        ([], False),
        ({"images": [{"image_id": 3}]}, False),
        ([3], False),
    ],
)
def test_what_results_are(tmp_path: Path, document: object, found: bool) -> None:
    assert is_results(write(tmp_path / "x.json", document)) is found
    assert not is_results(tmp_path / "none.json")


def test_no_results_are_frames_without_labels(tmp_path: Path) -> None:
    frames = list(read_results(write(tmp_path / "x.json", []), coco(tmp_path)))
    assert [frame.labels for frame in frames] == [[], [], []] and isinstance(frames[0], Frame)


def test_ids_that_are_the_numbers_of_other_images_are_refused(tmp_path: Path) -> None:
    images = [{"id": 1, "file_name": "2.jpg"}, {"id": 2, "file_name": "001.jpg"}]
    ids = coco(tmp_path, annotations=False, images=images)
    entry: dict[str, Any] = {"image_id": 1, "category_id": 5}
    with pytest.raises(
        DataError, match=r"image id 1 is that of 2.jpg in .*coco.json, and the number in the name of 001"
    ):
        list(read_results(results(tmp_path, entry), ids))
    # The name of the file tells, and so do ids that are the numbers of their own images, as COCO's are.
    first, _ = read_results(results(tmp_path, entry | {"file_name": "2.jpg"}), ids)
    assert (first.name, len(first.labels or ())) == ("2.jpg", 1)
    ids = coco(tmp_path, annotations=False, images=[{"id": 1, "file_name": "001.jpg"}, {"id": 2, "file_name": "2.jpg"}])
    first, _ = read_results(results(tmp_path, entry), ids)
    assert (first.name, len(first.labels or ())) == ("001.jpg", 1)


def test_categories_of_images_whose_ids_are_their_numbers(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Ultralytics counts categories from 0, and names the images in its later versions."""
    categories = [{"id": i, "name": name} for i, name in enumerate(("pedestrian", "rider", "car"), 1)]
    ids = coco(tmp_path, annotations=False, images=[{"id": 1, "file_name": "001.jpg"}], categories=categories)

    def read(**entry: object) -> str:
        caplog.clear()
        (frame,) = read_results(results(tmp_path, {"image_id": 1} | entry), ids)
        return frame.labels[0].category

    with pytest.raises(DataError, match=r"its category ids \(2\) may count from 0 or from 1"):
        read(category_id=2, file_name="001.jpg")
    assert read(category_id=0) == "pedestrian" and "0 is pedestrian, 1 is rider, 2 is car" in caplog.text
    assert read(category_id=2) == "rider" and "if they count from 0, as Ultralytics', write" in caplog.text
    assert read(category_id=3) == "car" and not caplog.text


def test_results_may_be_json_lines(tmp_path: Path) -> None:
    path, ids = tmp_path / "results.jsonl", coco(tmp_path)
    path.write_text("\n".join(json.dumps(BOX | {"image_id": i, "category_id": 5}) for i in (20, 3)))
    assert is_results(path) and not is_results(ids)
    assert [len(frame.labels or ()) for frame in read_results(path, ids)] == [1, 1, 0]
