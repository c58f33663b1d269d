"""Own data whose images have one name in several folders: every frame keeps a name, a mask and a score of its own."""

import json
import logging
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from detectron2.data import DatasetCatalog
from detectron2.structures import Boxes, Instances
from support.frames import write_image

from bdd100k_d2.data.image_names import frame_names, plain_name
from bdd100k_d2.data.own_dataset import register_dataset
from bdd100k_d2.data.slices import register_slice
from bdd100k_d2.drawing.dataset_images import write_dataset_images
from bdd100k_d2.errors import DataError
from bdd100k_d2.evaluation.evaluators import BDD100KDetEvaluator, BDD100KSemSegEvaluator
from bdd100k_d2.evaluation.files.evaluate import evaluate_files
from bdd100k_d2.evaluation.prediction_files import write_mask
from bdd100k_d2.predict.inputs import find_input

HEIGHT, WIDTH = 60, 100
CLASSES = ["cat", "dog"]


pytestmark = pytest.mark.usefixtures("catalogs_as_they_were")


def write_images(folder: Path, *names: str) -> Path:
    for name in names:
        write_image(folder / name, HEIGHT, WIDTH)
    return folder


# Frame i has one box at 10 i, so that a frame that takes the place of another is seen.
PLACES = ["a/0.jpg", "b/0.jpg", "a/1.jpg", "deep/er/0.jpg"]
NAMES = ["a__0.jpg", "b__0.jpg", "1.jpg", "deep__er__0.jpg"]


def write_coco(path: Path, places: list[str], size: bool = False) -> Path:
    document: dict[str, Any] = {"categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}]}
    stated = {"height": HEIGHT, "width": WIDTH} if size else {}
    document["images"] = [{"id": i, "file_name": place, **stated} for i, place in enumerate(places)]
    document["annotations"] = [
        {"id": i, "image_id": i, "category_id": 1 + i % 2, "bbox": [10 * i, 5, 9, 40]} for i in range(len(places))
    ]
    path.write_text(json.dumps(document))
    return path


def write_scalabel(path: Path, places: list[str]) -> Path:
    frames = [
        {
            "name": place,
            "attributes": {"timeofday": "night" if i == 1 else "daytime"},
            "labels": [
                {"id": i, "category": CLASSES[i % 2], "box2d": {"x1": 10 * i, "y1": 5, "x2": 10 * i + 8, "y2": 44}}
            ],
        }
        for i, place in enumerate(places)
    ]
    path.write_text(json.dumps(frames))
    return path


def test_names_of_frames() -> None:
    assert frame_names(PLACES) == NAMES
    assert frame_names(["x/a/0.jpg", "x\\b\\0.png", "./x/c.jpg"]) == ["a__0.jpg", "b__0.png", "c.jpg"]
    assert frame_names(["a/0.jpg", "0.jpg"]) == ["a__0.jpg", "0.jpg"]
    assert frame_names(["a/0.jpg", "./a/0.jpg"]) == ["0.jpg", "0.jpg"] and frame_names([]) == []
    assert frame_names(["/data/a/0.jpg"]) == ["0.jpg"] and plain_name("/../a/0.jpg") == "..__a__0.jpg"


def score_of_perfect_boxes(name: str, out: Path) -> dict[str, Any]:
    records = DatasetCatalog.get(name)
    # As workers of a distributed evaluation may have it.
    random.Random(1).shuffle(records)
    evaluator = BDD100KDetEvaluator(name, str(out))
    evaluator.reset()
    for record in records:
        found = Instances((record["height"], record["width"]))
        boxes = np.array([one["bbox"] for one in record["annotations"]], float).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        found.pred_boxes = Boxes(torch.tensor(boxes))
        found.scores = torch.ones(len(boxes))
        found.pred_classes = torch.tensor([one["category_id"] for one in record["annotations"]])
        evaluator.process([record], [{"instances": found}])
    return dict(evaluator.evaluate()["bbox"])


@pytest.mark.parametrize("kind", ["coco", "scalabel"])
def test_boxes_of_one_name_in_several_folders(tmp_path: Path, kind: str) -> None:
    write_images(tmp_path / "images", *PLACES)
    labels = (write_coco if kind == "coco" else write_scalabel)(tmp_path / "labels.json", PLACES)
    register_dataset("pets", labels, tmp_path / "images", classes=CLASSES)
    records = DatasetCatalog.get("pets")
    assert [one["image_id"] for one in records] == NAMES
    assert [one["file_name"] for one in records] == [str(tmp_path / "images" / place) for place in PLACES]
    assert [one["annotations"][0]["bbox"][0] for one in records] == [0, 10, 20, 30]
    assert score_of_perfect_boxes("pets", tmp_path / "out")["AP"] == pytest.approx(100)
    # What was written is read again, and so are the names of prediction and of slices.
    again = evaluate_files("det", labels, tmp_path / "out/det.json", classes=CLASSES)
    assert again.official["AP"][1]["OVERALL"] == pytest.approx(100)
    assert set(find_input(str(tmp_path / "images")).paths) == set(NAMES)
    register_slice("some", "pets", names=["deep/er/0.jpg", "b__0"])
    assert [one["annotations"][0]["bbox"][0] for one in DatasetCatalog.get("some")] == [10, 30]
    assert score_of_perfect_boxes("some", tmp_path / "some")["AP"] == pytest.approx(100)
    register_slice("none", "pets", names=["0"])
    with pytest.raises(DataError, match="0 is .*a/0.jpg and .*b/0.jpg; name the folder too"):
        DatasetCatalog.get("none")
    write_dataset_images("pets", tmp_path / "drawn")
    assert len([*(tmp_path / "drawn").iterdir()]) == 4
    if kind == "scalabel":
        register_slice("dark", "pets", timeofday="night")
        assert [one["annotations"][0]["bbox"][0] for one in DatasetCatalog.get("dark")] == [10]


def test_paths_of_labels_that_begin_above_or_below_the_folder_of_images(tmp_path: Path) -> None:
    write_images(tmp_path / "data/images", "a/0.jpg", "b/0.jpg")
    above = write_coco(tmp_path / "above.json", ["images/a/0.jpg", "images/b/0.jpg"])
    below = write_coco(tmp_path / "below.json", ["a/0.jpg", "b/0.jpg"])
    for labels in (above, below):
        for images in ("data", "data/images"):
            register_dataset("pets", labels, tmp_path / images)
            a, b = DatasetCatalog.get("pets")
            assert (a["image_id"], b["image_id"]) == ("a__0.jpg", "b__0.jpg")
            assert a["file_name"].endswith("images/a/0.jpg") and b["file_name"].endswith("images/b/0.jpg")


def test_the_same_path_twice_and_names_that_tell_nothing_apart_are_refused(tmp_path: Path) -> None:
    write_images(tmp_path / "images", "a/0.jpg", "b/0.jpg")
    register_dataset("pets", write_coco(tmp_path / "twice.json", ["a/0.jpg", "a/0.jpg"]), tmp_path / "images")
    with pytest.raises(DataError, match=r"twice.json: frame 0.jpg stands twice; remove one of the two"):
        DatasetCatalog.get("pets")
    register_dataset("pets", write_coco(tmp_path / "plain.json", ["0.jpg"]), tmp_path / "images")
    with pytest.raises(DataError, match=r"a/0.jpg and .*b/0.jpg are images of one name, which the labels do not tell"):
        DatasetCatalog.get("pets")
    places = ["../../a/0.jpg", "../../b/0.jpg", "../x.jpg"]
    register_dataset("pets", write_coco(tmp_path / "out.json", places), tmp_path / "images")
    with pytest.raises(DataError, match=r"images: 3 of 3 images of the labels in .*out.json are missing"):
        DatasetCatalog.get("pets")


def test_yolo_folders_of_sequences(tmp_path: Path) -> None:
    for split, sequences in (("train", ("s1", "s2")), ("val", ("s3", "s4"))):
        for i, sequence in enumerate(sequences):
            write_images(tmp_path / f"images/{split}", f"{sequence}/0001.jpg", f"{sequence}/{sequence}.jpg")
            file = tmp_path / f"labels/{split}/{sequence}/0001.txt"
            file.parent.mkdir(parents=True)
            file.write_text(f"{i} 0.5 0.5 0.2 0.{4 + i}\n")
    (tmp_path / "data.yaml").write_text("train: images/train\nval: images/val\nnames: [cat, dog]\n")
    assert register_dataset("pets", tmp_path / "data.yaml") == ("pets_train", "pets_val")
    expected = {"s3__0001.jpg": [0], "s4__0001.jpg": [1], "s3.jpg": [], "s4.jpg": []}
    records = DatasetCatalog.get("pets_val")
    found = {one["image_id"]: [box["category_id"] for box in one["annotations"]] for one in records}
    assert found == expected
    paths = find_input(str(tmp_path / "images/val")).paths
    assert all(one["file_name"] == str(paths[one["image_id"]]) for one in records)
    assert score_of_perfect_boxes("pets_val", tmp_path / "out")["AP"] == pytest.approx(100)
    # One folder of images for all splits: the images of the other split are no frames without labels of this one.
    register_dataset("pets", tmp_path / "labels", tmp_path / "images", classes=CLASSES)
    assert {one["image_id"] for one in DatasetCatalog.get("pets_val")} >= {"s3__0001.jpg", "s4__0001.jpg"}
    everything = write_images(tmp_path / "all", *(f"s{i}/0001.jpg" for i in range(1, 6)))
    register_dataset("pets", tmp_path / "labels", everything, classes=CLASSES)
    found = {one["image_id"]: len(one["annotations"]) for one in DatasetCatalog.get("pets_val")}
    assert found == {"s3__0001.jpg": 1, "s4__0001.jpg": 1, "s5__0001.jpg": 0}


def test_masks_in_folders(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_images(tmp_path / "images", "a/0.jpg", "b/0.png", "b/1.jpg", "c/0.jpg")
    for i, name in enumerate(("a/0", "b/0", "b/1")):
        mask = np.zeros((HEIGHT, WIDTH), np.uint8)
        mask[:, : 20 + 20 * i] = 1
        (tmp_path / "masks" / name).parent.mkdir(parents=True, exist_ok=True)
        write_mask(mask, tmp_path / f"masks/{name}.png")
    register_dataset("floors", tmp_path / "masks", tmp_path / "images", task="sem_seg", classes=["floor", "wall"])
    with caplog.at_level(logging.WARNING):
        records = DatasetCatalog.get("floors")
    assert {one["image_id"]: one["sem_seg_file_name"] for one in records} == {
        "a__0.jpg": str(tmp_path / "masks/a/0.png"),
        "b__0.png": str(tmp_path / "masks/b/0.png"),
        "1.jpg": str(tmp_path / "masks/b/1.png"),
    }
    assert "1 images without a mask are left out" in caplog.text
    evaluator = BDD100KSemSegEvaluator("floors", str(tmp_path / "out"))
    evaluator.reset()
    for i in (2, 0, 1):
        record = next(one for one in records if one["image_id"] == ("a__0.jpg", "b__0.png", "1.jpg")[i])
        logits = torch.zeros(2, HEIGHT, WIDTH)
        logits[1, :, : 20 + 20 * i] = 1
        logits[0] = 0.5
        evaluator.process([record], [{"sem_seg": logits}])
    assert evaluator.evaluate()["sem_seg"]["mIoU"] == 100
    assert sorted(one.name for one in (tmp_path / "out/masks").iterdir()) == ["1.png", "a__0.png", "b__0.png"]
    again = evaluate_files("sem_seg", tmp_path / "masks", tmp_path / "out/masks", classes=["floor", "wall"])
    assert again.official["IoU"][1]["AVERAGE"] == 100
    (tmp_path / "out/masks/a__0.png").rename(tmp_path / "out/masks/0.png")
    with pytest.raises(DataError, match=r"masks: frame a__0 may be 0 of .*out/masks, as images of one name"):
        evaluate_files("sem_seg", tmp_path / "masks", tmp_path / "out/masks", classes=["floor", "wall"])


def det(path: Path, *names: str) -> Path:
    labels = [{"id": 1, "category": "car", "score": 0.9, "box2d": {"x1": 0, "y1": 0, "x2": 50, "y2": 50}}]
    path.write_text(json.dumps([{"name": name, "labels": labels} for name in names]))
    return path


def test_predictions_of_images_of_another_ending(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    truth, predicted = det(tmp_path / "gt.json", "a.jpg", "b.jpg"), det(tmp_path / "pred.json", "a.png", "b.jpg")
    assert evaluate_files("det", truth, predicted).official["AP"][1]["OVERALL"] == pytest.approx(100)
    assert "pred.json: 1 frames are named otherwise than in the ground truth, and matched without" in caplog.text
    assert "the first is a.png for a.jpg." in caplog.text and "no prediction" not in caplog.text
    both = det(tmp_path / "both.json", "a.png", "a.bmp")
    with pytest.raises(DataError, match=r"both.json: frames a.png and a.bmp are both a.jpg of the ground tr"):
        evaluate_files("det", truth, both)
    with pytest.raises(DataError, match=r"pred.json: frame in__a.jpg may be a.jpg of .*gt.json"):
        evaluate_files("det", truth, det(predicted, "in__a.jpg", "b.jpg"))


def test_a_mask_with_more_ids_than_classes_has_no_score(tmp_path: Path) -> None:
    write_images(tmp_path / "images", "0.jpg")
    (tmp_path / "masks").mkdir()
    write_mask(np.full((HEIGHT, WIDTH), 2, np.uint8), tmp_path / "masks/0.png")
    register_dataset("floors", tmp_path / "masks", tmp_path / "images", task="sem_seg", classes=["floor", "wall"])
    (record,) = DatasetCatalog.get("floors")
    message = r"masks/0.png: the mask holds the ids \[2\]; 0 to 1 and 255 are allowed"
    for out in (None, str(tmp_path / "out")):
        evaluator = BDD100KSemSegEvaluator("floors", out)
        evaluator.reset()
        with pytest.raises(DataError, match=message):
            evaluator.process([record], [{"sem_seg": torch.zeros(2, HEIGHT, WIDTH)}])
    with pytest.raises(DataError, match=message):
        evaluate_files("sem_seg", tmp_path / "masks", tmp_path / "masks", classes=["floor", "wall"])
