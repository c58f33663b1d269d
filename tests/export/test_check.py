"""A model file beside its model: scores of both on the same frames, and what differs."""

import math
from pathlib import Path

import export
import pytest
from support.export_models import segmenter
from support.model_files import card, write_onnx
from support.prediction_models import config_file, detector

import bdd100k_d2
from bdd100k_d2.atomic import file_digest
from bdd100k_d2.errors import ConfigError
from bdd100k_d2.export import check
from bdd100k_d2.export.check import Check, check_export
from bdd100k_d2.export.differences import Differences
from bdd100k_d2.export.run import export_model
from bdd100k_d2.tasks import TASKS

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture
def segmented(tiny_root: Path, tmp_path: Path) -> tuple[Path, Path]:
    """A config's file, and the file of its model."""
    bdd100k_d2.register_all(tiny_root)
    cfg = segmenter("sem_seg/semantic_fpn_R_50_40k", tmp_path)
    path = tmp_path / "model.torchscript"
    export_model(cfg, "torchscript", path)
    return config_file(cfg, tmp_path), path


@pytest.mark.slow
def test_a_segmenter(
    segmented: tuple[Path, Path], capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, path = segmented
    cfg = bdd100k_d2.load_config(config)
    found = check_export(path, cfg, limit=2)
    assert found.differences.frames == 2 and found.differences.pixels < 1e-4
    assert found.metric == "mIoU" and abs(found.lost) < 0.01 and found.is_good
    # The official score of the frames that were compared alone.
    from bdd100k_d2.engine.trainer import Trainer

    bdd100k_d2.register_slice("two", "bdd100k_sem_seg_val", first=2)
    cfg.DATASETS.TEST = ("two",)
    trainer = Trainer.test(cfg, bdd100k_d2.Predictor(cfg).model)
    assert found.expected["mIoU"] == pytest.approx(trainer["sem_seg"]["mIoU"], abs=1e-9)

    command = ["export.py", "--check", str(path), "--config-file", str(config), "--split", "train", "--limit", "1"]
    monkeypatch.setattr("sys.argv", command)
    assert export.main() == 0
    assert "1 frames of bdd100k_sem_seg_train_first_1" in capsys.readouterr().out
    monkeypatch.setitem(check.MOST_LOST, "float32", -100.0)
    assert export.main() == 1
    assert "MORE THAN the -100 that may be of a file in float32" in capsys.readouterr().out


def test_a_detector(tiny_root: Path, tmp_path: Path) -> None:
    bdd100k_d2.register_all(tiny_root)
    cfg = detector(tmp_path)
    path = tmp_path / "model.torchscript"
    export_model(cfg, "torchscript", path, size=(96, 160))
    found = check_export(path, cfg)
    differences = found.differences
    assert differences.frames == 3 and differences.counts[0] == 36
    assert (differences.counts == 36).all() and differences.box < 0.01 and differences.score < 1e-5
    assert found.metric == "AP" and found.expected == pytest.approx(found.found, abs=0.01, nan_ok=True)
    assert "of both" in found.text() and "model" in found.text()


def test_a_split_without_labels(tiny_root: Path, tmp_path: Path) -> None:
    bdd100k_d2.register_all(tiny_root)
    cfg = detector(tmp_path)
    text = card(weights_sha256=file_digest(Path(cfg.MODEL.WEIGHTS))).to_json()
    found = check_export(write_onnx(tmp_path / "a.onnx", text=text), cfg, split="test")
    assert found.expected == {} and math.isnan(found.lost) and found.is_good
    assert found.text().endswith("There are no labels with which to compare the scores.")


def test_a_file_of_another_task(tiny_root: Path, tmp_path: Path) -> None:
    bdd100k_d2.register_all(tiny_root)
    file = write_onnx(tmp_path / "a.onnx", TASKS["sem_seg"])
    with pytest.raises(
        ConfigError, match="is of sem_seg with the classes .*, not of det with .*; give the config that"
    ):
        check_export(file, detector(tmp_path))


def test_weights_that_the_file_was_not_made_from(
    tiny_root: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bdd100k_d2.register_all(tiny_root)
    found = check_export(write_onnx(tmp_path / "a.onnx"), detector(tmp_path), limit=1)
    assert "was made from other weights than" in caplog.text
    # Whatever it scores.
    assert not found._replace(found=found.expected).is_good
    assert found.text().endswith("bdd100k_det_val.pth; give those, or export it again.")


@pytest.mark.parametrize(
    ("found", "precision", "is_good", "text"),
    [
        (29.5, "int8", True, "AP: 0.50 points lost."),
        (29.0, "float16", True, "AP: 1.00 points lost."),
        (31.0, "float32", True, "AP: 1.00 points gained."),
        (28.75, "int8", False, "AP: 1.25 points lost, MORE THAN the 1 that may be of a file in int8."),
        (28.75, None, False, "AP: 1.25 points lost, MORE THAN the 1 that may be."),
        (29.9921875, "float32", True, "AP: 0.01 points lost."),
        (29.75, "float32", False, "AP: 0.25 points lost, MORE THAN the 0.01 that may be of a file in float32."),
    ],
)
def test_what_is_said_of_a_loss(found: float, precision: str | None, is_good: bool, text: str) -> None:
    one = Check("some_val", "AP", {"AP": 30.0}, {"AP": found}, Differences(TASKS["det"]), precision)
    assert one.is_good is is_good
    assert one.text().splitlines()[-1] == text


@pytest.mark.parametrize(
    "arguments",
    [
        ["--to", "onnx"],
        ["--to", "onnx", "--out", "a.onnx", "--int8"],
        ["--to", "onnx", "--out", "a.onnx", "--calibrate", "images"],
        ["--to", "onnx", "--out", "a.onnx", "--limit", "3"],
        ["--to", "onnx", "--out", "a.onnx", "--split", "val"],
        ["--check", "a.onnx", "--out", "b.onnx"],
        ["--check", "a.onnx", "--size", "720x1280"],
        ["--check", "a.onnx", "--size", "dynamic"],
        ["--check", "a.onnx", "--batch", "1"],
        ["--check", "a.onnx", "--opset", "20"],
        ["--check", "a.onnx", "--overwrite"],
    ],
)
def test_options_that_do_not_go_together(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["export.py", "--config-file", "F", *arguments])
    with pytest.raises(SystemExit) as end:
        export.main()
    assert end.value.code == 2
