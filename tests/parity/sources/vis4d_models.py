"""What Vis4D's models give for seeded weights and images. Runs in Vis4D's environment, see make_golden.py."""

import json
from collections.abc import Iterator

import numpy as np
import torch
from seeded import seeded_boxes, seeded_image, seeded_mask, seeded_state, spread_places
from torch import Tensor, nn
from vis4d.model.detect.faster_rcnn import FasterRCNN
from vis4d.model.seg.semantic_fpn import SemanticFPN
from vis4d.op.base import ResNet, ResNetV1c
from vis4d.op.box.anchor import AnchorGenerator
from vis4d.op.box.samplers import RandomSampler
from vis4d.op.detect.faster_rcnn import FasterRCNNHead
from vis4d.op.detect.rcnn import RCNNLoss, get_default_rcnn_box_codec
from vis4d.op.detect.rpn import RPNLoss, get_default_rpn_box_codec
from vis4d.op.loss import SegCrossEntropyLoss

MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
EVERYTHING = RandomSampler(batch_size=10**6, positive_fraction=1.0)


def detector() -> dict[str, np.ndarray]:
    """Inference and training of Faster R-CNN R-50-FPN with ten classes."""
    model = _faster_rcnn()
    return {
        "shapes": _shapes(model),
        **_prefixed("init", _initial_values(model)),
        **_prefixed("test", _detect(model)),
        **_prefixed("train", _train_detector(model)),
    }


def segmenter() -> dict[str, np.ndarray]:
    """Inference and training of Semantic FPN R-50 with nineteen classes."""
    torch.manual_seed(0)
    resnet = ResNetV1c("resnet50_v1c", pretrained=False, trainable_layers=5, norm_frozen=False)
    model = SemanticFPN(19, basemodel=resnet)
    return {
        "shapes": _shapes(model),
        **_prefixed("init", _initial_values(model)),
        **_prefixed("test", _segment(model)),
        **_prefixed("train", _train_segmenter(model)),
    }


def _faster_rcnn() -> FasterRCNN:
    torch.manual_seed(0)
    resnet = ResNet("resnet50", pretrained=False, trainable_layers=3)
    return FasterRCNN(10, resnet, FasterRCNNHead(num_classes=10))


def _detect(model: FasterRCNN) -> Iterator[tuple[str, np.ndarray]]:
    _fill(model)
    model.eval()
    size = (720, 1280)
    with torch.no_grad():
        images = _batch([size])
        features = model.fpn(model.basemodel(images))
        for level, feature in enumerate(features[2:], start=2):
            yield f"p{level}", _sample(feature)
        head = model.faster_rcnn_head(features, [size])
        for level, (logits, deltas) in enumerate(zip(head.rpn.cls, head.rpn.box, strict=True), start=2):
            yield f"objectness{level}", _sample(logits)
            yield f"deltas{level}", _sample(deltas)
        yield "proposals", head.proposals.boxes[0].numpy()
        yield "proposal_scores", head.proposals.scores[0].numpy()
        found = model.roi2det(*head.roi, head.proposals.boxes, [size])
    yield "boxes", found.boxes[0].numpy()
    yield "scores", found.scores[0].numpy()
    yield "classes", found.class_ids[0].numpy().astype(np.uint8)


def _train_detector(model: FasterRCNN) -> Iterator[tuple[str, np.ndarray]]:
    _fill(model)
    model.train()
    # Every anchor and every proposal is sampled, so that no draw matters.
    model.faster_rcnn_head.box_sampler = EVERYTHING
    anchors = AnchorGenerator(scales=[8], ratios=[0.5, 1.0, 2.0], strides=[4, 8, 16, 32, 64])
    sizes = [(240, 400), (224, 416)]
    boxes = [torch.from_numpy(seeded_boxes(*size, 12, seed=i)) for i, size in enumerate(sizes)]
    classes = [torch.arange(12) % 10 for _ in sizes]
    out = model(_batch(sizes), sizes, boxes, classes)
    rpn = RPNLoss(anchors, get_default_rpn_box_codec()[0], sampler=EVERYTHING)(*out.rpn, boxes, sizes)
    roi = RCNNLoss(get_default_rcnn_box_codec()[0], num_classes=10)(
        *out.roi,
        out.sampled_proposals.boxes,
        out.sampled_targets.labels,
        out.sampled_targets.boxes,
        out.sampled_targets.classes,
    )
    losses = {
        "loss_rpn_cls": rpn.loss_cls,
        "loss_rpn_loc": rpn.loss_bbox,
        "loss_cls": roi.rcnn_loss_cls,
        "loss_box_reg": roi.rcnn_loss_bbox,
    }
    yield from _step(model, losses, rate=0.02, decay=1e-4)


def _segment(model: SemanticFPN) -> Iterator[tuple[str, np.ndarray]]:
    _fill(model)
    model.eval()
    with torch.no_grad():
        features = model.fpn(model.basemodel(_batch([(720, 1280)], divisor=1)))
        for level, feature in enumerate(features[2:], start=2):
            yield f"p{level}", _sample(feature)
        logits = model.seg_head(features).outputs
        logits = nn.functional.interpolate(logits, scale_factor=4, mode="bilinear", align_corners=False)
    yield "logits", _sample(logits)
    yield "classes", logits[0].argmax(dim=0).numpy().astype(np.uint8)


def _train_segmenter(model: SemanticFPN) -> Iterator[tuple[str, np.ndarray]]:
    _fill(model)
    model.train()
    model.seg_head.dropout.p = 0.0
    size = (128, 224)
    targets = torch.from_numpy(np.stack([seeded_mask(*size, 19, seed=i) for i in range(2)]))
    losses = SegCrossEntropyLoss()(model(_batch([size, size])).outputs, targets)
    yield from _step(model, {"loss_sem_seg": losses["loss_seg"]}, rate=0.01, decay=5e-4)
    for name, value in model.named_buffers():
        if name in ("basemodel.stem.1.running_mean", "seg_head.scale_heads.3.4.norm.running_var"):
            yield name, value.numpy()


def _step(model: nn.Module, losses: dict[str, Tensor], rate: float, decay: float) -> Iterator[tuple[str, np.ndarray]]:
    sum(losses.values()).backward()
    for name, loss in losses.items():
        yield name, loss.detach().numpy()
    trained = {name: value for name, value in model.named_parameters() if value.requires_grad}
    before = {name: value.detach().clone() for name, value in trained.items()}
    yield "trained", np.array(json.dumps(list(trained)))
    yield "gradient_norms", np.array([float(value.grad.norm()) for value in trained.values()], np.float32)
    # Twice with the same gradients: the second step shows the momentum.
    optimizer = torch.optim.SGD(model.parameters(), lr=rate, momentum=0.9, weight_decay=decay)
    optimizer.step()
    optimizer.step()
    moved = [float((value.detach() - before[name]).norm()) for name, value in trained.items()]
    yield "step_norms", np.array(moved, np.float32)


def _initial_values(model: nn.Module) -> Iterator[tuple[str, np.ndarray]]:
    heads = [(name, value.detach()) for name, value in model.named_parameters() if not name.startswith("basemodel")]
    yield "names", np.array(json.dumps([name for name, _ in heads]))
    yield "largest", np.array([float(value.abs().max()) for _, value in heads], np.float32)
    yield "deviations", np.array([float(value.std(unbiased=False)) for _, value in heads], np.float32)
    yield "fourth_moments", np.array([float((value - value.mean()).pow(4).mean()) for _, value in heads], np.float32)


def _fill(model: nn.Module) -> None:
    state = model.state_dict()
    values = seeded_state({name: tuple(value.shape) for name, value in state.items()})
    model.load_state_dict({name: torch.from_numpy(np.asarray(value)) for name, value in values.items()})


def _batch(sizes: list[tuple[int, int]], divisor: int = 32) -> Tensor:
    height, width = (-(-max(side) // divisor) * divisor for side in zip(*sizes, strict=True))
    batch = torch.zeros(len(sizes), 3, height, width)
    for i, (h, w) in enumerate(sizes):
        pixels = torch.from_numpy(seeded_image(h, w, seed=i)).permute(2, 0, 1).float()
        batch[i, :, :h, :w] = (pixels - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]
    return batch


def _sample(values: Tensor) -> np.ndarray:
    """Values at evenly spaced places of the flattened tensor."""
    flat = values.detach().flatten()
    return flat[torch.from_numpy(spread_places(len(flat)))].numpy()


def _shapes(model: nn.Module) -> np.ndarray:
    return np.array(json.dumps({name: list(value.shape) for name, value in model.state_dict().items()}))


def _prefixed(prefix: str, items: Iterator[tuple[str, np.ndarray]]) -> dict[str, np.ndarray]:
    return {f"{prefix}/{name}": value for name, value in items}
