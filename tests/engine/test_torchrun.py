"""The command under torchrun, as a user runs it, and a worker that dies."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from support.processes import ROOT, children
from support.small_models import SMALL_MODELS

KEYS = (
    "MODEL.DEVICE cpu INPUT.MIN_SIZE_TRAIN (64,) SOLVER.AMP.ENABLED False SOLVER.IMS_PER_BATCH 2 SOLVER.MAX_ITER 10 "
    "SOLVER.WARMUP_ITERS 1 SOLVER.CHECKPOINT_PERIOD 2 DATALOADER.NUM_WORKERS 0 DATASETS.TEST ()"
)


@pytest.mark.slow
def test_a_killed_worker_is_started_again_and_the_training_finishes(tiny_root: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    # Of an earlier training: this one must not go on from it, neither at first nor after the restart.
    (out / "last_checkpoint").write_text("model_0000099.pth")
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "--max-restarts=1"]
    config = ["--config-file", "configs/sample/faster_rcnn_R_18_FPN.yaml", *SMALL_MODELS["det"], *KEYS.split()]
    with (tmp_path / "printed").open("w+") as printed:
        training = subprocess.Popen(
            [*torchrun, "tools/train_net.py", *config, "OUTPUT_DIR", str(out)],
            cwd=ROOT,
            env=os.environ | {"DETECTRON2_DATASETS": str(tiny_root), "OMP_NUM_THREADS": "1"},
            stdout=printed,
            stderr=subprocess.STDOUT,
        )
        while not (out / "model_0000001.pth").exists() or not (out / "last_checkpoint").exists():
            assert training.poll() is None
            time.sleep(0.01)
        os.kill(children(training.pid)[1], signal.SIGKILL)
        assert training.wait(120) == 0, (tmp_path / "printed").read_text()
    text = (tmp_path / "printed").read_text()
    assert "torchrun started the training again: it goes on from the last checkpoint." in text
    assert text.count("error: another process of the training ended without a message") <= 1
    assert "Traceback" not in text.split("started the training again", 1)[1]
    assert (out / "last_checkpoint.earlier").read_text() == "model_0000099.pth"
    starts = [line for line in (out / "log.txt").read_text().splitlines() if "Starting training from iteration" in line]
    assert len(starts) == 2 and starts[0].endswith(" 0") and int(starts[1].rsplit(" ", 1)[1]) >= 2
    final = torch.load(out / "model_final.pth", weights_only=True)
    assert final["iteration"] == 9
