"""Boxes are chosen in tensors of fixed sizes as torchvision chooses them in lists."""

import pytest
import torch
from torchvision.ops import batched_nms, nms

from bdd100k_d2.export.static_shapes import NOTHING, best, clipped, kept_by_grouped_nms, kept_by_nms, sides_above


def random_boxes(number: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(number)
    corner = torch.rand(number, 2, generator=generator) * 100
    boxes = torch.cat([corner, corner + 20 + 30 * torch.rand(number, 2, generator=generator)], dim=1)
    return boxes, torch.rand(number, generator=generator), torch.randint(0, 4, (number,), generator=generator)


# Up to a thousand torchvision moves the classes apart, above it goes class by class.
@pytest.mark.parametrize("number", [0, 1, 999, 1000, 1001, 3000])
def test_nms_of_each_class_keeps_what_torchvision_keeps(number: int) -> None:
    boxes, scores, classes = random_boxes(4000)
    candidates = torch.zeros(4000, dtype=torch.bool)
    candidates[torch.randperm(4000, generator=torch.Generator().manual_seed(0))[:number]] = True
    (places,) = candidates.nonzero(as_tuple=True)
    expected = places[batched_nms(boxes[places], scores[places], classes[places], 0.5)]
    kept = kept_by_grouped_nms(boxes, scores, classes, 4, 0.5, candidates)
    assert kept.nonzero()[:, 0].tolist() == sorted(expected.tolist())


def test_nms_of_all_classes_and_boxes_without_an_area() -> None:
    boxes, scores, _ = random_boxes(50)
    # Equal ones without an area keep each other, as what is added so that NMS always has something.
    boxes[:3] = torch.tensor([0.0, 5.0, 0.0, 9.0])
    kept = kept_by_nms(boxes, scores, 0.5, torch.ones(50, dtype=torch.bool))
    assert kept[:3].all() and kept.nonzero()[:, 0].tolist() == sorted(nms(boxes, scores, 0.5).tolist())
    assert not kept_by_nms(boxes, scores, 0.5, torch.zeros(50, dtype=torch.bool)).any()


def test_the_best_are_filled_up_with_nothing() -> None:
    scores = torch.tensor([[0.1, 0.3, NOTHING], [-2.0, 0.0, 1.0]])
    values, places = best(scores, 2)
    assert values.tolist() == torch.tensor([[0.3, 0.1], [1.0, 0.0]]).tolist() and places.tolist() == [[1, 0], [2, 1]]
    values, places = best(scores, 5)
    assert values[1].tolist() == [1.0, 0.0, -2.0, NOTHING, NOTHING] and places[1].tolist() == [2, 1, 0, 0, 0]
    assert values[0, 2:].eq(NOTHING).all() and places.max() < 3


def test_boxes_are_clipped_and_their_sides_compared() -> None:
    boxes = torch.tensor([[[-5.0, -5, 300, 90], [10, 10, 10, 20], [10, 20, 11, 21]]])
    assert clipped(boxes, 80, 160)[0, 0].tolist() == [0.0, 0.0, 160.0, 80.0]
    assert sides_above(boxes).tolist() == [[True, False, True]]
    assert sides_above(boxes, -1).all() and sides_above(boxes, 1).tolist() == [[True, False, False]]
