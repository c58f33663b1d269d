"""ATSS: which anchors learn which box, what the losses are divided by, padding, detections, and refusals."""

import math
from typing import Any

import pytest
import torch
from detectron2.modeling import build_model
from detectron2.structures import Boxes, ImageList, Instances, pairwise_iou
from detectron2.utils.events import EventStorage
from support.small_models import SMALL_MODELS
from torch import Tensor

import bdd100k_d2
from bdd100k_d2.errors import ConfigError
from bdd100k_d2.modeling import atss
from bdd100k_d2.modeling.atss import ATSS
from bdd100k_d2.modeling.atss_assignment import assign_anchors, centerness


def small(*options: object) -> ATSS:
    """The zoo's model at a fraction of its width, with random weights."""
    cfg = bdd100k_d2.get_config("det/atss_R_50_FPN_1x")
    cfg.merge_from_list(["MODEL.DEVICE", "cpu", *SMALL_MODELS["det"], "MODEL.FPN.OUT_CHANNELS", 64, *options])
    torch.manual_seed(0)
    model = build_model(cfg)
    assert isinstance(model, ATSS)
    return model


def grid(side: int, rows: int, columns: int) -> Boxes:
    """Anchors of a level in rows, with sides of its stride, as `assign_anchors` takes any."""
    y, x = torch.meshgrid(torch.arange(rows) * side, torch.arange(columns) * side, indexing="ij")
    centres = torch.stack([x, y], dim=-1).reshape(-1, 2).float()
    return Boxes(torch.cat([centres - side / 2, centres + side / 2], dim=1))


def labelled(height: int, width: int, *boxes: tuple[float, ...]) -> dict[str, Any]:
    instances = Instances((height, width))
    instances.gt_boxes = Boxes(torch.tensor(boxes).reshape(-1, 4))
    instances.gt_classes = torch.arange(len(boxes))
    image = torch.rand(3, height, width, generator=torch.Generator().manual_seed(height)) * 255
    return {"image": image, "instances": instances}


def test_the_anchors_of_a_box_by_hand() -> None:
    # Sides of 8 at 0, 8, 16, 24 and sides of 16 at 0, 16; the box has its centre at 7.5, 6.5.
    levels = [grid(8, 4, 4), grid(16, 2, 2)]
    # Nearest are 8,8 (IoU 64 / 169) and 8,0 (32 / 201) of the first, 0,0 (56 / 369) and 16,0 (48 / 377) of the second:
    # mean 0.204 and deviation 0.117, so that only the first is above 0.321.
    index = assign_anchors(levels, Boxes(torch.tensor([[1.0, 0.0, 14.0, 13.0]])), candidates=2)
    assert index.tolist() == [-1] * 5 + [0] + [-1] * 14
    # The same overlap does not help an anchor whose centre is outside of its box.
    thin = Boxes(torch.tensor([[9.0, 1.0, 12.0, 15.0]]))
    assert assign_anchors(levels, thin, candidates=2).tolist() == [-1] * 20


def test_an_anchor_of_two_boxes_learns_the_one_that_it_overlaps_most() -> None:
    levels = [grid(8, 4, 4), grid(16, 2, 2)]
    boxes = torch.tensor([[1.0, 0.0, 14.0, 13.0], [3.0, 3.0, 12.0, 13.0]])
    alone = [assign_anchors(levels, Boxes(box[None]), candidates=2)[5] for box in boxes]
    assert alone == [0, 0]
    for order, winner in (([0, 1], 1), ([1, 0], 0)):
        assert assign_anchors(levels, Boxes(boxes[order]), candidates=2)[5] == winner


def by_loops(levels: list[Boxes], boxes: Boxes, candidates: int) -> list[int]:
    """The same as the paper says it, box by box."""
    anchors = Boxes.cat(levels)
    overlaps, quality = pairwise_iou(boxes, anchors), {}
    for k, (x1, y1, x2, y2) in enumerate(boxes.tensor.tolist()):
        chosen, first = [], 0
        for level in levels:
            centres = level.get_centers().tolist()
            order = sorted(range(len(level)), key=lambda i: math.dist(centres[i], ((x1 + x2) / 2, (y1 + y2) / 2)))
            chosen += [first + i for i in order[:candidates]]
            first += len(level)
        values = overlaps[k, chosen]
        threshold = values.mean() + values.std()
        for i in chosen:
            x, y = anchors.get_centers()[i].tolist()
            inside = min(x - x1, y - y1, x2 - x, y2 - y) > 0.01
            if inside and overlaps[k, i] >= threshold and overlaps[k, i] > quality.get(i, (-1.0, -1))[0]:
                quality[i] = (float(overlaps[k, i]), k)
    return [quality.get(i, (0.0, -1))[1] for i in range(len(anchors))]


@pytest.mark.parametrize("candidates", [1, 4, 9])
def test_many_boxes_are_assigned_as_one_by_one(candidates: int) -> None:
    levels = [grid(8, 12, 20), grid(16, 6, 10), grid(32, 3, 5), grid(64, 2, 3)]
    generator = torch.Generator().manual_seed(candidates)
    corners = torch.rand(30, 2, generator=generator) * torch.tensor([100.0, 60.0])
    sides = 6 + torch.rand(30, 2, generator=generator) ** 3 * 60
    boxes = Boxes(torch.cat([corners, corners + sides], dim=1))
    index = assign_anchors(levels, boxes, candidates)
    assert index.tolist() == by_loops(levels, boxes, candidates)
    assert len(index.unique()) > 10


def test_without_boxes_no_anchor_learns_one() -> None:
    assert assign_anchors([grid(8, 2, 2)], Boxes(torch.zeros(0, 4)), 9).tolist() == [-1] * 4
    # Of a size that no anchor's centre is in.
    assert assign_anchors([grid(8, 2, 2)], Boxes(torch.tensor([[3.0, 3.0, 3.0, 3.0]])), 9).tolist() == [-1] * 4


def test_centerness_by_hand() -> None:
    anchors = torch.tensor([[4.0, 4.0, 12.0, 12.0], [0.0, 0.0, 2.0, 2.0]])
    boxes = torch.tensor([[1.0, 0.0, 14.0, 13.0], [0.0, 0.0, 2.0, 2.0]])
    expected = [math.sqrt(6 / 7 * 5 / 8), 1.0]
    assert centerness(anchors, boxes).tolist() == pytest.approx(expected)


def test_anchors_are_eight_strides_at_the_corners_of_cells() -> None:
    model = small()
    maps = [torch.zeros(1, 64, 128 // s, 256 // s) for s in (8, 16, 32, 64, 128)]
    anchors = model.anchor_generator(maps)
    assert [len(level) for level in anchors] == [512, 128, 32, 8, 2]
    assert anchors[0].tensor[:2].tolist() == [[-32, -32, 32, 32], [-24, -32, 40, 32]]
    assert anchors[4].tensor[1].tolist() == [128 - 512, -512, 128 + 512, 512]


def test_the_head_starts_at_the_prior() -> None:
    head = small().head
    assert torch.allclose(head.cls_score.bias.sigmoid(), torch.tensor(0.01))
    assert [scale.scale.item() for scale in head.scales] == [1.0] * 5
    assert head.cls_subnet[0].bias is None and head.cls_subnet[0].norm.num_groups == 32
    assert float(head.bbox_subnet[3].weight.std()) == pytest.approx(0.01, rel=0.05)


def test_what_is_in_the_padding_of_the_batch_is_not_trained() -> None:
    model = small()
    batch = [labelled(60, 90, (10.0, 10.0, 40.0, 40.0)), labelled(128, 160, (20.0, 20.0, 90.0, 100.0))]
    maps = [torch.zeros(2, 64, -(-128 // s), -(-160 // s)) for s in (8, 16, 32, 64, 128)]
    anchors = model.anchor_generator(maps)
    labels, boxes = model.label_anchors(anchors, [one["instances"] for one in batch], [(60, 90), (128, 160)])
    # The smaller is padded to 64x96 by itself: 8 of 16 rows and 12 of 20 columns of the finest level.
    of_first = (labels[0][:320].reshape(16, 20) >= 0).nonzero()
    assert of_first.amax(dim=0).tolist() == [7, 11] and len(of_first) == 96
    assert (labels[1] >= 0).all()
    for i, one in enumerate(batch):
        positive = (labels[i] >= 0) & (labels[i] < 10)
        assert positive.any() and (labels[i][positive] == 0).all()
        assert torch.equal(boxes[i][positive], one["instances"].gt_boxes.tensor.expand(int(positive.sum()), 4))
    # Its own labels are those that it has alone.
    alone = model.label_anchors(
        model.anchor_generator([torch.zeros(1, 64, -(-64 // s), -(-96 // s)) for s in (8, 16, 32, 64, 128)]),
        [batch[0]["instances"]],
        [(60, 90)],
    )[0][0]
    assert torch.equal(labels[0][labels[0] >= 0], alone)


def test_a_step_of_training() -> None:
    model = small().train()
    batch = [labelled(60, 90, (10.0, 10.0, 40.0, 40.0), (5.0, 20.0, 80.0, 58.0)), labelled(128, 160)]
    with EventStorage() as storage:
        losses = model(batch)
        assert storage.latest()["num_pos_anchors"][0] > 0
    assert losses.keys() == {"loss_cls", "loss_box_reg", "loss_centerness"}
    sum(losses.values()).backward()
    trained = [one for one in model.parameters() if one.requires_grad]
    assert all(one.grad is not None and one.grad.isfinite().all() for one in trained)


def test_a_batch_without_boxes_has_a_loss_of_classes_alone() -> None:
    model = small().train()
    with EventStorage():
        losses = model([labelled(64, 96)])
    assert losses["loss_cls"] > 0 and losses["loss_box_reg"] == losses["loss_centerness"] == 0
    sum(losses.values()).backward()
    assert all(one.grad is not None for one in model.parameters() if one.requires_grad)


def test_losses_are_divided_by_the_mean_of_the_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    model = small().train()
    batch = [labelled(64, 96, (10.0, 10.0, 40.0, 40.0))]
    sums: list[Tensor] = []

    def three_times_as_much_elsewhere(values: Tensor) -> None:
        sums.append(values.clone())
        values *= 4

    monkeypatch.setattr(torch.distributed, "all_reduce", three_times_as_much_elsewhere)
    with EventStorage():
        alone = model(batch)
        monkeypatch.setattr(atss.comm, "get_world_size", lambda: 2)
        together = model(batch)
        # Validation gives the processes images of different numbers: there each is for itself.
        with torch.no_grad():
            validated = model(batch)
    ((number, weight),) = sums
    assert number > 1 and weight > 0.5
    expected = {"loss_cls": 0.5, "loss_centerness": 0.5, "loss_box_reg": float(weight.clamp(min=1) / (2 * weight))}
    for name, factor in expected.items():
        assert float(together[name]) == pytest.approx(factor * float(alone[name]))
        assert float(validated[name]) == pytest.approx(float(alone[name]))


def test_detections_by_hand() -> None:
    model = small("MODEL.RETINANET.TOPK_CANDIDATES_TEST", 3).eval()
    sizes = [(8, 8), (4, 4), (2, 2), (1, 1), (1, 1)]
    logits = [torch.full((1, 10, *size), -20.0) for size in sizes]
    deltas = [torch.zeros(1, 4, *size) for size in sizes]
    central = [torch.zeros(1, 1, *size) for size in sizes]
    images = ImageList(torch.zeros(1, 3, 64, 64), [(64, 64)])
    # Two that overlap by 7 / 9 of class 3: the one with the lesser score is more central. One below the threshold.
    for x, score, middle in ((4, 2.0, -1.0), (5, 1.0, 3.0), (7, -3.0, 5.0)):
        logits[0][0, 3, 4, x], central[0][0, 0, 4, x] = score, middle
    logits[1][0, 6, 0, 0] = 0.0
    (found,) = model.forward_inference(images, [torch.zeros(1, 64, *size) for size in sizes], [logits, deltas, central])
    # The centre of column 5 and row 4 is at 40, 32; a box of 64 is clipped to the image.
    assert found.pred_boxes.tensor.tolist() == [[8, 0, 64, 64], [0, 0, 64, 64]]
    assert found.pred_classes.tolist() == [3, 6]
    sigmoid = torch.tensor([1.0, 3.0, 0.0]).sigmoid()
    assert found.scores.tolist() == pytest.approx([float(sigmoid[0] * sigmoid[1]), 0.25])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("MODEL.ANCHOR_GENERATOR.ASPECT_RATIOS", [[0.5, 1.0]]), "has 2 anchors a place, and ATSS one; give one size"),
        (("MODEL.ATSS.CANDIDATES", 0), r"MODEL\.ATSS\.CANDIDATES is 0; give 1 or more"),
        (("MODEL.FPN.TOP_BLOCK_IN_FEATURE", "p4"), r"TOP_BLOCK_IN_FEATURE is 'p4'; there are res5 and p5"),
    ],
)
def test_what_is_refused(options: tuple[object, ...], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        small(*options)
