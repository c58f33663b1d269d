"""PointRend: equal to Detectron2's without our keys, its loss, sizes that are not padded, and how it is trained."""

import pytest
import torch
from detectron2.config import CfgNode
from detectron2.layers import ShapeSpec
from detectron2.modeling import SEM_SEG_HEADS_REGISTRY, build_model
from detectron2.projects.point_rend import PointRendSemSegHead
from support.small_models import SMALL_MODELS
from torch import Tensor
from torch.nn import functional as F  # noqa: N812, the name PyTorch uses

import bdd100k_d2
from bdd100k_d2.engine.solver import build_schedule
from bdd100k_d2.modeling import point_rend
from bdd100k_d2.modeling.norms import adapt_sync_norms

SHAPES = {f"p{i}": ShapeSpec(channels=8, stride=2**i) for i in range(2, 6)}


def config(*options: object, task: str = "sem_seg") -> CfgNode:
    cfg = bdd100k_d2.get_config(f"{task}/pointrend_R_50_40k")
    cfg.merge_from_list(["MODEL.DEVICE", "cpu", *SMALL_MODELS["sem_seg"], "MODEL.SEM_SEG_HEAD.NORM", "BN", *options])
    return cfg


def maps(height: int, width: int, number: int = 2) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    sizes = {name: (-(-height // s.stride), -(-width // s.stride)) for name, s in SHAPES.items()}
    return {name: torch.randn(number, 8, *size, generator=generator) for name, size in sizes.items()}


def ids(height: int, width: int) -> Tensor:
    mask = torch.randint(0, 19, (2, height, width), generator=torch.Generator().manual_seed(1))
    mask[:, : height // 3] = 255
    return mask


def test_without_our_keys_it_is_detectron2s() -> None:
    cfg = config("MODEL.SEM_SEG_HEAD.AVERAGE_OVER_IGNORED", False)
    ours = SEM_SEG_HEADS_REGISTRY.get("PointRendHead")(cfg, SHAPES)
    cfg.MODEL.POINT_HEAD.COARSE_SEM_SEG_HEAD_NAME, cfg.MODEL.POINT_HEAD.NUM_CLASSES = "SemSegFPNHead", 19
    theirs = PointRendSemSegHead(cfg, SHAPES)
    theirs.load_state_dict(ours.state_dict())
    features, targets = maps(64, 96), ids(64, 96)
    found = []
    for head in (ours, theirs):
        torch.manual_seed(3)
        found.append(head.train()(features, targets)[1])
    assert found[0].keys() == found[1].keys() == {"loss_sem_seg", "loss_sem_seg_point"}
    for name, loss in found[0].items():
        assert torch.allclose(loss, found[1][name], rtol=1e-6)
    (logits, _), (expected, _) = (head.eval()(features) for head in (ours, theirs))
    # The places are rounded otherwise.
    assert logits.shape == (2, 19, 64, 96) and torch.allclose(logits, expected, rtol=1e-4, atol=1e-6)


def test_the_loss_of_points_is_a_mean_over_all(monkeypatch: pytest.MonkeyPatch) -> None:
    head = SEM_SEG_HEADS_REGISTRY.get("PointRendHead")(config(), SHAPES).train()
    # One point in each quarter of a picture: the centres of pixels 0,0 and 3,0 and 0,3 and 3,3 of 4x4.
    places = torch.tensor([[0.125, 0.125], [0.875, 0.125], [0.125, 0.875], [0.875, 0.875]]).expand(2, -1, -1)
    monkeypatch.setattr(point_rend, "get_uncertain_point_coords_with_randomness", lambda *args: places)
    features, targets = maps(16, 16), torch.full((2, 16, 16), 7)
    targets[0, :8], targets[1, 8:, 8:] = 255, 4
    logits: list[Tensor] = []
    head.point_head.register_forward_hook(lambda *args: logits.append(args[-1]))
    losses = head(features, targets)[1]
    wanted = torch.tensor([[255, 255, 7, 7], [7, 7, 7, 4]])
    summed = F.cross_entropy(logits[0], wanted, ignore_index=255, reduction="sum")
    assert torch.allclose(losses["loss_sem_seg_point"], summed / 8)
    head.average_over_ignored = False
    assert torch.allclose(head(features, targets)[1]["loss_sem_seg_point"], summed / 6)
    assert head(features, torch.full_like(targets, 255))[1]["loss_sem_seg_point"] == 0


def test_uncertain_points_alone_are_refined() -> None:
    cfg = config("MODEL.POINT_HEAD.SUBDIVISION_STEPS", 1, "MODEL.POINT_HEAD.SUBDIVISION_NUM_POINTS", 50)
    head = SEM_SEG_HEADS_REGISTRY.get("PointRendHead")(cfg, SHAPES).eval()
    features = maps(64, 96)
    doubled = F.interpolate(head.coarse_sem_seg_head.layers(features), scale_factor=2.0, mode="bilinear")
    refined = head(features)[0]
    changed = (refined != doubled).any(dim=1).flatten(1)
    assert changed.sum(dim=1).tolist() == [50, 50]
    best = doubled.topk(2, dim=1).values
    margin = (best[:, 0] - best[:, 1]).flatten(1)
    assert all(margin[i][changed[i]].max() <= margin[i][~changed[i]].min() for i in range(2))


@pytest.mark.parametrize("task", ["sem_seg", "drivable"])
def test_a_model_trains_and_predicts(task: str) -> None:
    model = build_model(config(task=task))
    adapt_sync_norms(model)
    classes = 19 if task == "sem_seg" else 3
    assert len(model.sem_seg_head.point_head.predictor.weight) == classes
    images = [torch.rand(3, 60 + i, 90, generator=torch.Generator().manual_seed(i)) * 255 for i in range(2)]
    batch = [{"image": one, "sem_seg": torch.full(one.shape[1:], 2)} for one in images]
    losses = model.train()(batch)
    assert losses.keys() == {"loss_sem_seg", "loss_sem_seg_point"}
    sum(losses.values()).backward()
    assert all(one.grad is not None and one.grad.isfinite().all() for one in model.parameters())
    # Neither of which divides by 32.
    results = model.eval()([{"image": images[0], "height": 120, "width": 180}, {"image": images[1]}])
    assert [tuple(one["sem_seg"].shape) for one in results] == [(classes, 120, 180), (classes, 61, 90)]


def test_the_warm_up_starts_at_a_tenth() -> None:
    cfg = config()
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=cfg.SOLVER.BASE_LR)
    scheduler = build_schedule(cfg, optimizer)
    rates = []
    for _ in range(201):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    assert rates[0] == pytest.approx(0.001)
    assert rates[200] == pytest.approx(0.0001 + 0.0099 * (1 - 200 / 40_000) ** 0.9, rel=1e-4)
