"""Training and evaluating in several processes on the CPU against one process."""

import json
import logging
import os
import signal
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import torch.distributed as dist
from detectron2.engine import default_argument_parser
from detectron2.modeling import build_model
from detectron2.utils import comm
from support.frames import make_frame, write_image
from support.processes import in_processes, train_net
from support.small_models import SMALL_MODELS
from torch import nn

import bdd100k_d2
from bdd100k_d2.data.labels import write_frames
from bdd100k_d2.data.register import register_all
from bdd100k_d2.engine.launch import launch
from bdd100k_d2.engine.parallel import parallel_model, share_buffers
from bdd100k_d2.errors import DataError, user_message
from bdd100k_d2.modeling.norms import CPUSyncBatchNorm2d, adapt_sync_norms

IMAGES = 7
FOLDER = Path(bdd100k_d2.__file__).parents[1] / "configs/sample"
CONFIGS = {"det": f"{FOLDER}/faster_rcnn_R_18_FPN.yaml", "sem_seg": f"{FOLDER}/semantic_fpn_R_18.yaml"}
SHARED_KEYS = (
    "MODEL.DEVICE cpu SOLVER.AMP.ENABLED False SOLVER.OPTIMIZER SGD SOLVER.BASE_LR 0.001 SOLVER.WARMUP_ITERS 0 "
)
SHARED_KEYS += "SOLVER.IMS_PER_BATCH 4 SOLVER.MAX_ITER 3 DATALOADER.NUM_WORKERS 0"
# A loss is a mean over a process's batch. The mean over the processes is the one over the whole batch where each
# image counts the same: all proposals are kept and all are trained with, and no channel is dropped by chance.
KEYS = {
    "det": "INPUT.MIN_SIZE_TRAIN (64,) INPUT.MIN_SIZE_TEST 64 MODEL.BACKBONE.FIXED_NORM_STATISTICS True "
    "DATALOADER.SAMPLER_TRAIN TrainingSampler MODEL.RPN.AVERAGE_OVER_SAMPLED False MODEL.RPN.NMS_THRESH 1.0 "
    "MODEL.RPN.BATCH_SIZE_PER_IMAGE 4096 MODEL.RPN.POSITIVE_FRACTION 1.0 MODEL.RPN.PRE_NMS_TOPK_TRAIN 10 "
    "MODEL.RPN.POST_NMS_TOPK_TRAIN 20 MODEL.ROI_HEADS.BATCH_SIZE_PER_IMAGE 64 MODEL.ROI_HEADS.POSITIVE_FRACTION 1.0 "
    "MODEL.ROI_HEADS.SCORE_THRESH_TEST 0.0",
    "sem_seg": "INPUT.MIN_SIZE_TRAIN (72,) INPUT.MIN_SIZE_TEST 72 INPUT.CROP.SIZE [64,96] "
    # Detectron2's GN has 32 groups.
    "MODEL.SEM_SEG_HEAD.DROPOUT 0.0 MODEL.RESNETS.NORM FrozenBN MODEL.SEM_SEG_HEAD.NORM GN "
    "MODEL.SEM_SEG_HEAD.CONVS_DIM 32",
}
# Statistics of so few pixels make a rounding error large within a few steps.
SYNCHRONISED = ["DATASETS.TEST", "()", "SOLVER.MAX_ITER", "1"]
SYNCHRONISED += ["MODEL.RESNETS.NORM", "SyncBN", "MODEL.SEM_SEG_HEAD.NORM", "SyncBN"]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seven images of det and sem_seg in each split. Each has as many boxes, so that it counts the same."""
    root = tmp_path_factory.mktemp("root")
    base = root / "bdd100k"
    for split in ("train", "val"):
        names = [f"{split}{i}.jpg" for i in range(IMAGES)]
        masks = base / "labels/sem_seg/masks" / split
        masks.mkdir(parents=True)
        frames = []
        for i, name in enumerate(names):
            write_image(base / "images/100k" / split / name, seed=i)
            write_image(base / "images/10k" / split / name, 720, 1280, seed=i)
            frames.append(make_frame(name, ("car", 10 + i, 20, 60 + i, 70), ("pedestrian", 100, 30 - i, 120, 80)))
            ids = np.random.default_rng(i).integers(0, 19, (9, 16), np.uint8)
            cv2.imwrite(str(masks / f"{split}{i}.png"), cv2.resize(ids, (1280, 720), interpolation=cv2.INTER_NEAREST))
        (base / "labels/det_20").mkdir(parents=True, exist_ok=True)
        write_frames(frames, base / f"labels/det_20/det_{split}.json")
    return root


def arguments(task: str, out: Path, *more: str) -> list[str]:
    flags = [one for one in more if one.startswith("--")]
    overrides = [one for one in more if not one.startswith("--")]
    keys = [*SMALL_MODELS[task], *SHARED_KEYS.split(), *KEYS[task].split(), "OUTPUT_DIR", str(out)]
    return [*flags, "--config-file", CONFIGS[task], *keys, *overrides]


def run(root: Path, runs: list[list[str]], written: Path) -> None:
    """Does each of ``runs`` in turn, and writes down which files of their folders this process wrote."""
    files: set[str] = set()

    def watch(event: str, details: tuple) -> None:
        if event == "open" and isinstance(details[0], str) and details[2] & (os.O_WRONLY | os.O_RDWR):
            files.add(details[0])
        elif event == "os.rename":
            files.add(str(details[1]))

    sys.addaudithook(watch)
    register_all(root)
    main = train_net().main
    args = [default_argument_parser().parse_args(one) for one in runs]
    launch(lambda _: [main(one) for one in args], args[0])
    folders = tuple(f"{one.opts[one.opts.index('OUTPUT_DIR') + 1]}/" for one in args)
    rank = os.environ["RANK"]
    (written / f"written{rank}.json").write_text(json.dumps(sorted(one for one in files if one.startswith(folders))))


def losses(out: Path) -> list[dict[str, float]]:
    lines = [json.loads(line) for line in (out / "metrics.json").read_text().splitlines()]
    return [{key: value for key, value in line.items() if "loss" in key} for line in lines]


def write_start(task: str, path: Path) -> Path:
    """Weights to start from: without a batch's statistics, those that a model draws double the variance in a block."""
    args = default_argument_parser().parse_args(arguments(task, path.parent))
    torch.manual_seed(0)
    state = build_model(bdd100k_d2.load_config(args.config_file, args.opts)).state_dict()
    for key, value in state.items():
        if key.endswith("conv3.norm.weight"):
            value.fill_(0.2)
    torch.save({"model": state}, path)
    return path


@pytest.fixture(scope="module")
def trained(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders ``<processes>/<task>`` of trainings in one and in two processes."""
    folder = tmp_path_factory.mktemp("trained")
    starts = {task: write_start(task, folder / f"{task}.pth") for task in CONFIGS}
    for processes in (1, 2):
        runs = [
            arguments(task, folder / str(processes) / task, "DATASETS.TEST", "()", "MODEL.WEIGHTS", str(starts[task]))
            for task in CONFIGS
        ]
        runs.append(arguments("sem_seg", folder / str(processes) / "synchronised", *SYNCHRONISED))
        (folder / str(processes)).mkdir()
        in_processes(processes, run, root, runs, folder / str(processes))
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("task", CONFIGS)
def test_two_processes_train_as_one_with_the_whole_batch(trained: Path, task: str) -> None:
    one, two = losses(trained / "1" / task), losses(trained / "2" / task)
    assert len(one) == len(two) >= 1 and len(one[-1]) >= (5 if task == "det" else 1)
    for expected, found in zip(one, two, strict=True):
        assert found == pytest.approx(expected, rel=1e-4)
    models = [torch.load(trained / n / task / "model_final.pth", weights_only=True)["model"] for n in "12"]
    assert models[0].keys() == models[1].keys()
    # Many weights move by less than 1e-4.
    for name, expected in models[0].items():
        torch.testing.assert_close(models[1][name], expected, rtol=1e-5, atol=1e-6, msg=name)


@pytest.mark.slow
def test_two_processes_synchronise_their_norms(trained: Path) -> None:
    one, two = losses(trained / "1/synchronised"), losses(trained / "2/synchronised")
    assert two[0] == pytest.approx(one[0], rel=1e-5)
    models = [torch.load(trained / n / "synchronised/model_final.pth", weights_only=True)["model"] for n in "12"]
    assert any("running_var" in name for name in models[0])
    for name, expected in models[0].items():
        torch.testing.assert_close(models[1][name], expected, rtol=1e-4, atol=1e-4, msg=name)
    for folder, line in (("1", "in a single process it is BN"), ("2", "the statistics are those of 2 processes")):
        assert (trained / folder / "synchronised/log.txt").read_text().count(f"SyncBN: {line}") == 1


@pytest.fixture(scope="module")
def evaluated(root: Path, trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders ``<processes>/<task>`` of evaluations in one, two and three processes."""
    folder = tmp_path_factory.mktemp("evaluated")
    for processes in (1, 2, 3):
        runs = []
        for task in CONFIGS:
            weights = ["MODEL.WEIGHTS", str(trained / "1" / task / "model_final.pth")]
            runs.append(arguments(task, folder / str(processes) / task, "--eval-only", *weights))
        (folder / str(processes)).mkdir()
        in_processes(processes, run, root, runs, folder / str(processes))
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("task", CONFIGS)
def test_any_number_of_processes_scores_the_same(evaluated: Path, task: str) -> None:
    predictions = "det.json" if task == "det" else "masks/val6.png"
    for name in ("scores.json", predictions):
        one, two, three = ((evaluated / n / task / "inference" / name).read_bytes() for n in "123")
        assert one == two == three
    frames = evaluated / "3" / task / "inference"
    if task == "det":
        found = json.loads((frames / "det.json").read_text())
        assert len(found) == IMAGES and all(frame["labels"] for frame in found)
    else:
        assert len(list((frames / "masks").glob("*.png"))) == IMAGES
        assert json.loads((frames / "scores.json").read_text())["IoU"]


@pytest.mark.slow
def test_no_two_processes_write_the_same_file(trained: Path, evaluated: Path) -> None:
    for folder, main_only in ((trained / "2", "det/metrics.json"), (evaluated / "3", "det/inference/det.json")):
        written = [json.loads(path.read_text()) for path in sorted(folder.glob("written*.json"))]
        assert len(written) == int(folder.name) and all(written)
        assert sum(map(len, written)) == len(set().union(*written))
        assert str(folder / main_only) in written[0] and str(folder / "det/log.txt.rank1") in written[1]


def batch() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(4, 5, 6, 7, generator=generator) * 3 + torch.arange(5.0)[:, None, None] * 10
    return x, torch.randn(x.shape, generator=generator)


def train_norm(norm: nn.Module, x: torch.Tensor, weights: torch.Tensor) -> dict[str, torch.Tensor]:
    """Two steps of a loss that the norm does not make constant, and an evaluation."""
    for _ in range(2):
        x = x.detach().clone().requires_grad_()
        y = norm(x)
        norm.zero_grad()
        (y * y * weights).sum().backward()
    found = {"y": y.detach(), "x.grad": x.grad, "weight.grad": norm.weight.grad, "bias.grad": norm.bias.grad}
    found |= {name: value.clone() for name, value in norm.state_dict().items()}
    return found | {"evaluated": norm.eval()(x).detach()}


def train_norms(folder: Path, momenta: list[float | None]) -> None:
    dist.init_process_group("gloo")
    # Processes may have batches of different sizes.
    part = (slice(0, 3), slice(3, 4))[dist.get_rank()]
    x, weights = (whole[part] for whole in batch())
    for momentum in momenta:
        model = nn.Sequential(nn.SyncBatchNorm(5, momentum=momentum))
        adapt_sync_norms(model)
        assert type(model[0]) is CPUSyncBatchNorm2d
        assert model(x.bfloat16()).dtype == torch.bfloat16
        model[0].reset_running_stats()
        torch.save(train_norm(model[0], x, weights), folder / f"{momentum}-{dist.get_rank()}.pt")
    dist.destroy_process_group()


def test_sync_norm_is_batch_norm_of_the_whole_batch(tmp_path: Path) -> None:
    momenta = [0.1, None]
    in_processes(2, train_norms, tmp_path, momenta)
    for momentum in momenta:
        parts = [torch.load(tmp_path / f"{momentum}-{rank}.pt") for rank in (0, 1)]
        norm = nn.BatchNorm2d(5, momentum=momentum)
        expected = train_norm(norm, *batch())
        for name in ("y", "x.grad", "evaluated"):
            torch.testing.assert_close(torch.cat([part[name] for part in parts]), expected[name], rtol=1e-4, atol=1e-4)
        for name in ("weight.grad", "bias.grad"):
            torch.testing.assert_close(parts[0][name] + parts[1][name], expected[name], rtol=1e-5, atol=1e-4)
        for name in norm.state_dict():
            torch.testing.assert_close(parts[0][name], expected[name], rtol=1e-6, atol=1e-5)
            assert torch.equal(parts[0][name], parts[1][name])


def test_sync_norm_is_batch_norm_in_a_single_process(caplog: pytest.LogCaptureFixture) -> None:
    model = nn.Sequential(nn.SyncBatchNorm(5), nn.Conv2d(5, 5, 1), nn.SyncBatchNorm(5))
    keys = model.state_dict().keys()
    with caplog.at_level(logging.INFO, logger="bdd100k_d2"):
        adapt_sync_norms(model)
        adapt_sync_norms(nn.Sequential(nn.BatchNorm2d(5)))
    assert [record.getMessage() for record in caplog.records] == ["SyncBN: in a single process it is BN (2 layers)."]
    assert type(model[0]) is type(model[2]) is nn.BatchNorm2d
    assert model.state_dict().keys() == keys


class Branches(nn.Module):
    """Has a parameter that is frozen, and one that the second step leaves unused."""

    def __init__(self) -> None:
        super().__init__()
        self.frozen, self.used, self.sometimes = nn.Linear(2, 2), nn.Linear(2, 2), nn.Linear(2, 2)
        self.frozen.requires_grad_(False)
        self.register_buffer("mean", torch.full((2,), float(comm.get_rank())))

    def forward(self, x: torch.Tensor, both: bool) -> torch.Tensor:
        x = self.used(self.frozen(x))
        return (self.sometimes(x) if both else x).sum()


def train_branches(folder: Path) -> None:
    args = default_argument_parser().parse_args(arguments("det", folder))

    def work(_: object) -> None:
        cfg = bdd100k_d2.load_config(args.config_file, args.opts)
        for find in (True, False):
            cfg.MODEL.DDP_FIND_UNUSED_PARAMETERS = find
            model = parallel_model(cfg, Branches())
            for both in (True, False):
                model(torch.ones(1, 2) * comm.get_rank(), both).backward()
            if find:
                grads = comm.all_gather(model.module.used.weight.grad)
                assert torch.equal(*grads) and grads[0].any() and model.module.frozen.weight.grad is None
                share_buffers(model)
                assert model.module.mean.tolist() == [0.0, 0.0]
            else:
                with pytest.raises(RuntimeError, match="find_unused_parameters"):
                    model(torch.ones(1, 2), True)

    launch(work, args)


def test_frozen_and_unused_parameters(tmp_path: Path) -> None:
    in_processes(2, train_branches, tmp_path)


def fail(folder: Path, how: str) -> None:
    """One of the processes fails while the other waits for it; each writes down how it ended."""
    args = default_argument_parser().parse_args(arguments("det", folder / "out"))
    # What started the processes would otherwise end the other one before it can say anything.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)

    def work(_: object) -> None:
        if comm.get_rank() == 1:
            if how == "killed":
                os.kill(os.getpid(), signal.SIGKILL)
            raise DataError("a.jpg: bad")
        comm.synchronize()

    try:
        launch(work, args)
        end = "well"
    except SystemExit as error:
        end = f"silent {error.code}"
    except Exception as error:
        end = str(user_message(error))
    (folder / os.environ["RANK"]).write_text(end)


def test_an_error_of_one_process_ends_the_others_with_one_message(tmp_path: Path) -> None:
    in_processes(2, fail, tmp_path, "error")
    assert [(tmp_path / rank).read_text() for rank in "01"] == ["silent 1", "a.jpg: bad"]


def test_a_killed_process_ends_the_others_with_one_message(tmp_path: Path) -> None:
    with pytest.raises(torch.multiprocessing.ProcessExitedException, match="SIGKILL"):
        in_processes(2, fail, tmp_path, "killed")
    assert (tmp_path / "0").read_text().startswith("another process of the training ended without a message")
