"""Training, resuming and evaluating with the command, as a user runs it, on data of three frames."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import bdd100k_d2

ROOT = Path(bdd100k_d2.__file__).parents[1]
SMALL = {
    "det": ["INPUT.MIN_SIZE_TRAIN", "(64,)", "INPUT.MIN_SIZE_TEST", "64"],
    "sem_seg": ["INPUT.MIN_SIZE_TRAIN", "(72,)", "INPUT.MIN_SIZE_TEST", "72", "INPUT.CROP.SIZE", "[64, 96]"],
}
CONFIGS = {"det": "faster_rcnn_R_18_FPN", "sem_seg": "semantic_fpn_R_18"}


def train_net(root: Path, task: str, out: Path, *arguments: str, check: bool = True) -> subprocess.CompletedProcess:
    keys = [*SMALL[task], "SOLVER.IMS_PER_BATCH", "2", "DATALOADER.NUM_WORKERS", "0", "TEST.EVAL_PERIOD", "0"]
    keys += ["SOLVER.STEPS", "()", "SOLVER.WARMUP_ITERS", "1", "OUTPUT_DIR", str(out)]
    flags = [one for one in arguments if one.startswith("--")]
    overrides = [one for one in arguments if not one.startswith("--")]
    command = [sys.executable, "tools/train_net.py", *flags, "--config-file", f"configs/sample/{CONFIGS[task]}.yaml"]
    done = subprocess.run(
        [*command, *keys, *overrides],
        cwd=ROOT,
        env=os.environ | {"DETECTRON2_DATASETS": str(root)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0 or not check, done.stdout[-2000:] + done.stderr[-2000:]
    return done


@pytest.mark.parametrize("task", ["det", "sem_seg"])
def test_train_resume_and_evaluate(tiny_root: Path, tmp_path: Path, task: str) -> None:
    out = tmp_path / "out"
    done = train_net(tiny_root, task, out, "SOLVER.MAX_ITER", "2", "TEST.EVAL_PERIOD", "2")
    assert done.stdout.count("Running on the CPU") + done.stderr.count("Running on the CPU") <= 1
    assert (out / "model_final.pth").is_file() and (out / "config.yaml").is_file()
    scores = json.loads((out / "inference/scores.json").read_text())
    assert ("AP" in scores) if task == "det" else ("IoU" in scores)
    logged = [json.loads(line) for line in (out / "metrics.json").read_text().splitlines()]
    assert any(("bbox/AP" if task == "det" else "sem_seg/mIoU") in line for line in logged)

    done = train_net(tiny_root, task, out, "--resume", "SOLVER.MAX_ITER", "3")
    assert "Starting training from iteration 2" in done.stdout + done.stderr

    weights = ["MODEL.WEIGHTS", str(out / "model_final.pth")]
    train_net(tiny_root, task, tmp_path / "eval", "--eval-only", *weights)
    assert (tmp_path / "eval/inference/scores.json").is_file()
    test_set = ["DATASETS.TEST", f"('bdd100k_{task}_test',)"]
    train_net(tiny_root, task, tmp_path / "test", "--eval-only", *weights, *test_set)
    assert not (tmp_path / "test/inference/scores.json").exists()
    assert (tmp_path / "test/inference" / ("det.json" if task == "det" else "masks/test0.png")).is_file()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["SOLVER.BASE_RL", "1"], "Did you mean SOLVER.BASE_LR?"),
        (["--eval-only"], "No weights to evaluate"),
        (["--eval-only", "MODEL.WEIGHTS", "missing.pth"], "missing.pth: no such file of weights"),
        (["MODEL.WEIGHTS", "missing.pth"], "missing.pth: no such file of weights"),
        (["OUTPUT_DIR", "README.md/out"], "README.md/out: the output folder cannot be written"),
    ],
)
def test_errors_are_one_line(tiny_root: Path, tmp_path: Path, arguments: list[str], message: str) -> None:
    done = train_net(tiny_root, "det", tmp_path / "out", "SOLVER.MAX_ITER", "1", *arguments, check=False)
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("error: ") and message in last
    assert "Traceback" not in done.stderr


def test_no_data_is_one_line(tmp_path: Path) -> None:
    done = train_net(tmp_path / "nowhere", "sem_seg", tmp_path / "out", check=False)
    assert done.returncode == 1
    assert done.stderr.strip().splitlines()[-1].startswith(f"error: {tmp_path}/nowhere/bdd100k/labels/sem_seg/masks")
