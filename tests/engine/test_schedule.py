import pytest
import torch

import bdd100k_d2
from bdd100k_d2.engine.schedule import build_schedule


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


def test_poly_with_floor() -> None:
    """The values of the recipe's source, simulated upstream: 0.00989, 0.00774, 0.00541, 0.00294, 0.0001."""
    found = rates("sem_seg/semantic_fpn_R_50_40k", 500, 10_000, 20_000, 30_000, 40_000)
    assert found == pytest.approx([0.00989, 0.00774, 0.00541, 0.00294, 0.0001], abs=5e-6)


def test_poly_warms_up() -> None:
    first, second, last = rates("sem_seg/semantic_fpn_R_50_40k", 0, 250, 500)
    assert first == pytest.approx(0.01 * 0.001, rel=0.01)
    assert second == pytest.approx(last / 2, rel=0.01)


def test_steps() -> None:
    found = rates("det/faster_rcnn_R_50_FPN_1x", 0, 500, 699, 700, 800, MAX_ITER=900, STEPS=(700, 800))
    assert found == pytest.approx([0.00002, 0.02, 0.02, 0.002, 0.0002])
