"""The segmentation zoo's heads and the meta-architecture that holds them: sizes, windows, losses, refusals."""

import logging
from typing import Any

import pytest
import torch
from detectron2.layers import ShapeSpec
from detectron2.modeling import build_model
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812, the name PyTorch uses

from bdd100k_d2.config import load_config
from bdd100k_d2.errors import ConfigError
from bdd100k_d2.modeling.decode_heads import ASPPHead, DecodeHead, FCNHead, PSPHead, SeparableASPPHead, UPerHead
from bdd100k_d2.modeling.encoder_decoder import EncoderDecoder
from bdd100k_d2.modeling.norms import adapt_sync_norms, fold_norms

SHAPES = {f"res{i + 2}": ShapeSpec(channels=8 * 2**i, stride=min(4 * 2**i, 8)) for i in range(4)}
HEADS: dict[type[DecodeHead], list[str]] = {
    FCNHead: ["res5"],
    PSPHead: ["res5"],
    ASPPHead: ["res5"],
    SeparableASPPHead: ["res2", "res5"],
    UPerHead: ["res2", "res3", "res4", "res5"],
}


def maps(height: int, width: int) -> dict[str, Tensor]:
    """One map a level, of sizes that do not divide evenly."""
    torch.manual_seed(0)
    sizes = [(-(-height // s.stride), -(-width // s.stride)) for s in SHAPES.values()]
    return {name: torch.randn(2, s.channels, *size) for (name, s), size in zip(SHAPES.items(), sizes, strict=True)}


def build(base: str, *options: object, norm: str = "BN") -> EncoderDecoder:
    """A small model of a base config with random weights."""
    small = ["MODEL.DEVICE", "cpu", "MODEL.RESNETS.NORM", norm, "MODEL.SEM_SEG_HEAD.NORM", norm]
    small += ["MODEL.SEM_SEG_HEAD.CONVS_DIM", 16, "MODEL.RESNETS.RES2_OUT_CHANNELS", 32]
    small += ["MODEL.RESNETS.STEM_OUT_CHANNELS", 16, "MODEL.RESNETS.WIDTH_PER_GROUP", 8]
    torch.manual_seed(0)
    model = build_model(load_config(f"configs/Base-{base}.yaml", [*small, *options]))
    assert isinstance(model, EncoderDecoder)
    return model


def image(height: int, width: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (3, height, width), dtype=torch.uint8, generator=generator)


@pytest.mark.parametrize("head", HEADS)
def test_logits_have_the_size_of_the_finest_map(head: type[DecodeHead]) -> None:
    module = head(SHAPES, in_features=HEADS[head], channels=12, num_classes=5).eval()
    features = maps(75, 101)
    logits = module(features)
    assert logits.shape == (2, 5, *features[HEADS[head][0]].shape[-2:])
    # The two images do not see each other.
    alone = module({name: one[1:] for name, one in features.items()})
    assert torch.allclose(logits[1:], alone, atol=1e-5)
    assert sum(isinstance(one, nn.BatchNorm2d) for one in module.modules()) > 0


def test_the_loss_is_a_mean_over_all_pixels() -> None:
    targets = torch.tensor([[[0, 1, 255, 255], [1, 1, 0, 255]]])
    logits = torch.randn(1, 3, 2, 4, generator=torch.Generator().manual_seed(0))
    arguments: dict[str, Any] = {"in_features": ["res5"], "channels": 4, "num_classes": 3}
    by_pixel = F.cross_entropy(logits, targets, reduction="none", ignore_index=255)
    assert torch.allclose(FCNHead(SHAPES, **arguments).loss(logits, targets), by_pixel.sum() / 8)
    of_labelled = FCNHead(SHAPES, **arguments, average_over_ignored=False, loss_weight=0.4)
    assert torch.allclose(of_labelled.loss(logits, targets), 0.4 * by_pixel.sum() / 5)
    assert of_labelled.loss(logits, torch.full_like(targets, 255)) == 0


def test_the_strides_of_res4_and_res5_become_dilations() -> None:
    backbone = build("DeepLabV3").backbone
    assert [backbone.output_shape()[f"res{i}"].stride for i in (2, 3, 4, 5)] == [4, 8, 8, 8]
    dilations = {name: [block.conv2.dilation[0] for block in getattr(backbone, name)] for name in ("res4", "res5")}
    assert dilations == {"res4": [1, 2, 2, 2, 2, 2], "res5": [2, 4, 4]}
    out = backbone(torch.zeros(1, 3, 75, 101))
    assert [tuple(out[f"res{i}"].shape[-2:]) for i in (2, 3, 4, 5)] == [(19, 26), (10, 13), (10, 13), (10, 13)]
    # An UPerNet of the zoo has none, though its files are called d8.
    assert build("UPerNet").backbone.output_shape()["res5"].stride == 32


@pytest.mark.parametrize("base", ["FCN", "PSPNet", "DeepLabV3", "DeepLabV3-Plus", "UPerNet", "NL", "DNL", "GCNet"])
def test_a_model_trains_and_predicts(base: str) -> None:
    model = build(base, "INPUT.CROP.SIZE", [64, 96])
    batch = [{"image": image(60 + i, 90), "sem_seg": torch.full((60 + i, 90), i)} for i in range(2)]
    losses = model.train()(batch)
    assert set(losses) == {"loss_sem_seg", "loss_auxiliary"}
    sum(losses.values()).backward()
    assert all(one.grad is not None and one.grad.isfinite().all() for one in model.parameters())
    results = model.eval()([{"image": image(60, 90), "height": 120, "width": 180}, {"image": image(61, 90)}])
    assert [tuple(one["sem_seg"].shape) for one in results] == [(19, 120, 180), (19, 61, 90)]


def test_smaller_images_are_padded_to_the_crop() -> None:
    model = build("FCN", "INPUT.CROP.SIZE", [64, 96], "MODEL.SEM_SEG_HEAD.DROPOUT", 0.0).train()
    small = {"image": image(32, 48), "sem_seg": torch.ones(32, 48, dtype=torch.int64)}
    padded = torch.zeros(64, 96, 3) + model.pixel_mean.flatten()
    padded[:32, :48] = small["image"].permute(1, 2, 0)
    ids = torch.full((64, 96), 255)
    ids[:32, :48] = 1
    whole = model([{"image": padded.permute(2, 0, 1), "sem_seg": ids}] * 2)
    assert torch.allclose(model([small] * 2)["loss_sem_seg"], whole["loss_sem_seg"], rtol=1e-5)


def test_images_of_other_sizes_do_not_change_each_other() -> None:
    model = build("PSPNet").eval()
    inputs = [{"image": image(60, 90)}, {"image": image(90, 60)}, {"image": image(60, 90, seed=1)}]
    together = model(inputs)
    for one, result in zip(inputs, together, strict=True):
        assert torch.equal(result["sem_seg"], model([one])[0]["sem_seg"])
    pair = model([inputs[0], inputs[2]])
    assert torch.allclose(pair[1]["sem_seg"], together[2]["sem_seg"], rtol=1e-4, atol=1e-3)


def test_windows_are_averaged() -> None:
    windows = ["MODEL.SLIDING_WINDOW.SIZE", [64, 64], "MODEL.SLIDING_WINDOW.STRIDE", [48, 40]]
    model = build("DeepLabV3", *windows, "MODEL.SEM_SEG_HEAD.ALIGN_CORNERS", True).eval()
    picture = image(64, 130)
    result = model([{"image": picture, "height": 128, "width": 260}])[0]["sem_seg"]
    model.window = None
    # The last of the three is moved back to end with the image.
    total, counts = torch.zeros(19, 64, 130), torch.zeros(130)
    for x in (0, 40, 66):
        total[:, :, x : x + 64] += model([{"image": picture[:, :, x : x + 64]}])[0]["sem_seg"]
        counts[x : x + 64] += 1
    expected = F.interpolate((total / counts)[None], size=(128, 260), mode="bilinear", align_corners=True)[0]
    assert torch.allclose(result, expected, rtol=1e-4, atol=1e-3)


def test_a_window_larger_than_the_image(caplog: pytest.LogCaptureFixture) -> None:
    model = build("FCN", "MODEL.SLIDING_WINDOW.SIZE", [769, 769], "MODEL.SLIDING_WINDOW.STRIDE", [513, 513]).eval()
    with caplog.at_level(logging.WARNING, "bdd100k_d2"):
        results = [model([{"image": image(60, 90)}])[0]["sem_seg"] for _ in range(2)]
    assert caplog.messages == [
        "An image of 60x90 is smaller than MODEL.SLIDING_WINDOW.SIZE [769, 769] and is predicted as a whole, as "
        "further ones are; set INPUT.MIN_SIZE_TEST and MAX_SIZE_TEST to what the model was trained at."
    ]
    model.window = None
    assert torch.equal(results[1], model([{"image": image(60, 90)}])[0]["sem_seg"])


def test_folded_norms_compute_the_same() -> None:
    model = build("DeepLabV3-Plus").eval()
    for norm in (one for one in model.modules() if isinstance(one, nn.BatchNorm2d)):
        nn.init.uniform_(norm.running_mean, -0.1, 0.1)
        nn.init.uniform_(norm.running_var, 0.5, 1.5)
    before = model([{"image": image(60, 90)}])[0]["sem_seg"]
    assert fold_norms(model) and not any(isinstance(one, nn.BatchNorm2d) for one in model.modules())
    after = model([{"image": image(60, 90)}])[0]["sem_seg"]
    assert torch.allclose(before, after, rtol=1e-4, atol=1e-3)


def test_synchronised_norms_are_those_of_one_process() -> None:
    model = build("UPerNet", norm="SyncBN")
    adapt_sync_norms(model)
    assert model.eval()([{"image": image(60, 90)}])[0]["sem_seg"].shape == (19, 60, 90)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ["MODEL.SEM_SEG_HEAD.NAME", "SemSegFPNHead"],
            "MODEL.SEM_SEG_HEAD.NAME is SemSegFPNHead, which EncoderDecoder does not take; it takes FCNHead, PSPHead",
        ),
        (
            ["MODEL.SEM_SEG_HEAD.AUXILIARY.IN_FEATURE", "p4"],
            "MODEL.SEM_SEG_HEAD.AUXILIARY.IN_FEATURE is 'p4'; the backbone has res2, res3, res4, res5.",
        ),
        (["MODEL.SLIDING_WINDOW.SIZE", [64]], r"MODEL.SLIDING_WINDOW.SIZE is \[64\]; give height and width in pixels."),
        (
            ["MODEL.SLIDING_WINDOW.SIZE", [64, 64], "MODEL.SLIDING_WINDOW.STRIDE", [64, 65]],
            r"STRIDE \[64, 65\] is larger than SIZE \[64, 64\]; pixels between the windows would have no class",
        ),
        (
            ["MODEL.RESNETS.OUTPUT_STRIDE", 16],
            "MODEL.RESNETS.OUTPUT_STRIDE is 16; there are 32, and 8 with a DEPTH of 50",
        ),
    ],
)
def test_keys_that_cannot_be(options: list[object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build("FCN", *options)
