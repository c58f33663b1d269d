"""Accepted changes in a copy of a label file, and decisions that are refused."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from bdd100k_d2.errors import DataError, OutputError
from bdd100k_d2.suspects.correct import apply_decisions
from bdd100k_d2.suspects.decisions import Decision, Decisions, label_source
from bdd100k_d2.suspects.label_places import labelled_boxes
from bdd100k_d2.suspects.records import LabelChange, LabelPlace
from bdd100k_d2.tasks import TASKS

DET = TASKS["det"]
BOX = {"x1": 1.0, "y1": 2.0, "x2": 30.0, "y2": 40.0}


def labels() -> list[dict[str, Any]]:
    return [
        {
            "name": "a.jpg",
            "attributes": {"weather": "clear", "timeofday": "daytime", "own": [1]},
            "labels": [
                {"id": "1", "category": "car", "box2d": BOX, "attributes": {"occluded": True, "own": 3}, "extra": None},
                {"id": "2", "category": "lane", "poly2d": [{"vertices": [[1, 2], [3, 4]]}]},
                {"id": "7", "category": "bus", "box2d": BOX},
            ],
        },
        {"name": "b.jpg", "labels": None, "timestamp": 10000},
    ]


def write(folder: Path, document: object) -> Path:
    path = folder / "labels.json"
    path.write_text(json.dumps(document))
    return path


def decide(path: Path, truth: Path, *changes: LabelChange, verdict: str = "accept", task: str = "det") -> Path:
    decisions = [Decision(verdict, "class", 0.5, change) for change in changes]
    path.write_bytes(msgspec.json.encode(Decisions("bdd100k_d2 decisions 1", task, label_source(truth), decisions)))
    return path


CAR, BUS = LabelPlace(0, "1", "car"), LabelPlace(2, "7", "bus")
ALL = (
    LabelChange("remove", "a.jpg", BUS),
    LabelChange("rename", "a.jpg", CAR, category="truck"),
    LabelChange("add", "b.jpg", category="car", box=(5.0, 6.0, 7.5, 9.0)),
    LabelChange("set_time", "a.jpg", timeofday="night", old="daytime"),
)


def test_each_change_is_made_and_all_else_stays(tmp_path: Path) -> None:
    truth = write(tmp_path, labels())
    before = truth.read_bytes()
    log = apply_decisions(DET, truth, decide(tmp_path / "d.json", truth, *ALL), tmp_path / "corrected.json")
    assert truth.read_bytes() == before
    wanted = labels()
    del wanted[0]["labels"][2]
    wanted[0]["labels"][0]["category"] = "truck"
    wanted[0]["attributes"]["timeofday"] = "night"
    box = {"x1": 5.0, "y1": 6.0, "x2": 7.5, "y2": 9.0}
    wanted[1]["labels"] = [{"id": "8", "category": "car", "attributes": {}, "box2d": box}]
    assert json.loads((tmp_path / "corrected.json").read_text()) == wanted
    assert log == tmp_path / "corrected.changes.json"
    changes = json.loads(log.read_text())["changes"]
    assert [one["action"] for one in changes] == ["remove", "rename", "set_time", "add"]
    assert (changes[0]["before"]["id"], changes[0]["after"]) == ("7", None)
    assert (changes[1]["before"]["category"], changes[1]["after"]["category"]) == ("car", "truck")
    assert changes[3]["before"] is None and changes[3]["after"] == wanted[1]["labels"][0]


def test_a_box_is_moved_and_what_stands_beside_the_frames_stays(tmp_path: Path) -> None:
    document = {"config": {"imageSize": {"width": 160, "height": 96}}, "frames": labels(), "groups": [{"a": 1}]}
    truth = write(tmp_path, document)
    moved = LabelChange("move", "a.jpg", CAR, box=(3.0, 4.0, 5.0, 6.0))
    apply_decisions(DET, truth, decide(tmp_path / "d.json", truth, moved), tmp_path / "corrected.json")
    document["frames"][0]["labels"][0]["box2d"] = {"x1": 3.0, "y1": 4.0, "x2": 5.0, "y2": 6.0}
    assert json.loads((tmp_path / "corrected.json").read_text()) == document


def test_new_ids_are_numbers_where_ids_are(tmp_path: Path) -> None:
    frames = labels()
    for i, label in enumerate(frames[0]["labels"]):
        label["id"] = 10 + i
    truth = write(tmp_path, frames)
    changes = [LabelChange("add", name, category="car", box=(5.0, 6.0, 7.5, 9.0)) for name in ("a.jpg", "b.jpg")]
    apply_decisions(DET, truth, decide(tmp_path / "d.json", truth, *changes), tmp_path / "corrected.json")
    made = json.loads((tmp_path / "corrected.json").read_text())
    assert [frame["labels"][-1]["id"] for frame in made] == [13, 14]


BAD_CHANGES = {
    "of a frame that is not there": (LabelChange("remove", "c.jpg", CAR), "frame c.jpg is not there"),
    "of a place that is not there": (
        LabelChange("remove", "a.jpg", LabelPlace(3, "1", "car")),
        "a decision is about a label",
    ),
    "of a label of another id": (LabelChange("remove", "a.jpg", LabelPlace(0, "2", "car")), r"about a label 2 \(car\)"),
    "of a label of another class": (
        LabelChange("rename", "a.jpg", LabelPlace(0, "1", "bus"), category="car"),
        "not there",
    ),
    "of no label": (LabelChange("remove", "a.jpg"), "a label that it does not name"),
    "of another time": (LabelChange("set_time", "a.jpg", timeofday="daytime", old="night"), "is not tagged night"),
    "without a box": (LabelChange("add", "a.jpg", category="car"), "no box with an area"),
    "of a box without an area": (LabelChange("move", "a.jpg", CAR, box=(9.0, 2.0, 3.0, 4.0)), "no box with an area"),
    "of masks": (LabelChange("repaint", "a.jpg", CAR), "repaint is of masks"),
}


@pytest.mark.parametrize("what", BAD_CHANGES)
def test_a_change_that_does_not_fit_is_refused(tmp_path: Path, what: str) -> None:
    change, message = BAD_CHANGES[what]
    truth = write(tmp_path, labels())
    with pytest.raises(DataError, match=message):
        apply_decisions(DET, truth, decide(tmp_path / "d.json", truth, change), tmp_path / "corrected.json")
    assert not (tmp_path / "corrected.json").exists()


CHANGES_THAT_DO_NOT_GO_TOGETHER = {
    "removed and moved": (
        [LabelChange("remove", "a.jpg", CAR), LabelChange("move", "a.jpg", CAR, box=(3.0, 4.0, 5.0, 6.0))],
        r"frame a\.jpg: two changes of label 1 \(car\) are accepted, remove and move; accept one of them",
    ),
    "renamed and moved": (
        [
            LabelChange("rename", "a.jpg", CAR, category="truck"),
            LabelChange("move", "a.jpg", CAR, box=(3.0, 4.0, 5.0, 6.0)),
        ],
        r"two changes of label 1 \(car\) are accepted, rename and move",
    ),
    "tagged twice": ([ALL[3], ALL[3]], "two changes of the time of day are accepted, set_time and set_time"),
    "renamed to what is added": (
        [
            LabelChange("rename", "a.jpg", CAR, category="truck"),
            LabelChange("add", "a.jpg", category="truck", box=(1.0, 2.0, 30.0, 30.0)),
        ],
        r"frame a\.jpg: an added truck is at the place of a label, truck at 1, 2, 30, 40, and would label the object "
        "twice; reject the addition, or the other change",
    ),
    "moved to what is added": (
        [
            LabelChange("move", "a.jpg", CAR, box=(101.0, 2.0, 130.0, 40.0)),
            LabelChange("add", "a.jpg", category="van", box=(101.0, 2.0, 130.0, 38.0)),
        ],
        "an added van is at the place of a label, car at 101, 2, 130, 40",
    ),
    "added twice": (
        [LabelChange("add", "b.jpg", category=name, box=(5.0, 6.0, 7.5, 9.0)) for name in ("car", "bus")],
        r"frame b\.jpg: an added bus is at the place of another added box, car at 5, 6, 7\.5, 9",
    ),
}


@pytest.mark.parametrize("what", CHANGES_THAT_DO_NOT_GO_TOGETHER)
def test_changes_that_do_not_go_together_are_refused(tmp_path: Path, what: str) -> None:
    changes, message = CHANGES_THAT_DO_NOT_GO_TOGETHER[what]
    truth = write(tmp_path, labels())
    with pytest.raises(DataError, match=message):
        apply_decisions(DET, truth, decide(tmp_path / "d.json", truth, *changes), tmp_path / "corrected.json")
    assert not (tmp_path / "corrected.json").exists()


def test_a_label_is_replaced_by_another_box(tmp_path: Path) -> None:
    truth = write(tmp_path, labels())
    changes = [LabelChange("remove", "a.jpg", CAR), LabelChange("add", "a.jpg", category="car", box=(1, 2, 30, 30))]
    apply_decisions(DET, truth, decide(tmp_path / "d.json", truth, *changes), tmp_path / "corrected.json")
    made = json.loads((tmp_path / "corrected.json").read_text())[0]["labels"]
    assert [one["category"] for one in made] == ["lane", "bus", "car"] and made[2]["box2d"]["y2"] == 30


def test_ids_beyond_what_javascript_counts_are_texts(tmp_path: Path) -> None:
    frames = labels()
    frames[0]["labels"][0]["id"] = 2**53 + 1
    truth = write(tmp_path, frames)
    change = LabelChange("rename", "a.jpg", LabelPlace(0, str(2**53 + 1), "car"), category="truck")
    apply_decisions(DET, truth, decide(tmp_path / "d.json", truth, change), tmp_path / "corrected.json")
    made = json.loads((tmp_path / "corrected.json").read_text())[0]["labels"][0]
    assert (made["id"], made["category"]) == (2**53 + 1, "truck")
    # Decisions that were saved with a number.
    change = LabelChange("rename", "a.jpg", LabelPlace(0, 2**53 + 1, "car"), category="truck")
    apply_decisions(DET, truth, decide(tmp_path / "d.json", truth, change), tmp_path / "again.json")
    places = labelled_boxes(truth, DET).places
    assert [one.id for one in places] == ["9007199254740993", "7"]


def test_decisions_on_other_labels_are_refused(tmp_path: Path) -> None:
    truth = write(tmp_path, labels())
    decisions = decide(tmp_path / "d.json", truth, *ALL)
    out = tmp_path / "corrected.json"
    truth.write_text(truth.read_text() + "\n")
    with pytest.raises(DataError, match="has another content; give the labels as they were"):
        apply_decisions(DET, truth, decisions, out)
    with pytest.raises(DataError, match="no such file or folder"):
        apply_decisions(DET, tmp_path / "nothing.json", decisions, out)
    with pytest.raises(DataError, match="on labels of sem_seg, not of det"):
        apply_decisions(DET, truth, decide(decisions, truth, *ALL, task="sem_seg"), out)
    with pytest.raises(DataError, match="none of its 4 decisions accepts"):
        apply_decisions(DET, truth, decide(decisions, truth, *ALL, verdict="skip"), out)
    decisions.write_text('{"format": "another"}')
    with pytest.raises(DataError, match="no file of decisions"):
        apply_decisions(DET, truth, decisions, out)
    assert not out.exists()


def test_nothing_that_is_read_is_written(tmp_path: Path) -> None:
    truth = write(tmp_path, labels())
    decisions = decide(tmp_path / "d.json", truth, *ALL)
    for out in (truth, decisions):
        with pytest.raises(OutputError, match="would overwrite"):
            apply_decisions(DET, truth, decisions, out)


def test_labels_of_other_forms_are_refused(tmp_path: Path) -> None:
    coco = {"images": [{"id": 1, "file_name": "a.jpg"}], "annotations": [], "categories": [{"id": 1, "name": "car"}]}
    truth = write(tmp_path, coco)
    with pytest.raises(DataError, match="no Scalabel labels, which alone are corrected; convert them"):
        apply_decisions(DET, truth, decide(tmp_path / "d.json", truth, *ALL), tmp_path / "corrected.json")
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "labels.json").write_text(json.dumps(labels()))
    with pytest.raises(DataError, match="labels in several files are not corrected"):
        apply_decisions(DET, folder, decide(tmp_path / "d.json", folder, *ALL), tmp_path / "corrected.json")
