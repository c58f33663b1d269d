import json
import runpy
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from support import ROOT
from support.frames import write_image
from support.prediction_models import config_file, detector, saved
from support.small_models import small_config

import bdd100k_d2
from bdd100k_d2.errors import ConfigError, DataError, OutputError
from bdd100k_d2.predict.predictor import Predictor
from bdd100k_d2.predict.submission_run import SubmissionRun
from bdd100k_d2.tasks import TASKS, SplitCounts

TOOL = ROOT / "tools" / "submit.py"


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A root with two test images of each set, as if that were all of them."""
    for name in ("100k", "10k"):
        for i in range(2):
            write_image(tmp_path / "root/bdd100k/images" / name / "test" / f"{name}-{i}.jpg", 720, 1280, seed=i)
    for task in ("det", "drivable", "sem_seg", "ins_seg"):
        counts = {"test": SplitCounts(2, None)}
        monkeypatch.setitem(TASKS, task, replace(TASKS[task], counts=counts))
    bdd100k_d2.register_all(tmp_path / "root")
    return tmp_path / "root"


@pytest.mark.parametrize("task", ["det", "ins_seg", "sem_seg", "drivable"])
def test_a_whole_split_is_complete_and_well_formed(root: Path, tmp_path: Path, task: str) -> None:
    if task in ("det", "ins_seg"):
        cfg = detector(tmp_path / "weights", task)
    else:
        classes = ("MODEL.SEM_SEG_HEAD.NUM_CLASSES", 19 if task == "sem_seg" else 3)
        cfg = small_config(root, "DATASETS.TEST", (f"bdd100k_{task}_val",), *classes)
        cfg = saved(cfg, tmp_path / "weights")
    out = tmp_path / ("submission.json" if task == "det" else "submission.zip")
    findings, summary = SubmissionRun(cfg, task, out, "test", root).run(Predictor(cfg))
    assert (findings, summary.frames) == ([], 2)
    if task == "det":
        frames = json.loads(out.read_bytes())
        assert [frame["name"] for frame in frames] == ["100k-0.jpg", "100k-1.jpg"] and frames[0]["labels"]
        return
    stem = "100k" if task == "drivable" else "10k"
    folder = "bitmasks" if task == "ins_seg" else "masks"
    expected = [f"{folder}/{stem}-0.png", f"{folder}/{stem}-1.png", *["score.json"] * (task == "ins_seg")]
    assert zipfile.ZipFile(out).namelist() == expected


def test_an_image_that_cannot_be_read_makes_it_unsound(root: Path, tmp_path: Path) -> None:
    (root / "bdd100k/images/100k/test/100k-1.jpg").write_bytes(b"")
    cfg = detector(tmp_path / "weights")
    findings, _ = SubmissionRun(cfg, "det", tmp_path / "submission.json", "test", root).run(Predictor(cfg))
    assert [(one.kind, one.frame) for one in findings] == [("missing frame", "100k-1.jpg")]
    write_image(root / "bdd100k/images/100k/test/100k-1.jpg", 720, 1280, seed=1)
    findings, again = SubmissionRun(cfg, "det", tmp_path / "submission.json", "test", root, resume=True).run(
        Predictor(cfg)
    )
    assert findings == [] and again.predicted == 1


def test_a_flag_that_was_forgotten_costs_no_frames(root: Path, tmp_path: Path) -> None:
    cfg, out = detector(tmp_path / "weights"), tmp_path / "submission.json"
    SubmissionRun(cfg, "det", out, "test", root).run(Predictor(cfg))
    before = (tmp_path / "submission_det_frames/frames.jsonl").read_bytes()
    with pytest.raises(OutputError, match="give --resume to go on with it, --overwrite to replace them"):
        SubmissionRun(cfg, "det", out, "test", root)
    assert (tmp_path / "submission_det_frames/frames.jsonl").read_bytes() == before
    findings, summary = SubmissionRun(cfg, "det", out, "test", root, overwrite=True).run(Predictor(cfg))
    assert findings == [] and summary.predicted == 2


def test_a_file_that_is_there_is_replaced_if_the_user_says_so_or_the_run_made_it(root: Path, tmp_path: Path) -> None:
    cfg, out = detector(tmp_path / "weights"), tmp_path / "submission.json"
    out.write_text("mine")
    with pytest.raises(OutputError, match=r"submission.json: is there; give --overwrite"):
        SubmissionRun(cfg, "det", out, "test", root)
    SubmissionRun(cfg, "det", out, "test", root, overwrite=True).run(Predictor(cfg))
    made = out.read_bytes()
    _, summary = SubmissionRun(cfg, "det", out, "test", root, resume=True).run(Predictor(cfg))
    assert summary.predicted == 0 and out.read_bytes() == made
    out.write_text("mine")
    with pytest.raises(OutputError, match=r"submission.json: is there, but was not made of .*_det_frames; move it"):
        SubmissionRun(cfg, "det", out, "test", root, resume=True)
    assert out.read_text() == "mine"


@pytest.mark.parametrize("moved", [True, False])
def test_a_run_that_is_killed_while_it_writes_the_file_goes_on(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moved: bool
) -> None:
    cfg, out = detector(tmp_path / "weights"), tmp_path / "submission.json"
    (root / "bdd100k/images/100k/test/100k-1.jpg").write_bytes(b"")
    SubmissionRun(cfg, "det", out, "test", root).run(Predictor(cfg))
    first, real = out.read_bytes(), Path.replace
    write_image(root / "bdd100k/images/100k/test/100k-1.jpg", 720, 1280, seed=1)

    def killed(path: Path, target: Path) -> None:
        if moved or target != out:
            real(path, target)
        if target == out:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Path, "replace", killed)
        SubmissionRun(cfg, "det", out, "test", root, resume=True).run(Predictor(cfg))
    assert (out.read_bytes() != first) == moved
    findings, _ = SubmissionRun(cfg, "det", out, "test", root, resume=True).run(Predictor(cfg))
    assert findings == [] and out.read_bytes() != first


def test_a_file_is_not_written_among_the_images(root: Path, tmp_path: Path) -> None:
    cfg, images = detector(tmp_path / "weights"), root / "bdd100k/images/100k/test"
    for out in (images / "a.json", images / "new/a.json"):
        with pytest.raises(OutputError, match="only read; choose another place"):
            SubmissionRun(cfg, "det", out, "test", root)
    weights = cfg.MODEL.WEIGHTS = str(tmp_path / "weights.json")
    Path(weights).write_bytes(b"weights")
    with pytest.raises(OutputError, match=r"weights\.json, which is only read; choose another place"):
        SubmissionRun(cfg, "det", Path(weights), "test", root, overwrite=True)
    (tmp_path / "a.json").mkdir()
    with pytest.raises(OutputError, match="is a folder; give the path of a file"):
        SubmissionRun(cfg, "det", tmp_path / "a.json", "test", root)
    assert len([*images.iterdir()]) == 2


def test_what_cannot_be_asked_for(root: Path, tmp_path: Path) -> None:
    cfg = detector(tmp_path / "weights")
    for task, path, message in (
        ("det", "a.zip", "a.zip: a submission of det ends in .json"),
        ("sem_seg", "a.json", "a.json: a submission of sem_seg ends in .zip"),
        ("ins_seg", "a.zip", "the config is of det, not of ins_seg"),
    ):
        with pytest.raises(ConfigError, match=message):
            SubmissionRun(cfg, task, tmp_path / path, "test", root)
    with pytest.raises(DataError, match="images/100k/test: no such folder of images"):
        SubmissionRun(cfg, "det", tmp_path / "a.json", "test", tmp_path / "elsewhere")


def test_the_command_on_a_part_of_the_split(
    real_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    cfg = detector(tmp_path / "weights")
    arguments = ["det", "--config-file", config_file(cfg, tmp_path), "MODEL.WEIGHTS", cfg.MODEL.WEIGHTS]
    out = tmp_path / "submission.json"
    arguments += ["--split", "test", "--root", real_root, "--out", out]
    monkeypatch.setattr(sys, "argv", [str(part) for part in (TOOL, *arguments)])
    with pytest.raises(SystemExit) as exit_status:
        runpy.run_path(str(TOOL), run_name="__main__")
    assert exit_status.value.code == 1
    printed = capsys.readouterr().out
    assert f"{out} is not sound" in printed
    assert "11 images are there, the release has 20,000; the server takes only all of them" in printed
    assert len(json.loads(out.read_bytes())) == 11
