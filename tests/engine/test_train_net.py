"""Training, resuming and evaluating with the command, as a user runs it, on data of three frames."""

import importlib.util
import json
import logging
import os
from pathlib import Path
from types import ModuleType

import pytest
import torch
from detectron2.engine import default_argument_parser
from detectron2.utils.logger import setup_logger
from support.processes import run_command
from support.small_models import SMALL_MODELS

import bdd100k_d2
from bdd100k_d2.data.register import register_all
from bdd100k_d2.engine.launch import setup
from bdd100k_d2.errors import BDD100KError, DataError, WeightsError

ROOT = Path(bdd100k_d2.__file__).parents[1]
SMALL = {
    "det": ["INPUT.MIN_SIZE_TRAIN", "(64,)", "INPUT.MIN_SIZE_TEST", "64"],
    "sem_seg": ["INPUT.MIN_SIZE_TRAIN", "(72,)", "INPUT.MIN_SIZE_TEST", "72", "INPUT.CROP.SIZE", "[64, 96]"],
}
CONFIGS = {"det": "faster_rcnn_R_18_FPN", "sem_seg": "semantic_fpn_R_18"}


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The command as a module, which saves importing PyTorch anew for each run."""
    monkeypatch.chdir(ROOT)
    spec = importlib.util.spec_from_file_location("train_net", ROOT / "tools" / "train_net.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    # What an evaluation or a log of the environment costs is not what is tested.
    monkeypatch.setattr("detectron2.engine.defaults.collect_env_info", lambda: "")
    yield module
    for name in ("detectron2", "fvcore", "bdd100k_d2"):
        logging.getLogger(name).handlers.clear()
    setup_logger.cache_clear()


def arguments(task: str, out: Path, *more: str) -> list[str]:
    keys = [
        "MODEL.DEVICE",
        "cpu",
        *SMALL_MODELS[task],
        *SMALL[task],
        "SOLVER.IMS_PER_BATCH",
        "2",
        "DATALOADER.NUM_WORKERS",
        "0",
    ]
    flags = [one for one in more if one.startswith("--")]
    overrides = [one for one in more if not one.startswith("--")]
    config = ["--config-file", f"configs/sample/{CONFIGS[task]}.yaml"]
    return [*flags, *config, *keys, "SOLVER.WARMUP_ITERS", "1", "OUTPUT_DIR", str(out), *overrides]


def train_net(command: ModuleType, root: Path, task: str, out: Path, *more: str) -> None:
    register_all(root)
    command.main(default_argument_parser().parse_args(arguments(task, out, *more)))


@pytest.mark.parametrize("allow", [True, False])
def test_tf32_is_what_the_config_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, allow: bool) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr("detectron2.engine.defaults.collect_env_info", lambda: "")
    # The zoo's recipes were trained without; it is put back afterwards.
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", not allow)
    more = ["CUDNN_ALLOW_TF32", "True"] if allow else []
    config = ["--config-file", "configs/det/faster_rcnn_R_50_FPN_1x.yaml"]
    setup(default_argument_parser().parse_args([*config, "OUTPUT_DIR", str(tmp_path), *more]))
    assert torch.backends.cudnn.allow_tf32 is allow


@pytest.mark.parametrize("task", ["det", pytest.param("sem_seg", marks=pytest.mark.slow)])
def test_train_resume_and_evaluate(command: ModuleType, tiny_root: Path, tmp_path: Path, task: str) -> None:
    out = tmp_path / "out"
    train_net(command, tiny_root, task, out, "SOLVER.MAX_ITER", "2")
    assert (out / "log.txt").read_text().count("Running on the CPU") == 1
    assert (out / "model_final.pth").is_file() and (out / "config.yaml").is_file()
    scores = json.loads((out / "inference/scores.json").read_text())
    assert ("AP" in scores) if task == "det" else ("IoU" in scores)
    logged = [json.loads(line) for line in (out / "metrics.json").read_text().splitlines()]
    assert any(("bbox/AP" if task == "det" else "sem_seg/mIoU") in line for line in logged)

    train_net(command, tiny_root, task, out, "--resume", "SOLVER.MAX_ITER", "3")
    assert "Starting training from iteration 2" in (out / "log.txt").read_text()
    # A finished run is only evaluated again.
    (out / "inference/scores.json").unlink()
    train_net(command, tiny_root, task, out, "--resume", "SOLVER.MAX_ITER", "3")
    assert (out / "inference/scores.json").is_file()

    weights = ["MODEL.WEIGHTS", str(out / "model_final.pth")]
    train_net(command, tiny_root, task, tmp_path / "eval", "--eval-only", *weights)
    assert (tmp_path / "eval/inference/scores.json").is_file()
    test_set = ["DATASETS.TEST", f"('bdd100k_{task}_test',)"]
    train_net(command, tiny_root, task, tmp_path / "test", "--eval-only", *weights, *test_set)
    assert not (tmp_path / "test/inference/scores.json").exists()
    assert (tmp_path / "test/inference" / ("det.json" if task == "det" else "masks/test0.png")).is_file()


def test_evaluating_with_resume_takes_the_last_checkpoint(command: ModuleType, tiny_root: Path, tmp_path: Path) -> None:
    """As Detectron2's script does; where there is none, ``MODEL.WEIGHTS``."""
    out = tmp_path / "out"
    with pytest.raises(WeightsError, match="No weights to evaluate"):
        train_net(command, tiny_root, "det", out, "--eval-only", "--resume")
    train_net(command, tiny_root, "det", out, "SOLVER.MAX_ITER", "1", "DATASETS.TEST", "()")
    train_net(command, tiny_root, "det", out, "--eval-only", "--resume", "MODEL.WEIGHTS", "missing.pth")
    assert f"Going on from {out / 'model_final.pth'}" in (out / "log.txt").read_text()
    assert (out / "inference/scores.json").is_file()


@pytest.mark.slow
@pytest.mark.parametrize("task", ["det", "sem_seg"])
def test_augmented_scores_come_beside_the_plain_ones(
    command: ModuleType, tiny_root: Path, tmp_path: Path, task: str
) -> None:
    out, key = tmp_path / "out", {"det": "bbox", "sem_seg": "sem_seg"}[task]
    aug = [
        "TEST.AUG.ENABLED",
        "True",
        "TEST.AUG.MIN_SIZES",
        "(64, 96)",
        "SOLVER.MAX_ITER",
        "2",
        "TEST.EVAL_PERIOD",
        "1",
    ]
    train_net(command, tiny_root, task, out, *aug)
    logged = [json.loads(line) for line in (out / "metrics.json").read_text().splitlines()]
    # Once, after the last iteration.
    assert [line["iteration"] for line in logged if any(name.startswith(f"{key}_TTA/") for name in line)] == [2]
    for folder in ("inference", "TTA/inference"):
        assert (out / folder / "scores.json").is_file()
    weights = ["MODEL.WEIGHTS", str(out / "model_final.pth"), "OUTPUT_DIR", str(tmp_path / "eval")]
    register_all(tiny_root)
    args = arguments(task, out, "--eval-only", *aug, *weights)
    results = command.main(default_argument_parser().parse_args(args))
    assert results.keys() == {key, f"{key}_TTA"} and results[key].keys() == results[f"{key}_TTA"].keys()
    again = json.loads((tmp_path / "eval/TTA/inference/scores.json").read_text())
    assert again == json.loads((out / "TTA/inference/scores.json").read_text())


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["SOLVER.BASE_RL", "1"], r"Did you mean SOLVER\.BASE_LR\?"),
        (["--eval-only"], "No weights to evaluate"),
        (["SOLVER.OPTIMIZER", "Adam"], r"SOLVER\.OPTIMIZER is 'Adam'; there are SGD and AdamW"),
        (
            ["DATASETS.TRAIN", "('bdd100k_det_trian',)"],
            r"no dataset 'bdd100k_det_trian' is registered; there are .*_test, and slices of .*_night\.$",
        ),
        (["--eval-only", "MODEL.WEIGHTS", "missing.pth"], r"missing\.pth: no such file of weights"),
        (["MODEL.WEIGHTS", "missing.pth"], r"missing\.pth: no such file of weights"),
        (["DATASETS.TRAIN", "()"], r"DATASETS\.TRAIN is empty; name a data set"),
        (["TEST.AUG.ENABLED", "True", "TEST.AUG.MIN_SIZES", "()"], r"TEST\.AUG\.MIN_SIZES is \(\) and MAX_SIZE 4000"),
        (["OUTPUT_DIR", "README.md/out"], r"README\.md/out: the output folder cannot be written"),
    ],
)
def test_errors(command: ModuleType, tiny_root: Path, tmp_path: Path, more: list[str], message: str) -> None:
    with pytest.raises(BDD100KError, match=message):
        train_net(command, tiny_root, "det", tmp_path / "out", "SOLVER.MAX_ITER", "1", *more)


def test_a_link_in_place_of_results_is_refused_before_the_training(
    command: ModuleType, tiny_root: Path, tmp_path: Path
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "disk").mkdir()
    (tmp_path / "out/inference").symlink_to(tmp_path / "disk")
    (tmp_path / "disk/masks").symlink_to(tmp_path)
    with pytest.raises(DataError, match="inference/masks: a link leads out of .*; replace it by what it leads to, or"):
        train_net(command, tiny_root, "sem_seg", tmp_path / "out", "SOLVER.MAX_ITER", "1")
    assert not (tmp_path / "out/log.txt").exists()


def test_resuming_a_run_of_another_config_is_refused(command: ModuleType, tiny_root: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    train_net(command, tiny_root, "sem_seg", out, "SOLVER.MAX_ITER", "1", "DATASETS.TEST", "()")
    before = (out / "model_final.pth").read_bytes()
    with pytest.raises(WeightsError, match=r"model_final\.pth: these weights are not of .*choose another OUTPUT_DIR"):
        train_net(command, tiny_root, "det", out, "--resume", "SOLVER.MAX_ITER", "2")
    assert (out / "model_final.pth").read_bytes() == before


@pytest.mark.parametrize("root", ["damaged", "nowhere"])
def test_the_command_ends_with_one_line(tiny_root: Path, tmp_path: Path, root: str) -> None:
    """As a user runs it: an error of a worker process, and one before training."""
    for path in (tiny_root / "bdd100k/images/10k/train").iterdir():
        path.write_bytes(b"cut off")
    data = tiny_root if root == "damaged" else tmp_path / "nowhere"
    done = run_command(
        "tools/train_net.py",
        *arguments("sem_seg", tmp_path / "out", "DATALOADER.NUM_WORKERS", "2"),
        env=os.environ | {"DETECTRON2_DATASETS": str(data)},
    )
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    expected = ".jpg: the image cannot be read" if root == "damaged" else "labels/sem_seg/masks/train: no such folder"
    assert last.startswith("error: ") and expected in last
