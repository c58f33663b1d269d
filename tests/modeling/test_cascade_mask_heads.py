"""A mask head for each stage of a cascade: what each is trained on, how they are averaged, and what is refused.

The parity tests compare them with mmdet.
"""

import pytest
import torch
from detectron2.config import CfgNode
from detectron2.export import TracingAdapter
from detectron2.modeling import build_model
from detectron2.structures import BitMasks, Boxes, Instances, pairwise_iou
from detectron2.utils.events import EventStorage
from support.small_models import SMALL_MODELS
from torch import Tensor, nn

import bdd100k_d2
from bdd100k_d2.checkpoint.class_names import class_tensors
from bdd100k_d2.config import config_names
from bdd100k_d2.errors import ConfigError
from bdd100k_d2.modeling.cascade_mask_heads import BDD100KCascadeMaskROIHeads

NAME = "ins_seg/cascade_mask_rcnn_R_50_FPN_1x"
CONFIGS = [name for name in config_names() if "cascade_mask" in name]


def config(*keys: object) -> CfgNode:
    """The config at a fraction of its size."""
    cfg = bdd100k_d2.get_config(NAME)
    cfg.MODEL.DEVICE, cfg.MODEL.WEIGHTS, cfg.MODEL.ROI_MASK_HEAD.CONV_DIM = "cpu", "", 8
    cfg.merge_from_list([*SMALL_MODELS["det"], *keys])
    return cfg


def small(*keys: object) -> nn.Module:
    torch.manual_seed(0)
    model = build_model(config(*keys))
    # Detectron2's own are so small that scores and masks would be the same.
    for part, parameter in model.named_parameters():
        if "cls_score" in part or "objectness" in part or "mask_head" in part:
            nn.init.normal_(parameter, std=0.2)
    return model


def labelled(number: int = 3) -> dict[str, object]:
    boxes = torch.tensor([[8.0, 8.0, 60.0, 50.0], [30.0, 20.0, 90.0, 80.0], [70.0, 10.0, 120.0, 60.0]])[:number]
    instances = Instances((96, 128))
    instances.gt_boxes, instances.gt_classes = Boxes(boxes), torch.tensor([2, 0, 7])[:number]
    masks = torch.rand(number, 96, 128, generator=torch.Generator().manual_seed(0)) > 0.5
    instances.gt_masks = BitMasks(masks)
    image = torch.randint(0, 256, (3, 96, 128), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
    return {"image": image, "instances": instances, "height": 96, "width": 128}


def test_there_are_five() -> None:
    assert len(CONFIGS) == 5
    for name in CONFIGS:
        cfg = bdd100k_d2.get_config(name)
        assert f"R_{cfg.MODEL.RESNETS.DEPTH}_" in name and name.endswith("_32bs") == (cfg.SOLVER.IMS_PER_BATCH == 32)
        # All of them were trained at one size.
        assert cfg.INPUT.MIN_SIZE_TRAIN == (720,) and cfg.INPUT.MASK_FORMAT == "bitmask"
        assert (cfg.MODEL.RPN.ALLOWED_BORDER, cfg.MODEL.RPN.POST_NMS_TOPK_TRAIN) == (0, 2000)


def test_each_stage_trains_its_head_on_its_own_positive_proposals(monkeypatch: pytest.MonkeyPatch) -> None:
    model = small().train()
    heads = model.roi_heads
    seen: list[list[Instances]] = []
    for head in heads.mask_head:
        forward = head.forward

        def spied(x: Tensor, instances: list[Instances], forward: object = forward) -> dict[str, Tensor]:
            seen.append(instances)
            assert len(x) == sum(map(len, instances))
            return forward(x, instances)

        monkeypatch.setattr(head, "forward", spied)
    with EventStorage():
        losses = model([labelled()])
    names = {f"loss_{kind}_stage{stage}" for kind in ("cls", "box_reg", "mask") for stage in range(3)}
    assert losses.keys() == names | {"loss_rpn_cls", "loss_rpn_loc"}
    assert len(seen) == 3
    for (positive,), least in zip(seen, (0.5, 0.6, 0.7), strict=True):
        assert len(positive) >= 3 and (positive.gt_classes < 8).all()
        ious = pairwise_iou(positive.proposal_boxes, labelled()["instances"].gt_boxes).max(dim=1).values
        assert (ious >= least).all()
    sum(losses[f"loss_mask_stage{stage}"] for stage in range(3)).backward()
    for head in heads.mask_head:
        assert all(p.grad.abs().sum() > 0 for p in head.parameters())


@pytest.mark.parametrize("stage", range(3))
def test_the_losses_of_masks_have_the_weights_of_their_stages(stage: int) -> None:
    found = []
    for weights in ([1.0, 0.5, 0.25], [1.0, 1.0, 1.0]):
        model = small("MODEL.ROI_BOX_CASCADE_HEAD.LOSS_WEIGHTS", weights).train()
        torch.manual_seed(0)
        with EventStorage():
            found.append(float(model([labelled()])[f"loss_mask_stage{stage}"].detach()))
    assert found[0] == pytest.approx(found[1] * 0.5**stage, rel=1e-5)


@torch.no_grad()
def test_the_probabilities_of_the_heads_are_averaged() -> None:
    model = small().eval()
    inputs = [labelled(), labelled()]
    results = model.inference(inputs, do_postprocess=False)
    assert all(len(one) > 5 and one.pred_masks.shape[1:] == (1, 28, 28) for one in results)
    features = model.backbone(model.preprocess_image(inputs).tensor)
    maps = [features[name] for name in ("p2", "p3", "p4", "p5")]
    for i, one in enumerate(results):
        pooled = model.roi_heads.mask_pooler([level[i : i + 1] for level in maps], [one.pred_boxes])
        for j, masks in enumerate(one.pred_masks):
            heads = [
                head.layers(pooled[j : j + 1])[0, one.pred_classes[j]].sigmoid() for head in model.roi_heads.mask_head
            ]
            torch.testing.assert_close(masks[0], (heads[0] + heads[1] + heads[2]) / 3, rtol=0, atol=1e-5)
            assert (heads[0] - heads[2]).abs().max() > 0.01


@torch.no_grad()
def test_masks_of_no_class_and_images_without_detections() -> None:
    model = small("MODEL.ROI_MASK_HEAD.CLS_AGNOSTIC_MASK", True).eval()
    (result,) = model.inference([labelled()], do_postprocess=False)
    assert len(result) > 5 and result.pred_masks.shape[1:] == (1, 28, 28)
    for predictor in model.roi_heads.box_predictor:
        predictor.test_score_thresh = 2.0
    (result,) = model([labelled()])
    assert result["instances"].pred_masks.shape == (0, 96, 128)


def test_an_image_without_boxes_trains() -> None:
    with EventStorage():
        losses = small().train()([labelled(0)])
    assert all(float(losses[f"loss_mask_stage{stage}"].detach()) == 0 for stage in range(3))
    sum(losses.values()).backward()


def test_a_step_moves_each_head() -> None:
    cfg = config()
    model = small().train()
    optimizer = bdd100k_d2.Trainer.build_optimizer(cfg, model)
    before = {key: value.clone() for key, value in model.state_dict().items() if "mask_head" in key}
    with EventStorage():
        sum(model([labelled()]).values()).backward()
    optimizer.step()
    assert len(before) == 3 * 12
    assert not any(torch.equal(model.state_dict()[key], value) for key, value in before.items())


@pytest.mark.parametrize(
    "keys",
    [
        ["MODEL.MASK_ON", False],
        ["MODEL.ROI_BOX_CASCADE_HEAD.LOSS_WEIGHTS", []],
    ],
)
def test_what_it_needs(keys: list[object]) -> None:
    with pytest.raises(ConfigError, match=r"BDD100KCascadeMaskROIHeads needs MODEL\.MASK_ON True and .*LOSS_WEIGHTS"):
        build_model(config(*keys))


def test_it_pools() -> None:
    with pytest.raises(ConfigError, match=r"POOLER_TYPE is empty"):
        build_model(config("MODEL.ROI_MASK_HEAD.POOLER_TYPE", ""))


def test_weights_for_other_classes_leave_all_of_its_last_layers_out() -> None:
    shapes = {name: tuple(value.shape) for name, value in small().state_dict().items()}
    found = {name for name in class_tensors(shapes, ["thing_classes"]) if name.endswith(".weight")}
    stages = [f"roi_heads.{part}.{i}" for i in range(3) for part in ("box_predictor", "mask_head")]
    assert found == {f"{name}.{'cls_score' if 'box' in name else 'predictor'}.weight" for name in stages}


@pytest.mark.usefixtures("by_operators")
@pytest.mark.filterwarnings("ignore")
@torch.no_grad()
def test_it_is_traced_at_one_size_and_runs_at_another() -> None:
    model = small().eval()
    assert isinstance(model.roi_heads, BDD100KCascadeMaskROIHeads)

    def adapter(size: tuple[int, int]) -> tuple[TracingAdapter, Tensor]:
        image = torch.rand(3, *size, generator=torch.Generator().manual_seed(size[0])) * 255
        raw = lambda model, inputs: model.inference(inputs, do_postprocess=False)  # noqa: E731
        return TracingAdapter(model, [{"image": image}], inference_func=raw).eval(), image

    first, image = adapter((128, 224))
    traced = torch.jit.trace(first, (image,), check_trace=False)
    for size in ((128, 224), (100, 150)):
        plain, image = adapter(size)
        found, expected = traced(image), plain(image)
        assert len(expected[0]) > 10 and all(map(torch.equal, found, expected))
