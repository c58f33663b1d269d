"""Each segmenter of the zoo as a graph gives the classes that the predictor gives, at any size and in batches."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from detectron2.modeling import META_ARCH_REGISTRY, SEM_SEG_HEADS_REGISTRY
from support.export_models import assert_classes_of, images, run_file, segmenter

import bdd100k_d2
from bdd100k_d2.errors import ConfigError
from bdd100k_d2.export import graph as graph_module
from bdd100k_d2.export.graph import ExportGraph
from bdd100k_d2.export.program import exported_program
from bdd100k_d2.export.run import export_model
from bdd100k_d2.export.segmentation import segment
from bdd100k_d2.modeling.semantic_fpn import SemanticFPN, SemanticFPNHead

pytestmark = pytest.mark.filterwarnings("ignore")

ENDINGS = {"onnx": "onnx", "openvino": "xml", "torchscript": "torchscript", "torch-export": "pt2"}
# The first is kept as it is, others are resized; none has sides that divide by 32.
SIZES = ((64, 112), (96, 150), (131, 90))
DEFORMABLE = "deformable head"
FAMILIES = {
    "Semantic FPN": ("sem_seg/semantic_fpn_R_50_40k",),
    "Semantic FPN of three classes": ("drivable/semantic_fpn_R_50_40k",),
    DEFORMABLE: ("sem_seg/semantic_fpn_R_50_40k_gn_dconv",),
    "EfficientNet": ("sem_seg/semantic_fpn_efficientnet_lite0",),
    "PointRend": ("sem_seg/pointrend_R_50_40k",),
    "FCN": ("sem_seg/fcn_R_50_D8_40k",),
    "PSPNet": ("sem_seg/pspnet_R_50_D8_40k",),
    "DeepLabV3": ("sem_seg/deeplabv3_R_50_D8_40k",),
    "DeepLabV3+": ("sem_seg/deeplabv3plus_R_50_D8_40k",),
    "UPerNet": ("sem_seg/upernet_R_50_40k",),
    "non-local": ("sem_seg/nonlocal_R_50_D8_40k",),
    "disentangled non-local": ("sem_seg/dnl_R_50_D8_40k",),
    "GCNet": ("sem_seg/gcnet_R_50_D8_769_40k", "MODEL.SLIDING_WINDOW.SIZE", []),
    "ConvNeXt": ("sem_seg/upernet_convnext_T_fp16_40k",),
    "Swin": ("sem_seg/upernet_swin_T_40k",),
    "HRNet": ("sem_seg/fcn_hrnet_W48_40k", "MODEL.HRNET.WIDTH", 18),
}


@pytest.fixture(scope="module")
def cached() -> dict[str, Callable[..., object]]:
    return {}


def exported(to: str, folder: Path, *model: object, **how: object) -> tuple["bdd100k_d2.Predictor", Path]:
    name, *overrides = model
    cfg = segmenter(name, folder, *overrides)
    path = folder / f"model.{ENDINGS[to]}"
    export_model(cfg, to, path, **how)
    return bdd100k_d2.Predictor(cfg), path


def check(to: str, folder: Path, *model: object, size: tuple[int, int] | None, batch: int | None) -> None:
    predictor, path = exported(to, folder, *model, size=size, batch=batch)
    run = run_file(path)
    for one in SIZES if size is None else (size,):
        for number in (1, 3) if batch is None else (batch,):
            frames = images(number, *one)
            assert_classes_of(predictor, frames, run(frames)[0])


@pytest.mark.parametrize("to", ENDINGS)
@pytest.mark.parametrize("shape", [(2, 97, 160, 3), (2, 96, 150, 3), (2, 95, 160, 3), (3, 96, 160, 3)])
def test_a_bare_file_refuses_other_images_than_it_was_made_for(
    to: str, shape: tuple[int, ...], tmp_path: Path, cached: dict[str, Callable[..., object]]
) -> None:
    if to not in cached:
        cached[to] = run_file(exported(to, tmp_path, *FAMILIES["Semantic FPN"], size=(96, 160), batch=2)[1])
    assert cached[to](images(2, 96, 160))[0].shape == (2, 96, 160)
    message = rf"{shape[1]}x{shape[2]}, and this file takes 2 .* of 96x160"
    with pytest.raises(Exception, match=message if to == "torchscript" else None):
        cached[to](np.zeros(shape, np.uint8))


# Seconds each, but for those whose backbones cannot be reduced.
_HEAVY = ("ConvNeXt", "Swin", "HRNet")


@pytest.mark.parametrize(
    "family", [pytest.param(name, marks=pytest.mark.slow if name in _HEAVY else ()) for name in FAMILIES]
)
def test_a_family_is_traced(family: str, tmp_path: Path) -> None:
    check("torchscript", tmp_path, *FAMILIES[family], size=None, batch=None)


@pytest.mark.parametrize("to", ENDINGS)
def test_a_semantic_fpn_in_every_format(to: str, tmp_path: Path) -> None:
    check(to, tmp_path, *FAMILIES["Semantic FPN"], size=(96, 150), batch=2)


def matrix(*formats: str, without: str = "") -> list[tuple[str, str]]:
    """Each family in each format that can take it."""
    pairs = [(family, to) for family in FAMILIES for to in formats if family != without]
    return [one for one in pairs if one != (DEFORMABLE, "openvino")]


@pytest.mark.exhaustive
@pytest.mark.parametrize(("family", "to"), matrix("onnx", "openvino", without="Swin"))
def test_a_family_at_any_size(family: str, to: str, tmp_path: Path) -> None:
    check(to, tmp_path, *FAMILIES[family], size=None, batch=None)


@pytest.mark.exhaustive
@pytest.mark.parametrize("family", [name for name in FAMILIES if name != "Swin"])
def test_a_program_of_any_size_that_resizes_nothing(family: str, tmp_path: Path) -> None:
    check("torch-export", tmp_path, *FAMILIES[family], "INPUT.MIN_SIZE_TEST", 0, size=None, batch=None)


def test_what_torch_export_cannot_follow_is_refused(tmp_path: Path) -> None:
    graph = ExportGraph(segmenter(*FAMILIES["Swin"], tmp_path, "INPUT.MIN_SIZE_TEST", 0), size=None)
    with pytest.raises(
        ConfigError, match=r"does not come to an end with the windows of a Swin .*, or export to torchscr"
    ):
        exported_program(graph)


@pytest.mark.slow
def test_openvino_refuses_deformable_convolutions(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^OpenVINO .* cannot take the graph .*No conversion rule.* --to onnx\.$"):
        exported("openvino", tmp_path, *FAMILIES[DEFORMABLE], size=(96, 150), batch=1)


@pytest.mark.exhaustive
@pytest.mark.parametrize(("family", "to"), matrix("onnx", "openvino", "torch-export"))
def test_a_family_at_one_size(family: str, to: str, tmp_path: Path) -> None:
    check(to, tmp_path, *FAMILIES[family], size=(96, 150), batch=1)


WINDOWS = (
    "sem_seg/gcnet_R_50_D8_769_40k",
    "MODEL.SLIDING_WINDOW.SIZE",
    [48, 64],
    "MODEL.SLIDING_WINDOW.STRIDE",
    [30, 40],
)


@pytest.mark.parametrize("batch", [2, None])
def test_windows_that_slide_are_in_a_graph_of_one_size(batch: int | None, tmp_path: Path) -> None:
    check("torchscript", tmp_path, *WINDOWS, size=(96, 150), batch=batch)
    cfg = segmenter(*WINDOWS[:1], tmp_path, *WINDOWS[1:])
    with pytest.raises(ConfigError, match=r"how many windows an image has depends on its size; give the size"):
        ExportGraph(cfg, size=None)


def test_channels_in_the_order_of_the_model(tmp_path: Path) -> None:
    check("torchscript", tmp_path, *FAMILIES["Semantic FPN"], "INPUT.FORMAT", "BGR", size=None, batch=1)


def test_an_antialiased_resize_at_one_size(tmp_path: Path) -> None:
    check("torchscript", tmp_path, *FAMILIES["Semantic FPN"], "INPUT.RESIZE_ANTIALIAS", True, size=(96, 150), batch=1)


def test_detectron2s_own_segmenter_is_padded(tmp_path: Path) -> None:
    keys = ("MODEL.META_ARCHITECTURE", "SemanticSegmentor", "MODEL.SEM_SEG_HEAD.NAME", "SemSegFPNHead")
    keys += ("MODEL.BACKBONE.NAME", "build_resnet_fpn_backbone")
    check("torchscript", tmp_path, *FAMILIES["Semantic FPN"], *keys, size=(90, 150), batch=1)


@META_ARCH_REGISTRY.register()
class FlippedFPN(SemanticFPN):
    """A model of a user's, which may do anything."""


@SEM_SEG_HEADS_REGISTRY.register()
class SmoothedHead(SemanticFPNHead):
    """A head of a user's, which is called as it is."""

    def layers(self, features: dict[str, torch.Tensor]) -> torch.Tensor:
        return super().layers(features).flip(1)


def test_a_model_of_a_class_of_ones_own_is_refused_and_its_head_followed(tmp_path: Path) -> None:
    keys = ("MODEL.META_ARCHITECTURE", "FlippedFPN")
    message = r"MODEL\.META_ARCHITECTURE FlippedFPN cannot be exported; these can: EncoderDecoder, SemanticFPN, Semant"
    with pytest.raises(ConfigError, match=message):
        ExportGraph(segmenter(*FAMILIES["Semantic FPN"], tmp_path, *keys), size=(64, 112))
    check(
        "torchscript",
        tmp_path,
        *FAMILIES["Semantic FPN"],
        "MODEL.SEM_SEG_HEAD.NAME",
        "SmoothedHead",
        size=(64, 112),
        batch=1,
    )


def test_a_graph_that_gives_another_result_than_the_model_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(graph_module, "segment", lambda *given: {"sem_seg": segment(*given)["sem_seg"].flip(1)})
    message = r"its graph gives another result than it \(class of a pixel: \d\d\..*% differ; .*a class of your own"
    with pytest.raises(ConfigError, match=message):
        ExportGraph(segmenter(*FAMILIES["Semantic FPN"], tmp_path), size=(64, 112))


def test_the_card_and_the_names_of_the_outputs(tmp_path: Path) -> None:
    graph = ExportGraph(segmenter(*FAMILIES["Semantic FPN"], tmp_path), size=(64, 112), batch=None, config="a.yaml")
    card = graph.card
    assert graph.outputs == ("sem_seg",)
    assert (card.task, card.size, card.batch, card.min_score, card.config) == ("sem_seg", (64, 112), None, 0, "a.yaml")
    assert len(card.categories) == 19 and len(card.weights_sha256) == 64 and card.panoptic is None
    assert not any(parameter.requires_grad for parameter in graph.parameters())
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in graph.model.backbone.modules())
