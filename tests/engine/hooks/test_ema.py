import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from detectron2.config import CfgNode
from torch import nn

from bdd100k_d2.checkpoint.loading import load_weights
from bdd100k_d2.engine.hooks.ema import WeightAverage
from bdd100k_d2.engine.trainer import Trainer
from bdd100k_d2.errors import ConfigError, WeightsError

Make = Callable[..., CfgNode]
EMA = ("MODEL.EMA.ENABLED", True, "MODEL.EMA.DECAY", 0.9, "MODEL.EMA.WARMUP", 1)


def test_the_average_is_the_formula() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm2d(2))
    expected = model[0].weight.detach().double().clone()
    average = WeightAverage(model, decay=0.7, warmup=2)
    for n, kept in enumerate((1 / 3, 2 / 4, 3 / 5, 4 / 6, 0.7, 0.7)):
        with torch.no_grad():
            model[0].weight += 1 + n
            model[1].running_mean.fill_(n)
        average.update()
        expected = kept * expected + (1 - kept) * model[0].weight.detach().double()
    state = average.model_state()
    assert torch.allclose(state["0.weight"].double(), expected, rtol=1e-6)
    assert average.updates == 6
    # Buffers are the model's own of the moment.
    assert state["1.running_mean"].tolist() == [5, 5] and state.keys() == model.state_dict().keys()


def test_the_model_gets_its_weights_back_bit_for_bit() -> None:
    model = nn.Linear(3, 3)
    average = WeightAverage(model, 0.5, 0)
    with torch.no_grad():
        model.weight += 0.3
    average.update()
    own, parameter = model.weight.detach().clone(), model.weight
    with pytest.raises(ZeroDivisionError), average.applied():
        assert torch.equal(model.weight, average.model_state()["weight"]) and not torch.equal(model.weight, own)
        raise ZeroDivisionError
    assert torch.equal(model.weight, own) and model.weight is parameter


def test_an_average_of_another_model_is_refused() -> None:
    state = WeightAverage(nn.Linear(2, 3), 0.9, 0).state_dict()
    with pytest.raises(WeightsError, match=r"key 'ema'\) of the checkpoint is not of this model.*EMA\.ENABLED False"):
        WeightAverage(nn.Linear(3, 3), 0.9, 0).load_state_dict(state)


@pytest.mark.parametrize(("decay", "warmup"), [(1.0, 0), (-0.1, 0), (0.9, -1)])
def test_a_decay_that_is_none(decay: float, warmup: int) -> None:
    with pytest.raises(ConfigError, match=r"MODEL\.EMA\.DECAY is .* from 0 to below 1"):
        WeightAverage(nn.Linear(1, 1), decay, warmup)


@pytest.mark.slow
def test_training_with_an_average_and_resuming_it(small_cfg: Make, tmp_path: Path) -> None:
    def train(folder: Path, *more: object) -> None:
        keys = ("SOLVER.MAX_ITER", 4, "SOLVER.CHECKPOINT_PERIOD", 2, "SEED", 5, "OUTPUT_DIR", str(folder))
        trainer = Trainer(small_cfg(*EMA, *keys, *more))
        trainer.resume_or_load()
        trainer.train()

    straight, stopped = tmp_path / "straight", tmp_path / "stopped"
    test_set = ("DATASETS.TEST", ("bdd100k_sem_seg_val",))
    train(straight, *test_set)
    stopped.mkdir()
    shutil.copy(straight / "model_0000001.pth", stopped)
    (stopped / "last_checkpoint").write_text("model_0000001.pth")
    train(stopped)
    load = lambda path: torch.load(path, weights_only=True)  # noqa: E731
    one, other = (load(folder / "model_final.pth") for folder in (straight, stopped))
    assert one["ema"]["updates"] == other["ema"]["updates"] == 4
    averages = [load(folder / "model_final_ema.pth")["model"] for folder in (straight, stopped)]
    for name, value in averages[0].items():
        assert torch.equal(value, averages[1][name]), name
        if name in one["ema"]["weights"]:
            assert torch.equal(value, one["ema"]["weights"][name])
            assert torch.equal(other["ema"]["weights"][name], value)
        else:
            assert torch.equal(value, one["model"][name])
    changed = [name for name in one["ema"]["weights"] if not torch.equal(one["model"][name], averages[0][name])]
    assert len(changed) > 10

    # Both are evaluated, each into its folder, and the scores are those of the file's weights.
    logged = {
        k: v for line in (straight / "metrics.json").read_text().splitlines() for k, v in json.loads(line).items()
    }
    cfg = small_cfg(*test_set, "OUTPUT_DIR", str(tmp_path / "again"))
    for prefix, path in (("", "model_final.pth"), ("ema/", "model_final_ema.pth")):
        assert (straight / prefix / "inference/scores.json").is_file()
        model = Trainer.build_model(cfg)
        load_weights(model, str(straight / path), exact=True)
        assert Trainer.test(cfg, model)["sem_seg"]["mIoU"] == pytest.approx(logged[f"{prefix}sem_seg/mIoU"], abs=1e-9)


def test_a_checkpoint_without_an_average(small_cfg: Make) -> None:
    keys = ("SOLVER.MAX_ITER", 2)
    Trainer(small_cfg("SOLVER.MAX_ITER", 1)).train()
    trainer = Trainer(small_cfg(*EMA, *keys))
    trainer.resume_or_load()
    start = trainer.model.sem_seg_head.predictor.weight.detach().clone()
    trainer.train()
    average = trainer.checkpointer.checkpointables["ema"]
    expected = 0.5 * start + 0.5 * trainer.model.sem_seg_head.predictor.weight
    assert torch.allclose(average.model_state()["sem_seg_head.predictor.weight"], expected, atol=1e-7)
