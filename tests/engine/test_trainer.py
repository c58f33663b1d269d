from functools import partialmethod
from pathlib import Path

import pytest
import torch
from detectron2.config import CfgNode
from detectron2.engine import DefaultTrainer
from detectron2.modeling import build_model
from detectron2.utils.events import EventStorage

import bdd100k_d2
from bdd100k_d2.checkpoint.checksum import write_checked
from bdd100k_d2.data.register import register_all
from bdd100k_d2.engine import precision
from bdd100k_d2.engine.solver import build_optimizer
from bdd100k_d2.errors import BDD100KError, ConfigError, DataError, user_message


@pytest.fixture
def cfg(tiny_root: Path, tmp_path: Path) -> CfgNode:
    register_all(tiny_root)
    cfg = bdd100k_d2.get_config("sample/semantic_fpn_R_18")
    cfg.MODEL.DEVICE = "cpu"
    cfg.INPUT.MIN_SIZE_TRAIN, cfg.INPUT.CROP.SIZE = (72,), [64, 96]
    cfg.SOLVER.IMS_PER_BATCH, cfg.DATALOADER.NUM_WORKERS = 2, 0
    cfg.OUTPUT_DIR = str(tmp_path / "out")
    return cfg


def test_amp_trains_in_bfloat16_where_the_cpu_has_it(cfg: CfgNode, monkeypatch: pytest.MonkeyPatch) -> None:
    for fast in (True, False):
        monkeypatch.setattr(precision, "has_fast_bfloat16", lambda fast=fast: fast)
        trainer = bdd100k_d2.Trainer(cfg)
        seen = []
        trainer.model.backbone.bottom_up.stem.conv1.register_forward_hook(lambda *a, seen=seen: seen.append(a[2].dtype))
        before = trainer.model.sem_seg_head.predictor.weight.clone()
        with EventStorage(0):
            trainer.iter = 0
            trainer.run_step()
        trainer.model.eval()
        with torch.no_grad():
            (output,) = trainer.model([{"image": torch.zeros(3, 64, 64), "height": 64, "width": 64}])
        assert seen == [torch.bfloat16 if fast else torch.float32, torch.float32]
        assert output["sem_seg"].dtype == torch.float32
        assert trainer.model.sem_seg_head.predictor.weight.dtype == torch.float32
        assert not torch.equal(before, trainer.model.sem_seg_head.predictor.weight)


def test_a_run_goes_on_in_the_precision_that_it_began_in(
    cfg: CfgNode, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What is faster is measured, and may be measured otherwise when the run goes on."""
    monkeypatch.setattr(precision, "has_fast_bfloat16", lambda: True)
    state = bdd100k_d2.Trainer(cfg).state_dict()
    monkeypatch.setattr(precision, "has_fast_bfloat16", lambda: False)
    resumed = bdd100k_d2.Trainer(cfg)
    assert not resumed.state_dict()["bfloat16"]
    resumed.load_state_dict(state)
    assert resumed.state_dict()["bfloat16"]
    assert "goes on in bfloat16, not in single precision" in caplog.text
    seen = []
    resumed.model.backbone.bottom_up.stem.conv1.register_forward_hook(lambda *args: seen.append(args[2].dtype))
    with EventStorage(0):
        resumed.iter = 0
        resumed.run_step()
    assert seen == [torch.bfloat16]


def test_sync_bn_trains_in_one_process(cfg: CfgNode) -> None:
    assert cfg.MODEL.SEM_SEG_HEAD.NORM == "SyncBN"
    cfg.SOLVER.AMP.ENABLED = False
    trainer = bdd100k_d2.Trainer(cfg)
    with EventStorage(0):
        trainer.iter = 0
        trainer.run_step()


def test_the_optimizer_is_what_the_config_names(cfg: CfgNode) -> None:
    model = build_model(cfg)
    cfg.SOLVER.WEIGHT_DECAY, cfg.SOLVER.WEIGHT_DECAY_NORM, cfg.SOLVER.BASE_LR = 0.05, 0.0, 0.002
    adamw = build_optimizer(cfg, model)
    assert isinstance(adamw, torch.optim.AdamW)
    decays = {id(p): (group["weight_decay"], group["lr"]) for group in adamw.param_groups for p in group["params"]}
    assert decays[id(model.sem_seg_head.predictor.weight)] == (0.05, 0.002)
    assert decays[id(model.sem_seg_head.p2[0].norm.weight)] == (0.0, 0.002)
    assert len(decays) == len(list(model.parameters()))
    cfg.SOLVER.OPTIMIZER = "SGD"
    assert isinstance(build_optimizer(cfg, model), torch.optim.SGD)
    cfg.SOLVER.OPTIMIZER = "Adam"
    with pytest.raises(ConfigError, match="there are SGD and AdamW"):
        build_optimizer(cfg, model)


def test_a_resumed_run_keeps_the_optimizers_state(cfg: CfgNode, caplog: pytest.LogCaptureFixture) -> None:
    cfg.SOLVER.AMP.ENABLED = False
    first = bdd100k_d2.Trainer(cfg)
    with EventStorage(0):
        first.iter = 0
        first.run_step()
    first.checkpointer.save("model_0000000", iteration=0)
    second = bdd100k_d2.Trainer(cfg)
    second.resume_or_load(resume=True)
    assert second.start_iter == 1
    found, expected = (one.optimizer.state_dict()["state"] for one in (second, first))
    assert found.keys() == expected.keys() and len(found) > 50
    for key, state in expected.items():
        assert state["exp_avg"].abs().max() > 0 or state["exp_avg"].numel() == 1
        assert torch.equal(found[key]["exp_avg"], state["exp_avg"])
    # As it was written before.
    content = torch.load(first.checkpointer.get_checkpoint_file(), weights_only=True)
    del content["trainer"]["_trainer"]
    write_checked(content, Path(first.checkpointer.get_checkpoint_file()))
    third = bdd100k_d2.Trainer(cfg)
    with caplog.at_level("WARNING", "bdd100k_d2"):
        third.resume_or_load(resume=True)
    assert third.start_iter == 1 and "no state of the optimizer" in caplog.text


def test_no_such_precision(cfg: CfgNode) -> None:
    cfg.SOLVER.AMP.DTYPE = "half"
    with pytest.raises(ConfigError, match="SOLVER.AMP.DTYPE is 'half'; there are float16 and bfloat16"):
        bdd100k_d2.Trainer(cfg)


@pytest.mark.parametrize("key", ["CHANNELS_LAST", "COMPILE"])
def test_what_makes_a_step_faster_changes_it_by_rounding(
    cfg: CfgNode, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The graph is captured as ever; to make code of it would take a minute, and is PyTorch's to test.
    monkeypatch.setattr(torch.nn.Module, "compile", partialmethod(torch.nn.Module.compile, backend="eager"))
    cfg.SOLVER.AMP.ENABLED, cfg.SEED = False, 3
    losses = {}
    for value in (False, True):
        cfg.MODEL[key] = value
        trainer = bdd100k_d2.Trainer(cfg)
        names = list(trainer.model.state_dict())
        with EventStorage(0) as storage:
            trainer.iter = 0
            trainer.run_step()
            losses[value] = storage.latest()["total_loss"][0]
        is_channels_last = trainer.model.backbone.fpn_output2.weight.is_contiguous(memory_format=torch.channels_last)
        assert is_channels_last == cfg.MODEL.CHANNELS_LAST and names == list(trainer.model.state_dict())
        if key == "COMPILE":
            assert (trainer.model.backbone._compiled_call_impl is not None) == value
    assert losses[True] == pytest.approx(losses[False], rel=1e-4)


@pytest.mark.parametrize("name", ["sample/faster_rcnn_R_18_FPN", "sample/semantic_fpn_R_18"])
def test_detectron2s_own_trainer_takes_our_config(name: str, tiny_root: Path, tmp_path: Path) -> None:
    register_all(tiny_root)
    cfg = bdd100k_d2.get_config(name)
    cfg.MODEL.DEVICE, cfg.SOLVER.AMP.ENABLED, cfg.OUTPUT_DIR = "cpu", False, str(tmp_path)
    # The poly schedule is the package's trainer's.
    cfg.SOLVER.LR_SCHEDULER_NAME, cfg.SOLVER.IMS_PER_BATCH = "WarmupMultiStepLR", 2
    cfg.INPUT.MIN_SIZE_TRAIN, cfg.INPUT.CROP.SIZE, cfg.DATALOADER.NUM_WORKERS = (72,), [64, 96], 0
    trainer = DefaultTrainer(cfg)
    before = [p.detach().clone() for p in trainer.model.parameters()]
    with EventStorage(0):
        trainer.iter = 0
        trainer.run_step()
    assert any(not torch.equal(p, old) for p, old in zip(trainer.model.parameters(), before, strict=True))


def test_user_messages() -> None:
    assert user_message(DataError("a.jpg: missing")) == "a.jpg: missing"
    worker = "Caught DataError in DataLoader worker process 0.\nOriginal Traceback:\n  ...\n"
    worker += "bdd100k_d2.errors.DataError: a.jpg: bad"
    assert user_message(DataError(worker)) == user_message(RuntimeError(worker)) == "a.jpg: bad"
    assert user_message(RuntimeError("CUDA out of memory")) is None
    assert issubclass(DataError, BDD100KError)
