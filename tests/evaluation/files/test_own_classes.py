"""Files scored by own classes: the same metrics of those classes alone, and what is refused."""

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from oracles.make_oracles import FOLDER
from support.commands import run_tool
from support.random_masks import run_lengths

from bdd100k_d2.data.categories import own_categories
from bdd100k_d2.data.labels import Box2D, Frame, Label, write_frames
from bdd100k_d2.errors import ConfigError, DataError
from bdd100k_d2.evaluation import box_reader
from bdd100k_d2.evaluation.files.evaluate import evaluate_files
from bdd100k_d2.evaluation.files.panoptic import open_pan_seg
from bdd100k_d2.evaluation.own_classes import class_names
from bdd100k_d2.tasks import TASKS

# Without other names in the labels, which own classes do not have.
OWN = ["train", "bus", "rider"]


def classless(metric: Sequence[dict[str, float]], names: Sequence[str]) -> dict[str, float]:
    return {name: metric[0][name] for name in names}


@pytest.mark.parametrize("workers", [1, 3])
def test_each_of_three_classes_has_its_official_scores(
    workers: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    truth, predicted = FOLDER / "det/gt.json", FOLDER / "det/pred.json"
    official = evaluate_files("det", truth, predicted, workers=1).official
    # As large files are read.
    monkeypatch.setattr(box_reader, "_LARGE", 0)
    monkeypatch.setattr(box_reader, "_PART", 2000)
    with caplog.at_level(logging.WARNING):
        found = evaluate_files("det", truth, predicted, workers=workers, classes=OWN)
    for name, metric in found.official.items():
        assert metric[0] == pytest.approx(classless(official[name], OWN), abs=1e-9, nan_ok=True), name
        values = [value for value in metric[0].values() if not np.isnan(value)]
        if name == "AP":
            assert metric[1]["OVERALL"] == pytest.approx(np.mean(values))
    assert found.text().split("\n\n")[-1] == ("These are not the official scores: own classes (train, bus, rider).")
    left_out = [one.getMessage() for one in caplog.records if "of other classes are left out" in one.getMessage()]
    for path, message in zip((truth, predicted), left_out, strict=True):
        others = [
            label["category"]
            for frame in json.loads(path.read_text())
            for label in frame.get("labels") or ()
            if label["category"] not in OWN
        ]
        assert message.startswith(f"{path}: {len(others)} labels") and f"car ({others.count('car')})" in message
    assert "official" not in evaluate_files("det", truth, predicted, workers=1, classes=TASKS["det"].names).text()


def box(category: str, score: float | None = None, x: float = 0) -> Label:
    return Label(id="0", category=category, score=score, box2d=Box2D(x, 0, x + 39, 39))


@pytest.fixture
def trams(tmp_path: Path) -> tuple[Path, Path]:
    """Ground truth and predictions of cars, trams and a deer."""
    labels = [box("tram"), box("car", x=100), box("deer", x=200)]
    write_frames([Frame("a.jpg", labels=labels)], tmp_path / "gt.json")
    found = [box("tram", 0.9), box("car", 0.8, x=100), box("car", 0.95, x=300)]
    write_frames([Frame("a.jpg", labels=found)], tmp_path / "pred.json")
    return tmp_path / "gt.json", tmp_path / "pred.json"


def ap(scores: dict[str, Any]) -> dict[str, float]:
    return scores["AP"][0]


def test_classes_in_a_file_a_yaml_and_a_list_are_the_same(trams: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "classes.txt").write_text("car\ntram\n")
    (tmp_path / "data.yaml").write_text("names: {0: car, 1: tram}\nnc: 2\n")
    for text in (str(tmp_path / "classes.txt"), str(tmp_path / "data.yaml"), "car,tram", " car, tram"):
        assert class_names(text) == ["car", "tram"]
        done = run_tool("evaluate", "det", "--gt", trams[0], "--pred", trams[1], "--classes", text)
        assert done.returncode == 0, done.stderr
        assert "gt.json: 1 labels of other classes are left out: deer (1)." in done.stderr
        assert "These are not the official scores: own classes (car, tram)." in done.stdout
    # A wrong car of a higher score: a precision of a half at every recall.
    found = evaluate_files("det", *trams, classes=["car", "tram"]).official
    assert ap(found) == {"car": pytest.approx(50), "tram": pytest.approx(100)}
    with pytest.raises(ConfigError, match=r"--classes .*nowhere\.txt: no such file; check the path, or write names as"):
        class_names(str(tmp_path / "nowhere.txt"))


@pytest.mark.parametrize(
    ("task", "classes", "error", "message"),
    [
        ("det", ["car", "car"], ConfigError, "--classes: car stands twice among the classes; take one of them out"),
        ("det", ["car", ""], ConfigError, r"--classes: classes are \['car', ''\]; write a list of names"),
        ("det", [], ConfigError, r"--classes: classes are \[\]; write a list of names"),
        ("pan_seg", ["car"], ConfigError, "files of pan_seg are scored by BDD100K's classes alone"),
        ("det", ["carr"], DataError, r"gt\.json: no label is of the classes carr, but of car \(1\), deer \(1\), tram"),
        ("det", ["deer"], DataError, r"pred\.json: no label is of the classes deer, but of car \(2\), tram \(1\)"),
    ],
)
def test_classes_that_cannot_be_meant_are_refused(
    trams: tuple[Path, Path], task: str, classes: list[str], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        evaluate_files(task, *trams, classes=classes)


def test_a_class_of_no_label_is_named_once(
    trams: tuple[Path, Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    message = "no label is of trm; if it is mistyped, mend --classes, whose names are taken exactly."
    with caplog.at_level(logging.WARNING):
        evaluate_files("det", *trams, classes=["car", "tram", "deer"])
        assert "no label is of" not in caplog.text
        found = evaluate_files("det", *trams, classes=["car", "trm"]).official
    assert caplog.text.count("no label is of") == 1 and f"{trams[0]}: {message}" in caplog.text
    assert found["AP"][1]["OVERALL"] == ap(found)["car"] == pytest.approx(50)
    car = Label("0", "car", 0.5, rle=run_lengths(np.ones((8, 8), bool)))
    write_frames([Frame("a.jpg", labels=[car])], tmp_path / "rle.json")
    for task in ("sem_seg", "ins_seg"):
        caplog.clear()
        evaluate_files(task, tmp_path / "rle.json", tmp_path / "rle.json", classes=["car", "trm"])
        assert caplog.text.count("no label is of") == 1 and f"{tmp_path / 'rle.json'}: {message}" in caplog.text


def coco(path: Path, names: Sequence[str]) -> Path:
    categories = [{"id": 10 * (i + 1), "name": name} for i, name in enumerate(names)]
    annotations = [
        {"id": i, "image_id": 1, "category_id": one["id"], "bbox": [100 * i, 0, 40, 40]}
        for i, one in enumerate(categories)
    ]
    images = [{"id": 1, "file_name": "a.jpg", "width": 1280, "height": 720}]
    path.write_text(json.dumps({"images": images, "annotations": annotations, "categories": categories}))
    return path


def test_ground_truth_that_states_its_classes_names_the_option(trams: tuple[Path, Path], tmp_path: Path) -> None:
    truth = coco(tmp_path / "coco.json", ["car", "tram"])
    remedy = r" The file states classes of its own, which are scored with --classes 'car,tram'\.$"
    with pytest.raises(DataError, match=r"unknown category 'tram'. Known are .*" + remedy):
        evaluate_files("det", truth, trams[1])
    frames = json.loads(trams[0].read_bytes())
    frames[0]["labels"] = frames[0]["labels"][:2]
    config = {"categories": [{"name": "vehicle", "subcategories": [{"name": "car"}, {"name": "tram"}]}]}
    trams[0].write_text(json.dumps({"frames": frames, "config": config}))
    with pytest.raises(DataError, match=remedy):
        evaluate_files("det", *trams)
    for path in (truth, trams[0]):
        with pytest.raises(DataError, match=r"states to have no class 'trm', but car, tram; mend --classes, whose"):
            evaluate_files("det", path, trams[1], classes=["car", "trm"])


def test_results_have_the_category_ids_of_the_coco_file(tmp_path: Path) -> None:
    truth = coco(tmp_path / "coco.json", ["car", "tram"])
    results = [
        {"image_id": 1, "category_id": 20, "bbox": [100, 0, 40, 40], "score": 0.5},
        {"image_id": 1, "category_id": 10, "bbox": [500, 0, 40, 40], "score": 0.5},
    ]
    (tmp_path / "results.json").write_text(json.dumps(results))
    found = evaluate_files("det", truth, tmp_path / "results.json", classes=["tram", "car"])
    assert ap(found.official) == {"tram": pytest.approx(100), "car": 0}
    write_frames([Frame("a.jpg", labels=[box("tram", x=100)])], tmp_path / "scalabel.json")
    found = evaluate_files(
        "det", tmp_path / "scalabel.json", tmp_path / "results.json", image_ids=truth, classes=["tram", "car"]
    )
    assert ap(found.official) == {"tram": pytest.approx(100), "car": pytest.approx(np.nan, nan_ok=True)}


def write_mask(folder: Path, name: str, *values: int) -> None:
    """A mask of as many equal columns as values."""
    folder.mkdir(exist_ok=True)
    cv2.imwrite(str(folder / f"{name}.png"), np.repeat(np.array(values, np.uint8), 10)[None].repeat(8, axis=0))


def test_masks_of_two_classes(tmp_path: Path) -> None:
    write_mask(tmp_path / "gt", "a", 0, 0, 1, 255)
    write_mask(tmp_path / "pred", "a", 0, 1, 1, 0)
    for task in ("sem_seg", "drivable"):
        found = evaluate_files(task, tmp_path / "gt", tmp_path / "pred", classes=["other", "road"])
        assert found.official["IoU"] == [{"other": 50.0, "road": 50.0}, {"AVERAGE": 50.0}]
        assert found.official["pAcc"] == pytest.approx(100 * 2 / 3)
        assert "IoU-strict" not in found.extra_metrics
        assert "not the official scores: own classes (other, road)" in found.text()
    write_mask(tmp_path / "gt", "a", 0, 0, 2, 255)
    with pytest.raises(DataError, match=r"a\.png: the mask holds the ids \[2\]; 0 to 1 and 255 are allowed"):
        evaluate_files("sem_seg", tmp_path / "gt", tmp_path / "pred", classes=["other", "road"])


def write_bitmask(folder: Path, *instances: tuple[int, int]) -> None:
    """A bitmask of 8 x 40 pixels whose columns of ten are the category and id of an instance."""
    folder.mkdir(exist_ok=True)
    mask = np.zeros((8, 10 * len(instances), 4), np.uint8)
    for i, (category, instance) in enumerate(instances):
        mask[:, 10 * i : 10 * i + 10] = (0, instance % 256, instance // 256, category)
    # OpenCV writes blue, green, red, alpha: channel R is the category, and B and A are the id.
    cv2.imwrite(str(folder / "a.png"), mask[..., [2, 0, 3, 1]])


def test_panoptic_stuff_and_things_of_ones_own(tmp_path: Path) -> None:
    stuff, things = (own_categories(names, are_things=kind) for names, kind in ((["sand"], False), (["boat"], True)))
    task = TASKS["pan_seg"].with_classes((*stuff, *things))
    write_bitmask(tmp_path / "gt", (1, 1), (2, 2), (2, 3), (1, 1))
    write_bitmask(tmp_path / "pred", (1, 1), (2, 2), (1, 1), (1, 1))
    scores = open_pan_seg(tmp_path / "gt", tmp_path / "pred", 1, task).toolkit_scores()
    # Sand: an IoU of two thirds. Boats: one of two is found.
    assert scores["PQ"][0] == {"sand": pytest.approx(200 / 3), "boat": pytest.approx(200 / 3)}
    assert scores["SQ"][0] == {"sand": pytest.approx(200 / 3), "boat": pytest.approx(100)}
    assert scores["PQ"][1] == {"STUFF": pytest.approx(200 / 3), "THING": pytest.approx(200 / 3)}
    assert scores["N"] == [{"sand": 1, "boat": 1}, {"STUFF": 1, "THING": 1}, {"OVERALL": 2}]
    write_bitmask(tmp_path / "gt", (3, 1), (2, 2), (2, 3), (1, 1))
    with pytest.raises(DataError, match=r"gt/a\.png.*3"):
        open_pan_seg(tmp_path / "gt", tmp_path / "pred", 1, task)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--toolkit",), "--toolkit has BDD100K's classes alone; leave out --classes"),
        (("--check-submission", "det.json"), "--check-submission is of BDD100K's classes; leave out --classes"),
    ],
)
def test_what_is_official_alone_is_refused(trams: tuple[Path, Path], more: Sequence[str], message: str) -> None:
    done = run_tool("evaluate", "det", "--gt", trams[0], "--pred", trams[1], "--classes", "car", *more)
    assert done.returncode == 2 and message in done.stderr


def test_masks_of_others_without_classes_say_as_what_they_are_scored(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_mask(tmp_path / "gt", "a", 0, 1)
    write_mask(tmp_path / "pred", "a", 0, 1)
    message = (
        "gt: no frame is named as BDD100K's; its ids are scored as BDD100K's 19 classes, road to bicycle: --classes "
        "names yours."
    )
    evaluate_files("sem_seg", tmp_path / "gt", tmp_path / "pred")
    assert caplog.text.count("no frame is named as") == 1 and message in caplog.text
    caplog.clear()
    evaluate_files("sem_seg", tmp_path / "gt", tmp_path / "pred", classes=["other", "road"])
    for folder in ("gt", "pred"):
        (tmp_path / folder / "a.png").rename(tmp_path / folder / "0004a4c0-d4dff0ad.png")
    evaluate_files("sem_seg", tmp_path / "gt", tmp_path / "pred")
    assert "no frame is named as" not in caplog.text
    write_bitmask(tmp_path / "bits", (1, 1), (3, 2))
    (tmp_path / "score.json").write_text('[{"name": "a.jpg", "labels": []}]')
    with pytest.raises(DataError, match="no score"):
        evaluate_files("ins_seg", tmp_path / "bits", tmp_path / "bits", score_file=tmp_path / "score.json")
    assert "its ids are scored as BDD100K's 8 classes, pedestrian to bicycle: --classes names yours." in caplog.text
