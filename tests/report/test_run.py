import json
import logging
from pathlib import Path

import pytest
import yaml
from support.run_folders import DET_SCORES, write_config, write_det_run, write_mask_run

from bdd100k_d2.errors import DataError
from bdd100k_d2.report.run import read_run
from bdd100k_d2.tasks import TASKS


def test_what_a_training_run_leaves_behind(tmp_path: Path) -> None:
    run = read_run(write_det_run(tmp_path / "det"), tmp_path)
    assert run.name == "det"
    assert dict(run.facts) == {
        "Model": "GeneralizedRCNN",
        "Backbone": "resnet_fpn, 18 layers",
        "Trained on": "bdd100k_det_train",
        "Batch size": "4",
        "Learning rate": "0.02",
        "Iterations": "100",
        "Training time": "50 s",
    }
    (evaluation,) = run.evaluations
    assert evaluation.title == "Object detection"
    assert evaluation.data.images == tmp_path / "bdd100k/images/100k/val"
    assert evaluation.predictions == tmp_path / "det/inference/det.json"
    assert evaluation.scores.means[0] == 35.58


def test_a_backbone_of_timm_is_named(tmp_path: Path) -> None:
    folder = write_det_run(tmp_path / "det")
    config = yaml.safe_load((folder / "config.yaml").read_text())
    config["MODEL"] |= {"BACKBONE": {"NAME": "build_timm_fpn_backbone"}, "TIMM": {"NAME": "convnext_tiny"}}
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    assert dict(read_run(folder).facts)["Backbone"] == "convnext_tiny, fpn"


def test_a_run_that_stopped_early_says_so(tmp_path: Path) -> None:
    folder = write_det_run(tmp_path / "det")
    write_config(folder, "bdd100k_det_val", MAX_ITER=90000)
    assert dict(read_run(folder).facts)["Iterations"] == "100 of 90,000"


@pytest.mark.parametrize(("each", "text"), [(0.004, "0 s"), (1.25, "2 min 5 s"), (500.0, "13 h 53 min")])
def test_training_time(tmp_path: Path, each: float, text: str) -> None:
    folder = write_det_run(tmp_path / "det")
    (folder / "metrics.json").write_text(json.dumps({"iteration": 99, "total_loss": 1.0, "time": each}))
    assert dict(read_run(folder).facts)["Training time"] == text


def test_a_run_without_a_training_log_has_no_history(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = write_det_run(tmp_path / "det")
    (folder / "metrics.json").unlink()
    with caplog.at_level(logging.WARNING):
        run = read_run(folder)
    assert run.history is None and "Iterations" not in dict(run.facts)
    assert "metrics.json: no training log" in caplog.text


def test_a_test_split_has_no_scores(tmp_path: Path) -> None:
    run = read_run(write_mask_run(tmp_path / "seg", scores=None, split="test"))
    assert run.evaluations[0].scores is None and run.evaluations[0].data.labels is None


def test_several_test_sets_have_folders_of_their_own(tmp_path: Path) -> None:
    folder = write_det_run(tmp_path / "det")
    write_config(folder, "bdd100k_det_val", "bdd100k_det_train")
    for name in ("bdd100k_det_val", "bdd100k_det_train"):
        (folder / "inference" / name).mkdir()
        (folder / "inference" / name / "det.json").write_text("[]")
        (folder / "inference" / name / "scores.json").write_text(json.dumps(DET_SCORES))
    assert [e.predictions.parent.name for e in read_run(folder).evaluations] == ["bdd100k_det_val", "bdd100k_det_train"]


def test_a_slice_has_the_paths_of_the_data_set_that_it_is_of(tmp_path: Path) -> None:
    folder = write_det_run(tmp_path / "det")
    write_config(folder, "bdd100k_det_val_night")
    (evaluation,) = read_run(folder, tmp_path).evaluations
    assert (evaluation.name, evaluation.data.base) == ("bdd100k_det_val_night", "bdd100k_det_val")
    assert evaluation.is_slice and not read_run(write_det_run(tmp_path / "whole")).evaluations[0].is_slice


def test_a_slice_of_the_config_too(tmp_path: Path) -> None:
    folder = write_det_run(tmp_path / "det")
    write_config(folder, "dark_and_wet")
    config = yaml.safe_load((folder / "config.yaml").read_text())
    config["DATASETS"]["SLICES"] = [
        {"name": "dark", "base": "bdd100k_det_val_night", "scene": "highway"},
        {"name": "dark_and_wet", "base": "dark", "weather": ["rainy", "snowy"]},
    ]
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    (evaluation,) = read_run(folder, tmp_path).evaluations
    assert (evaluation.name, evaluation.data.base) == ("dark_and_wet", "bdd100k_det_val") and evaluation.is_slice


def test_the_data_root_is_the_one_of_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DETECTRON2_DATASETS", str(tmp_path / "elsewhere"))
    run = read_run(write_det_run(tmp_path / "det"))
    assert run.evaluations[0].data.images == tmp_path / "elsewhere/bdd100k/images/100k/val"


def change_config(folder: Path, part: str, **values: object) -> None:
    config = yaml.safe_load((folder / "config.yaml").read_text())
    config[part] |= values
    (folder / "config.yaml").write_text(yaml.safe_dump(config))


def break_config(folder: Path, content: str) -> None:
    (folder / "config.yaml").write_text(content)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda f: (f / "config.yaml").unlink(), r"config\.yaml: no such file; give the OUTPUT_DIR"),
        (lambda f: break_config(f, "a: [1"), r"config\.yaml: no usable YAML"),
        (lambda f: break_config(f, "!!python/object/apply:os.getcwd []"), r"config\.yaml: no usable YAML"),
        (
            lambda f: break_config(f, "- 1"),
            r"config\.yaml: no config as Detectron2 dumps it \(Expected `object`",
        ),
        (
            lambda f: break_config(f, "MODEL: {}"),
            r"missing required field `META_ARCHITECTURE` - at `MODEL`",
        ),
        (lambda f: write_config(f, "../../x"), r"DATASETS\.TEST: '\.\./\.\./x' is no plain name"),
        (lambda f: write_config(f, "/etc", "bdd100k_det_val"), r"DATASETS\.TEST: '/etc' is no plain name"),
        (
            lambda f: change_config(f, "DATASETS", TEST="bdd100k_det_val"),
            r"Expected `array`.*DATASETS\.TEST`",
        ),
        (lambda f: change_config(f, "DATASETS", TEST=[3]), r"Expected `str`, got `int` - at `DATASETS\.TEST\[0\]`"),
        (lambda f: change_config(f, "DATASETS", TRAIN={"a": 1}), r"Expected `array`, .*DATASETS\.TRAIN`"),
        (lambda f: change_config(f, "DATASETS", SLICES=None), r"Expected `array`, got `null` - at `DATASETS\.SLICES`"),
        (lambda f: change_config(f, "DATASETS", SLICES=[[]]), r"Expected `object`, .*DATASETS\.SLICES\[0\]`"),
        (
            lambda f: change_config(f, "DATASETS", SLICES=[{"name": "a"}]),
            r"missing required field `base` - at `DATASETS\.SLICES\[0\]`",
        ),
        (
            lambda f: change_config(f, "DATASETS", SLICES=[{"name": "../a", "base": "b"}]),
            r"dumps it \(slice '\.\./a': a name",
        ),
        (lambda f: change_config(f, "SOLVER", MAX_ITER="many"), r"Expected `int`, got `str` - at `SOLVER\.MAX_ITER`"),
        (
            lambda f: change_config(f, "SOLVER", IMS_PER_BATCH=True),
            r"`int`, got `bool` .*IMS_PER_BATCH`",
        ),
        (lambda f: break_config(f, "SOLVER: " + "9" * 5000), r"config\.yaml: no usable YAML"),
        (lambda f: change_config(f, "SOLVER", BASE_LR=float("nan")), r"Expected `float` >= .* - at `SOLVER\.BASE_LR`"),
        (lambda f: change_config(f, "SOLVER", BASE_LR=[0.1]), r"Expected `float`, got `array` - at `SOLVER\.BASE_LR`"),
        (lambda f: change_config(f, "MODEL", BACKBONE=3), r"Expected `object`, got `int` - at `MODEL\.BACKBONE`"),
        (
            lambda f: change_config(f, "MODEL", META_ARCHITECTURE=None),
            r"`str`, got `null` .*META_ARCHITECTURE`",
        ),
        (lambda f: break_config(f, "SOLVER: 0x" + "f" * 9000), r"config\.yaml: no config as Detectron2 dumps it"),
        (lambda f: break_config(f, "DATASETS: 2001-99-99"), r"config\.yaml: no usable YAML"),
        (lambda f: break_config(f, "[" * 5000), r"config\.yaml: no usable YAML"),
        (lambda f: (f / "config.yaml").write_bytes(b"a: \xe9"), r"config\.yaml: not a text file in UTF-8"),
        (lambda f: write_config(f, "x" * 9000), r"`str` of length <= 255 - at `DATASETS\.TEST\[0\]`"),
        (lambda f: break_config(f, 'MODEL: {"\\ud800": 1}'), r"config\.yaml: no "),
        (lambda f: write_config(f), r"config\.yaml: DATASETS\.TEST names no data set"),
        (
            lambda f: (write_config(f, "my_slice"), (f / "inference/scores.json").unlink()),
            r"config\.yaml: 'my_slice' is no data set of BDD100K and none of the config .*scores\.json.*cannot be read",
        ),
        (
            lambda f: (write_config(f, "mine"), (f / "inference/det.json").unlink()),
            r"config\.yaml: 'mine' is no data set .*inference has no det\.json or masks.* with scores of them",
        ),
        (
            lambda f: change_config(f, "DATASETS", OWN=[{"name": "a"}]),
            r"missing required field `labels` - at `DATASETS\.OWN\[0\]`",
        ),
        (
            lambda f: change_config(f, "DATASETS", TEST=["a"], OWN=[{"name": "a", "labels": "b", "task": "lane"}]),
            r"config\.yaml: DATASETS\.OWN: a: no task 'lane'",
        ),
        (lambda f: (f / "inference/det.json").unlink(), r"det\.json: no predictions; .*--eval-only"),
        (lambda f: (f / "inference/scores.json").unlink(), r"scores\.json: .*--eval-only"),
    ],
)
def test_a_run_that_cannot_be_reported(tmp_path: Path, spoil: object, message: str) -> None:
    folder = write_det_run(tmp_path / "det")
    spoil(folder)
    with pytest.raises(DataError, match=message) as caught:
        read_run(folder)
    assert str(folder) in str(caught.value)


OWN_SCORES = {"AP": [{"car": 50.0, "tram": 30.0, "deer": float("nan")}, {"OVERALL": 40.0}]}


def test_a_data_set_of_ones_own_has_its_own_classes(tmp_path: Path) -> None:
    folder = write_det_run(tmp_path / "det", scores=OWN_SCORES)
    own = {"name": "mine", "labels": str(tmp_path / "{split}.json"), "images": str(tmp_path), "task": "det"}
    change_config(folder, "DATASETS", TEST=["mine_val"], OWN=[own | {"classes": ["deer", "car", "tram"]}])
    (evaluation,) = read_run(folder).evaluations
    assert evaluation.data.task.names == ("deer", "car", "tram") and evaluation.data.images == tmp_path
    assert [(row.name, row.values) for row in evaluation.scores.rows][1:] == [("car", (50.0,)), ("tram", (30.0,))]
    assert [row.color for row in evaluation.scores.rows] == [*evaluation.data.task.colors]
    assert evaluation.data.labels is None
    assert evaluation.data.notes == (
        "The labels of mine_val are not drawn: the config names no label file or masks that are there.",
    )
    (tmp_path / "val.json").write_text("[]")
    assert read_run(folder).evaluations[0].data.labels == tmp_path / "val.json"
    # A slice of it, and images that are not there.
    own["images"] = str(tmp_path / "nowhere")
    sliced = [{"name": "some", "base": "mine_val", "first": 3}]
    change_config(folder, "DATASETS", TEST=["some"], OWN=[own], SLICES=sliced)
    (evaluation,) = read_run(folder).evaluations
    assert evaluation.is_slice and evaluation.data.base == "mine_val" and evaluation.data.images is None
    assert evaluation.data.notes == ("The images of mine_val are not where the config has them, so none are shown.",)
    # YOLO's file says where the images are, and the config need not.
    (tmp_path / "data.yaml").write_text("names: [car]\n")
    yolo = {"name": "yolo", "labels": str(tmp_path / "data.yaml")}
    change_config(folder, "DATASETS", TEST=["yolo_val"], OWN=[yolo])
    (evaluation,) = read_run(folder).evaluations
    assert evaluation.data.notes == ("The config has no folder of the images of yolo_val, so none are shown.",)


@pytest.mark.parametrize(
    ("scores", "names"),
    [
        (OWN_SCORES, ("car", "tram", "deer")),
        ({"AP": [dict.fromkeys(TASKS["det"].names, 1.0), {"OVERALL": 1.0}]}, TASKS["det"].names),
    ],
)
def test_the_classes_of_a_data_set_of_a_script_are_those_of_its_scores(
    tmp_path: Path, scores: dict, names: tuple[str, ...]
) -> None:
    folder = write_det_run(tmp_path / "det", scores=scores)
    write_config(folder, "registered_in_a_script")
    (evaluation,) = read_run(folder).evaluations
    assert evaluation.data.task.names == names and evaluation.title == "Object detection"
    assert [row.name for row in evaluation.scores.rows] == [*names]
    (note,) = evaluation.data.notes
    assert "registered_in_a_script is no data set of BDD100K and none of the config (DATASETS.OWN)" in note


def test_masks_of_a_script_too(tmp_path: Path) -> None:
    scores = {"IoU": [{"other": 90.0, "road": 80.0}, {"AVERAGE": 85.0}], "fIoU": 88.8, "pAcc": 93.3}
    folder = write_mask_run(tmp_path / "seg", scores=scores)
    write_config(folder, "mine")
    (evaluation,) = read_run(folder).evaluations
    assert evaluation.data.task.names == ("other", "road") and evaluation.title == "Semantic segmentation"


def test_drivable_of_a_script_is_not_sem_seg_with_two_classes(tmp_path: Path) -> None:
    scores = {"IoU": [{"direct": 80.0, "alternative": 70.0}, {"AVERAGE": 75.0}], "fIoU": 78.8, "pAcc": 93.3}
    folder = write_mask_run(tmp_path / "seg", scores=scores)
    write_config(folder, "mine")
    (evaluation,) = read_run(folder).evaluations
    assert evaluation.data.task is TASKS["drivable"] and evaluation.title == "Drivable area"
