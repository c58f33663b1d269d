"""The command line on files, as a user runs it, and the one call behind it."""

import json
import logging
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from benchmarks.compare import largest_difference
from PIL import Image
from support import ROOT
from support.commands import run_tool

from bdd100k_d2.data.labels import Box2D, Frame, FrameAttributes, Label, LabelAttributes, write_frames
from bdd100k_d2.errors import ConfigError, DataError
from bdd100k_d2.evaluation.files.evaluate import evaluate_files
from bdd100k_d2.evaluation.metrics.coco_scores import METRICS
from bdd100k_d2.evaluation.submission import check_split_submission
from bdd100k_d2.evaluation.toolkit_format import read_toolkit_scores, summary, table
from bdd100k_d2.tasks import TASKS

TOOL = ROOT / "tools" / "evaluate.py"


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    return run_tool("evaluate", *arguments)


# The oracles by name: task, and what to give beside --gt and --pred.
ORACLES = {
    "det": "det",
    "sem_seg": "sem_seg",
    "ins_seg_rle": "ins_seg",
    "ins_seg_bitmask": "ins_seg",
    "pan_seg_rle": "pan_seg",
}


@pytest.mark.parametrize("name", ORACLES)
def test_every_oracle_from_the_command_line(name: str, oracles: Path, tmp_path: Path) -> None:
    expected = json.loads((oracles / "expected.json").read_text())[name]
    arguments = ["--gt", oracles / expected["gt"], "--pred", oracles / expected["pred"], "--out", tmp_path / "s.json"]
    if "score_file" in expected:
        arguments += ["--score-file", oracles / expected["score_file"]]
    done = run(ORACLES[name], *arguments)
    assert done.returncode == 0, done.stderr
    scores = read_toolkit_scores(tmp_path / "s.json")
    for key, value in expected["scores"].items():
        assert summary(scores)[key] == pytest.approx(value, abs=1e-9, rel=0)
    assert done.stdout.startswith(table(scores) + "\n")
    assert "slices" not in scores


def test_the_drivable_rule_from_the_command_line(oracles: Path) -> None:
    expected = json.loads((oracles / "expected.json").read_text())["sem_seg_masks"]
    done = run("drivable", "--gt", oracles / expected["gt"], "--pred", oracles / expected["pred"])
    assert "mIoU 61.7347, mAcc 81.2715, fIoU 90.9184, pAcc 95.0000" in done.stdout
    assert "Not in the official tool: mRecall 66.1348, mIoU-strict 61.7347" in done.stdout


def box(category: str, score: float | None = None) -> Label:
    return Label(
        id="0",
        category=category,
        score=score,
        attributes=LabelAttributes(occluded=True),
        box2d=Box2D(0, 0, 39, 39),
    )


@pytest.fixture
def det(tmp_path: Path) -> tuple[Path, Path]:
    truth = [
        Frame(name="a.jpg", attributes=FrameAttributes(weather="rainy"), labels=[box("bike")]),
        Frame(name="b.jpg", labels=[box("car")]),
    ]
    write_frames(truth, tmp_path / "gt.json")
    write_frames([Frame(name="a.jpg", labels=[box("bicycle", 0.5)])], tmp_path / "det.json")
    return tmp_path / "gt.json", tmp_path / "det.json"


def test_slices_are_printed_and_written_with_their_definitions(det: tuple[Path, Path], tmp_path: Path) -> None:
    out = tmp_path / "new" / "scores.json"
    done = run("det", "--gt", det[0], "--pred", det[1], "--out", out, "--by", "weather", "--by", "occluded")
    assert done.returncode == 0, done.stderr
    scores = json.loads(out.read_text())
    assert list(scores)[-1] == "slices" and list(scores["slices"]) == ["weather", "occluded"]
    assert list(scores["slices"]["weather"]["rows"]) == ["rainy", "unlabelled"]
    assert "whose attribute weather has that value" in scores["slices"]["weather"]["definition"]
    assert "by weather  frames     AP" in done.stdout
    assert [line.split()[:3] for line in done.stdout.splitlines() if line.startswith(("rainy", "unlabelled"))] == [
        ["rainy", "1", "100.0"],
        ["unlabelled", "1", "0.0"],
    ]


def test_the_vintage_and_the_missing_frames_are_told(det: tuple[Path, Path]) -> None:
    done = run("det", "--gt", det[0], "--pred", det[1])
    assert (
        f"INFO: {det[0]}: labels of vintage 2018; scores on labels of another vintage are not comparable."
        in done.stderr
    )
    assert "WARNING: " in done.stderr and "1 of 2 frames have no prediction" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"error: .*det.json: the file is empty"),
        (b'[{"name": "a.jpg", "labels": [{"categ', r"error: .*det.json: the JSON is cut off after 37 bytes"),
        (b'[{"name": "a.jpg"}, {"name": "a.jpg"}]', r"error: .*det.json: frame a.jpg stands twice"),
        (b'[{"name": "x.jpg"}]', r"error: .*det.json: none of the 1 predicted frames is in .*gt.json"),
    ],
)
def test_bad_files_end_in_one_line(det: tuple[Path, Path], content: bytes, message: str) -> None:
    import re

    det[1].write_bytes(content)
    done = run("det", "--gt", det[0], "--pred", det[1])
    assert done.returncode == 1 and done.stdout == ""
    assert re.search(message, done.stderr) and "Traceback" not in done.stderr


def test_paths_and_slices_that_do_not_exist(det: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere: no such file or folder"):
        evaluate_files("det", tmp_path / "nowhere", det[1])
    with pytest.raises(ConfigError, match="sem_seg cannot be scored by 'occluded', but by weather, scene, timeofday"):
        evaluate_files("sem_seg", det[0], det[1], by=["occluded"])
    with pytest.raises(ConfigError, match="no task 'lane'; there are det"):
        evaluate_files("lane", det[0], det[1])
    assert list(evaluate_files("det", *det, by="weather").slices) == ["weather"]
    done = run("det", "--gt", det[0])
    assert done.returncode == 2 and "give --gt and --pred, or --check-submission" in done.stderr


def test_options_that_cannot_be_meant_are_refused(det: tuple[Path, Path], tmp_path: Path) -> None:
    for options, message in (
        (["--score-file", det[1]], "--score-file belongs to ins_seg"),
        (["--attributes", det[0], "--by", "occluded"], "--attributes belongs to --by weather"),
    ):
        done = run("det", "--gt", det[0], "--pred", det[1], *options)
        assert done.returncode == 2 and message in done.stderr
    done = run("det", "--gt", det[0], "--pred", det[1], "--out", det[1])
    assert done.returncode == 1 and "would overwrite or lie in" in done.stderr
    # What was computed is printed even where it cannot be written.
    (tmp_path / "a file").touch()
    done = run("det", "--gt", det[0], "--pred", det[1], "--out", tmp_path / "a file" / "scores.json")
    assert done.returncode == 1 and "OVERALL" in done.stdout and "cannot be written" in done.stderr


def test_absent_classes_of_masks_are_named(oracles: Path) -> None:
    evaluation = evaluate_files("sem_seg", *(oracles / f"sem_seg/sem_seg_{end}.json" for end in ("sample", "preds")))
    assert "Not in the ground truth, and not in the average: wall, traffic light, terrain, person," in evaluation.text()
    assert "nan" not in evaluation.text()


@pytest.mark.parametrize(("theirs", "verdict"), [(100.0, "agrees in all 156 scores"), (50.0, "DIFFERS")])
def test_the_verdict_beside_the_official_tool(
    det: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, theirs: float, verdict: str
) -> None:
    from benchmarks import compare

    names = [*TASKS["det"].names, "OVERALL"]
    scores = {metric: [dict.fromkeys(names[:-1], 100.0), {"OVERALL": 100.0}] for metric in METRICS}
    scores |= {"pAcc": 1.0} | {f"more{i}": 1.0 for i in range(23)}
    official = json.loads(json.dumps(scores))
    official["AP"][1]["OVERALL"] = theirs
    monkeypatch.setattr(compare, "run_toolkit", lambda *arguments: official)
    agrees, text = compare.compare_with_toolkit("det", *det, None, scores)
    assert agrees is (theirs == 100) and verdict in text
    assert agrees or ("by up to 50; docs/EVALUATION.md" in text and "OVERALL" in text)


def test_masks_are_sliced_by_a_label_file(tmp_path: Path) -> None:
    for i, name in enumerate("ab"):
        for side in ("gt", "pred"):
            (tmp_path / side).mkdir(exist_ok=True)
            mask = np.full((8, 8), i, np.uint8)
            mask[:4] = 0 if side == "gt" else i
            Image.fromarray(mask).save(tmp_path / side / f"{name}.png")
    with pytest.raises(DataError, match=r"gt: masks have no attributes to slice by; name a label file .* --attributes"):
        evaluate_files("sem_seg", tmp_path / "gt", tmp_path / "pred", by=["scene"])
    frames = [
        Frame(name=f"{name}.jpg", attributes=FrameAttributes(scene=scene))
        for name, scene in zip("ab", "xy", strict=True)
    ]
    write_frames(frames, tmp_path / "labels.json")
    evaluation = evaluate_files(
        "sem_seg", tmp_path / "gt", tmp_path / "pred", by=["scene"], attributes=tmp_path / "labels.json"
    )
    rows = evaluation.slices["scene"].rows
    assert [(row.value, row.count, summary(row.scores)["pAcc"]) for row in rows] == [("x", 1, 100), ("y", 1, 50)]
    written = evaluation.to_json()["slices"]["scene"]["rows"]["y"]
    assert written["frames"] == 1 and written["further"]["Recall"][1] == {"AVERAGE": 50}
    assert "by scene  frames   mIoU   mAcc   fIoU   pAcc  mRecall" in evaluation.text()


def test_attributes_of_other_frames_are_refused(det: tuple[Path, Path], tmp_path: Path) -> None:
    write_frames([Frame(name="z.jpg")], tmp_path / "labels.json")
    with pytest.raises(DataError, match=r"labels.json: none of the 2 scored frames is in it"):
        evaluate_files("det", *det, by=["scene"], attributes=tmp_path / "labels.json")


def test_a_submission_is_checked_against_the_split(tiny_root: Path, tmp_path: Path) -> None:
    # Of the images only the names count here.
    images, names = tmp_path / "bdd100k/images/100k/test", [f"{i:05}.jpg" for i in range(20_000)]
    images.mkdir(parents=True)
    for name in names:
        (images / name).touch()
    frames = [Frame(name=name, labels=[box("car", 0.5)]) for name in names]
    write_frames(frames, tmp_path / "det.json")
    done = run("det", "--check-submission", tmp_path / "det.json", "--root", tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout == f"{tmp_path / 'det.json'}: complete and well formed, 20,000 frames of det test.\n"
    write_frames(frames[:-1], tmp_path / "det.json")
    done = run("det", "--check-submission", tmp_path / "det.json", "--root", tmp_path)
    assert done.returncode == 1 and "missing frame: 1\n" in done.stdout and names[-1] in done.stdout
    (images / names[-1]).unlink()
    done = run("det", "--check-submission", tmp_path / "det.json", "--root", tmp_path)
    incomplete = "19,999 images are there, the release has 20,000; the server takes only all of them"
    assert done.returncode == 0 and f"WARNING: {images}: {incomplete}.\n" in done.stderr
    done = run("det", "--check-submission", tmp_path / "det.json", "--root", tiny_root, "--split", "valid")
    assert done.returncode == 2 and "invalid choice: 'valid'" in done.stderr
    with pytest.raises(ConfigError, match="no dataset 'bdd100k_det_valid'; there are bdd100k_det_train"):
        check_split_submission("det", tmp_path / "det.json", "valid", tiny_root)


def test_the_command_imports_no_torch(det: tuple[Path, Path]) -> None:
    code = (
        "import runpy, sys; sys.argv = sys.argv[1:];"
        "runpy.run_path(sys.argv[0], run_name='__main__');"
        "assert not {'torch', 'detectron2'} & set(sys.modules), sorted(sys.modules)"
    )
    command = [sys.executable, "-c", code, TOOL, "det", "--gt", *det[:1], "--pred", det[1]]
    assert subprocess.run([*map(str, command)], capture_output=True, check=False).returncode == 0


def test_scores_that_differ_are_measured() -> None:
    scores = {"AP": [{"car": 1.0, "bus": float("nan")}, {"OVERALL": 1.0}], "pAcc": 3.0}
    other = {"AP": [{"car": 1.25, "bus": float("nan")}, {"OVERALL": 1.0}], "pAcc": 3.0}
    assert largest_difference(scores, scores) == 0
    assert largest_difference(scores, other) == 0.25
    assert largest_difference(scores, scores | {"more": 1.0}) == float("inf")
    other["AP"][0]["bus"] = 0.0
    assert largest_difference(scores, other) == float("inf")


def test_the_evaluation_logs_under_the_package(det: tuple[Path, Path], caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "bdd100k_d2"):
        evaluate_files("det", *det)
    assert {record.name.split(".")[0] for record in caplog.records} == {"bdd100k_d2"}
