import pytest
import torch
from detectron2.solver import build_lr_scheduler

import bdd100k_d2
from bdd100k_d2.engine.solver import build_schedule
from bdd100k_d2.errors import ConfigError


def rates(name: str, *iterations: int, **solver: object) -> list[float]:
    cfg = bdd100k_d2.get_config(name)
    cfg.SOLVER.update(solver)
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=cfg.SOLVER.BASE_LR)
    schedule = build_schedule(cfg, optimizer)
    found = {}
    for iteration in range(max(iterations) + 1):
        found[iteration] = optimizer.param_groups[0]["lr"]
        optimizer.step()
        schedule.step()
    return [found[iteration] for iteration in iterations]


@pytest.mark.parametrize("name", ["sem_seg/semantic_fpn_R_50_40k", "det/faster_rcnn_R_50_FPN_1x"])
def test_a_training_of_no_iteration_is_refused(name: str) -> None:
    for number in (0, -1):
        with pytest.raises(ConfigError, match=f"^SOLVER.MAX_ITER is {number}; a training has one iteration at least. "):
            rates(name, 0, MAX_ITER=number)


def test_poly_with_floor() -> None:
    """Between warm-up and end; tests/parity holds every iteration against Vis4D."""
    found = rates("sem_seg/semantic_fpn_R_50_40k", 500, 10_000, 20_000, 30_000, 40_000)
    assert found == pytest.approx([0.009894, 0.007746, 0.005408, 0.002945, 0.0001], abs=1e-6)


def test_poly_warms_up() -> None:
    first, second, last = rates("sem_seg/semantic_fpn_R_50_40k", 0, 250, 500)
    assert first == pytest.approx(0.01 * 0.001, rel=0.01)
    assert second == pytest.approx(last / 2, rel=0.01)


def test_the_warm_up_multiplies_the_fall() -> None:
    """Vis4D's two schedulers, one after the other on what the optimizer holds; with and without a rise."""
    for method in ("linear", "constant"):
        rate, expected = 0.001, [0.001]
        for i in range(1, 41):
            before, after = (0.1 + 0.9 * min(j / 10, 1) if method == "linear" or j >= 10 else 0.1 for j in (i - 1, i))
            rate = (rate * after / before - 0.0001) * ((40 - i) / (41 - i)) ** 0.9 + 0.0001
            expected.append(rate)
        options = {"WARMUP_METHOD": method, "WARMUP_ITERS": 10, "WARMUP_FACTOR": 0.1, "MAX_ITER": 40}
        found = rates("sem_seg/semantic_fpn_R_50_40k", *range(41), **options)
        assert found == pytest.approx(expected, abs=1e-12)


def test_a_training_shorter_than_its_warm_up() -> None:
    found = rates("sem_seg/semantic_fpn_R_50_40k", *range(6), MAX_ITER=5, WARMUP_ITERS=20)
    assert all(0 < rate < 0.01 for rate in found) and found[-1] == pytest.approx(0.0001)


def test_a_resumed_training_has_the_rates_of_an_unbroken_one() -> None:
    cfg = bdd100k_d2.get_config("sem_seg/semantic_fpn_R_50_40k")
    states, found = {}, []
    for begin in (0, 30, 700):
        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=cfg.SOLVER.BASE_LR)
        schedule = build_schedule(cfg, optimizer)
        if begin:
            optimizer.load_state_dict(states[begin][0])
            schedule.load_state_dict(states[begin][1])
        values = []
        for iteration in range(begin, 800):
            states.setdefault(iteration, (optimizer.state_dict(), schedule.state_dict()))
            values.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            schedule.step()
        found.append(values)
    assert found[1] == found[0][30:] and found[2] == found[0][700:]


def test_an_unknown_warm_up_is_named() -> None:
    with pytest.raises(ConfigError, match=r"SOLVER\.WARMUP_METHOD is 'slow'; there are linear and constant"):
        rates("sem_seg/semantic_fpn_R_50_40k", 0, WARMUP_METHOD="slow")


def test_a_warm_up_from_nothing_is_named() -> None:
    with pytest.raises(ConfigError, match=r"SOLVER\.WARMUP_FACTOR is 0\.0; WarmupPolyLR needs one above 0"):
        rates("sem_seg/semantic_fpn_R_50_40k", 0, WARMUP_FACTOR=0.0)


def test_other_schedules_are_those_of_detectron2() -> None:
    for name in ("WarmupMultiStepLR", "WarmupCosineLR"):
        cfg = bdd100k_d2.get_config("det/faster_rcnn_R_50_FPN_1x")
        cfg.SOLVER.update(LR_SCHEDULER_NAME=name, MAX_ITER=90, STEPS=(60, 80), WARMUP_ITERS=20)
        both = [torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.02) for _ in range(2)]
        schedules = build_schedule(cfg, both[0]), build_lr_scheduler(cfg, both[1])
        for _ in range(90):
            assert both[0].param_groups[0]["lr"] == both[1].param_groups[0]["lr"]
            for optimizer, schedule in zip(both, schedules, strict=True):
                optimizer.step()
                schedule.step()


def test_steps() -> None:
    found = rates("det/faster_rcnn_R_50_FPN_1x", 0, 500, 699, 700, 800, MAX_ITER=900, STEPS=(700, 800))
    assert found == pytest.approx([0.00002, 0.02, 0.02, 0.002, 0.0002])
