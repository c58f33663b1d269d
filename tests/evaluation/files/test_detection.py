import json
import logging
from pathlib import Path

import msgspec
import numpy as np
import pytest

from bdd100k_d2.data.labels import Box2D, Frame, ImageSize, Label, write_frames
from bdd100k_d2.data.vintages import read_labels
from bdd100k_d2.errors import DataError
from bdd100k_d2.evaluation import box_reader
from bdd100k_d2.evaluation.box_reader import reading_boxes
from bdd100k_d2.evaluation.boxes import Boxes, predicted_boxes
from bdd100k_d2.evaluation.files.detection import MatchedBoxes, open_det
from bdd100k_d2.evaluation.toolkit_format import summary


def predictions(*frames: tuple[str, int]) -> list[Frame]:
    """Frames by name and number of boxes, all within 100 pixels."""
    rng = np.random.default_rng(0)
    return [
        Frame(
            name=name,
            labels=[
                Label(id=str(i), category="car", score=score, box2d=Box2D(x, y, x + 20, y + 10))
                for i, (score, x, y) in enumerate((rng.uniform(0, 1, (count, 3)) * (1, 80, 90)).tolist())
            ],
        )
        for name, count in frames
    ]


def open_files(truth: Path, predicted: Path) -> MatchedBoxes:
    return open_det(truth, predicted, 1).matched


def test_the_oracle_from_files(oracles: Path) -> None:
    expected = json.loads((oracles / "expected.json").read_text())["det"]
    matched = open_files(oracles / expected["gt"], oracles / expected["pred"])
    assert summary(matched.toolkit_scores()) == pytest.approx(expected["scores"], abs=1e-9, rel=0)
    assert matched.extra_metrics() == {} and len(matched.names) == 202


def read(path: Path, processes: int) -> Boxes:
    with reading_boxes(path, processes) as boxes:
        return boxes()


@pytest.mark.parametrize(("processes", "indent"), [(1, 0), (3, 0), (2, 1)])
def test_large_files_are_read_in_parts_to_the_same_columns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, processes: int, indent: int
) -> None:
    frames = predictions(*((f"{i}.jpg", i % 5) for i in range(40)))
    frames[7].labels = None
    frames[3].size = ImageSize(8, 9)
    frames[8].labels.append(Label(category="no box, no score"))
    path = tmp_path / "det.json"
    write_frames(frames, path)
    whole = predicted_boxes(frames)
    monkeypatch.setattr(box_reader, "_LARGE", 0)
    monkeypatch.setattr(box_reader, "_PART", 300)
    monkeypatch.setattr(box_reader, "read_predictions", lambda *paths: pytest.fail("the general reader was asked"))
    if indent:
        path.write_text(json.dumps(json.loads(path.read_text()), indent=indent))
    assert len(box_reader.split_frames(path, 300)) > 10
    parts = read(path, processes)
    assert parts.names == whole.names
    assert parts.without_box == whole.without_box == 1
    assert parts.sizes == whole.sizes == {"3.jpg": (9, 8)}
    for ours, theirs in zip(parts[1:5], whole[1:5], strict=True):
        np.testing.assert_array_equal(ours, theirs)
        assert ours.dtype == theirs.dtype


def test_large_files_that_are_bad_are_named_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(box_reader, "_LARGE", 0)
    path = tmp_path / "det.json"
    good = msgspec.json.encode(predictions(("a.jpg", 2), ("b.jpg", 2)))
    for content, message in {
        good[:-40]: r"det\.json: the JSON is cut off",
        good.replace(b"b.jpg", b"a.jpg"): r"det\.json: frame a.jpg stands twice",
        good.replace(b'"car"', b'"boat"', 1): r"det\.json: frame a.jpg, label 0: unknown category 'boat'",
        good.replace(b'"score":', b'"confidence":', 1): r"det\.json: frame a.jpg: prediction 0 .car. has no score",
        good.replace(b'"score":', b'"score":NaN,"old":', 1): r"det\.json: frame a.jpg.*NaN",
        good.replace(
            b'"score":', b'"score":null,"old":', 1
        ): r"det\.json: frame a.jpg: prediction 0 .car. has no score",
        b'{"frames": 3}': r"det\.json: not a label file",
    }.items():
        path.write_bytes(content)
        with pytest.raises(DataError, match=message):
            read(path, 2)
    path.write_bytes(b'{"frames": ' + good + b"}")
    assert read(path, 2).names == ["a.jpg", "b.jpg"]


def test_what_only_looks_like_the_end_of_a_frame_is_read_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Labels that have names, and frames that do not begin with theirs, split nowhere or are read again."""
    monkeypatch.setattr(box_reader, "_LARGE", 0)
    monkeypatch.setattr(box_reader, "_PART", 1)
    frames = json.loads(msgspec.json.encode(predictions(("a.jpg", 3), ("b.jpg", 2), ("c.jpg", 1))))
    path = tmp_path / "det.json"
    for content in (
        [frame | {"labels": [{"name": "no frame"} | label for label in frame["labels"]]} for frame in frames],
        [{"labels": frame["labels"], "name": frame["name"]} for frame in frames],
    ):
        path.write_text(json.dumps(content))
        found = read(path, 2)
        assert found.names == ["a.jpg", "b.jpg", "c.jpg"] and found.frame.tolist() == [0, 0, 0, 1, 1, 2]


def test_missing_and_extra_frames_are_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    truth, found = tmp_path / "truth.json", tmp_path / "det.json"
    boxes = predictions(("a.jpg", 3), ("b.jpg", 2), ("c.jpg", 1))
    write_frames(boxes, truth)
    write_frames([boxes[0], *predictions(("y.jpg", 1), ("x.jpg", 0))], found)
    with caplog.at_level(logging.WARNING, "bdd100k_d2"):
        matched = open_files(truth, found)
    swapped, missing, extra = caplog.messages
    assert swapped == f"{truth}: the ground truth has scores; are ground truth and predictions swapped?"
    assert missing == f"{found}: 2 of 3 frames have no prediction and count as empty; the first is b.jpg."
    assert extra == f"{found}: 2 predicted frames are not in the ground truth and are left out; the first is x.jpg."
    # Three of six cars are found, all of them above the others that are not.
    assert matched.toolkit_scores()["AR100"][0]["car"] == pytest.approx(50)


def test_predictions_without_a_box_are_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture, oracles: Path) -> None:
    with caplog.at_level(logging.WARNING, "bdd100k_d2"):
        matched = open_files(oracles / "det/gt.json", oracles / "det/pred_empty.json")
    assert caplog.messages[-1].endswith("pred_empty.json: 1 predictions have no box (box2d) and are left out.")
    assert matched.toolkit_scores()["AP"][1] == {"OVERALL": 0}


def test_labels_without_a_box_are_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Lanes are no objects of det, so that nothing is missing where they have no box."""
    boxes = predictions(("a.jpg", 3), ("b.jpg", 2))
    write_frames(boxes, tmp_path / "det.json")
    truth = json.loads((tmp_path / "det.json").read_text())
    for frame in truth:
        for label in frame["labels"]:
            del label["score"]
    truth[0]["labels"].append({"id": "9", "category": "lane", "poly2d": []})
    (tmp_path / "truth.json").write_text(json.dumps(truth))
    with caplog.at_level(logging.WARNING, "bdd100k_d2"):
        open_files(tmp_path / "truth.json", tmp_path / "det.json")
        assert caplog.messages == []
        label = truth[1]["labels"][0]
        label["bbox"] = label.pop("box2d")
        truth[1]["labels"].append({"id": "8", "category": "a name of my own", "bbox": [1, 2, 3, 4]})
        (tmp_path / "truth.json").write_text(json.dumps(truth))
        matched = open_files(tmp_path / "truth.json", tmp_path / "det.json")
    assert caplog.messages == [
        f"{tmp_path}/truth.json: 2 labels have no box (box2d) and are left out; the first is in frame b.jpg."
    ]
    assert len(matched.truth.frame) == 4


def write_stated(path: Path, size: ImageSize | None, in_config: bool) -> Path:
    """Frames that all state a size, each for itself or by the config of their file."""
    frames = predictions(("a.jpg", 2), ("b.jpg", 1))
    for frame in frames:
        frame.size = None if in_config else size
    config = {"imageSize": None if size is None else {"width": size.width, "height": size.height}}
    document = {"frames": json.loads(msgspec.json.encode(frames)), "config": config}
    path.write_text(json.dumps(document if in_config else document["frames"]))
    return path


@pytest.mark.parametrize("large", (False, True))
@pytest.mark.parametrize("in_config", (False, True))
def test_boxes_in_images_of_another_size_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, large: bool, in_config: bool
) -> None:
    if large:
        monkeypatch.setattr(box_reader, "_LARGE", 0)
        monkeypatch.setattr(box_reader, "read_predictions", lambda *paths: pytest.fail("the general reader was asked"))
    truth = write_stated(tmp_path / "truth.json", ImageSize(1280, 720), False)
    for size in (None, ImageSize(1280, 720)):
        open_files(truth, write_stated(tmp_path / "det.json", size, in_config))
    found = write_stated(tmp_path / "det.json", ImageSize(640, 360), in_config)
    message = r"det.json: frame a.jpg has 360x640 pixels, in the ground truth .*truth.json 720x1280 \(height x width\)"
    with pytest.raises(DataError, match=message):
        open_files(truth, found)


def test_a_size_that_is_none_in_the_config_of_a_large_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(box_reader, "_LARGE", 0)
    path = write_stated(tmp_path / "det.json", ImageSize(1280, 720), True)
    path.write_text(path.read_text().replace('{"width": 1280, "height": 720}', "[1280, 720]"))
    with pytest.raises(DataError, match=r"det\.json: not a label file"):
        read(path, 1)


YOLO = r"{path}: labels of YOLO, .* with tools/convert_labels.py {path} labels.json --to scalabel"
OTHER_FORMS = {
    "y/labels/val/a.txt": ("y", "1 0.5 0.5 0.1 0.1\n", YOLO),
    "data.yaml": ("data.yaml", "names: [car]\n", YOLO),
    "train.txt": ("train.txt", "images/a.jpg\n", YOLO),
    "boxes.csv": ("boxes.csv", "name,x1,y1,x2,y2\n", "boxes.csv: CSV is not read; give labels in JSON"),
    "voc/a.XML": ("voc", "<annotation/>", "voc: XML is not read; give labels in JSON"),
}


@pytest.mark.parametrize("file", OTHER_FORMS)
def test_boxes_in_other_forms_are_named(tmp_path: Path, file: str) -> None:
    name, text, message = OTHER_FORMS[file]
    (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / file).write_text(text)
    good = tmp_path / "labels.txt"
    good.write_bytes(msgspec.json.encode(predictions(("a.jpg", 1))))
    open_files(good, good)
    for pair in ((good, tmp_path / name), (tmp_path / name, good)):
        with pytest.raises(DataError, match=message.format(path=tmp_path / name)):
            open_files(*pair)


def test_predictions_of_another_split_are_refused(tmp_path: Path) -> None:
    truth, found = tmp_path / "truth.json", tmp_path / "det.json"
    write_frames(predictions(("a.jpg", 3)), truth)
    write_frames(predictions(("x.jpg", 3)), found)
    with pytest.raises(DataError, match=r"det.json: none of the 1 predicted frames is in .*truth.json \(x.jpg against"):
        open_files(truth, found)
    write_frames([], found)
    with pytest.raises(DataError, match=r"det.json: no frame in it; give the predictions of the frames in"):
        open_files(truth, found)
    write_frames([], truth)
    with pytest.raises(DataError, match=r"truth.json: no frame of ground truth in it"):
        open_files(truth, found)


def test_a_subset_scores_like_files_of_the_subset(tmp_path: Path, oracles: Path) -> None:
    truth, found = (read_labels(oracles / f"det/{side}.json").frames for side in ("gt", "pred"))
    matched = open_files(oracles / "det/gt.json", oracles / "det/pred.json")
    chosen = np.arange(len(matched.names)) % 3 == 1
    names = {name for name, keep in zip(matched.names, chosen, strict=True) if keep}
    write_frames([frame for frame in truth if frame.name in names], tmp_path / "gt.json")
    write_frames([frame for frame in found if frame.name in names], tmp_path / "pred.json")
    alone = open_files(tmp_path / "gt.json", tmp_path / "pred.json").toolkit_scores()
    assert summary(matched.toolkit_scores(chosen)) == pytest.approx(summary(alone), abs=1e-12, rel=0, nan_ok=True)
