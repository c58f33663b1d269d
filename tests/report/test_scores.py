import json
from pathlib import Path

import pytest
from support.run_folders import DET_SCORES, SEM_SEG_SCORES

from bdd100k_d2.errors import DataError
from bdd100k_d2.report.scores import ScoreTable, read_score_table
from bdd100k_d2.tasks import TASKS


def read(tmp_path: Path, document: object, task: str) -> ScoreTable:
    path = tmp_path / "scores.json"
    path.write_text(json.dumps(document))
    return read_score_table(path, TASKS[task])


def test_detection_scores_by_class_in_the_order_of_the_ids(tmp_path: Path) -> None:
    scores = read(tmp_path, DET_SCORES, "det")
    assert [(metric.mean_title, mean) for metric, mean in scores.headline] == [("AP", 35.58), ("AP50", 52.03)]
    assert [metric.column_title for metric in scores.columns] == ["AP", "AP50", "AR100"]
    assert [row.name for row in scores.rows] == ["pedestrian", "car", "train", "motorcycle"]
    assert scores.rows[1].values == (62.5, 88.4, 70.0)
    assert scores.rows[1].color == (30, 170, 255)
    assert scores.means == (35.58, 52.03, 43.0)


def test_an_absent_class_has_no_value(tmp_path: Path) -> None:
    assert "NaN" in json.dumps(DET_SCORES)
    for absent in (float("nan"), None):
        scores = read(tmp_path, {"AP": [{"car": 1.0, "train": absent}, {"OVERALL": 1.0}]}, "det")
        assert scores.rows[1] == ("train", (180, 120, 60), (None,))


def test_the_official_acc_is_called_precision(tmp_path: Path) -> None:
    scores = read(tmp_path, SEM_SEG_SCORES, "sem_seg")
    assert [metric.column_title for metric in scores.columns] == ["IoU", "Precision"]
    assert [(metric.mean_title, mean) for metric, mean in scores.headline] == [
        ("mIoU", 85.65),
        ("fIoU", 88.8),
        ("pAcc", 93.3),
        ("mean precision", 90.45),
    ]
    assert [row.name for row in scores.rows] == ["road", "sky", "train"]


@pytest.mark.parametrize("form", [88.8, [{"AVERAGE": 88.8}], [{}, {"AVERAGE": 88.8}], {"AVERAGE": 88.8}])
def test_a_score_without_classes_comes_in_several_forms(tmp_path: Path, form: object) -> None:
    assert read(tmp_path, {"fIoU": form}, "sem_seg").headline[0][1] == 88.8


def test_a_class_that_the_tables_do_not_know_is_shown_last(tmp_path: Path) -> None:
    scores = read(tmp_path, {"AP": [{"tram": 5.0, "car": 9.0}, {"OVERALL": 7.0}]}, "det")
    assert [(row.name, row.color) for row in scores.rows] == [("car", (30, 170, 255)), ("tram", None)]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", r"scores\.json: the scores cannot be read .*--eval-only"),
        ("[]", r"scores\.json: no det scores in it \(AP, AP50, .*evaluate again"),
        ('{"IoU": [{"road": 1.0}]}', r"scores\.json: no det scores in it"),
        ('{"AP": [{"car": "high"}]}', r"scores\.json: AP of car is 'high', not a number"),
        ('{"AP": [{"car": true}]}', r"scores\.json: AP of car is True, not a number"),
        ('{"AP": [3.0]}', r"scores\.json: AP is not a list of objects"),
        ('{"AP": "x"}', r"scores\.json: AP is not a list of objects"),
    ],
)
def test_a_file_that_holds_no_scores_is_refused(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "scores.json").write_text(content)
    with pytest.raises(DataError, match=message):
        read_score_table(tmp_path / "scores.json", TASKS["det"])


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"scores\.json: .*No such file.*--eval-only"):
        read_score_table(tmp_path / "scores.json", TASKS["det"])
