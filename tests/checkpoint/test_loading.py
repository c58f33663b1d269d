import logging
import os
import pickle
import re
from pathlib import Path

import pytest
import torch
from detectron2.checkpoint import DetectionCheckpointer
from detectron2.config import CfgNode
from detectron2.modeling import META_ARCH_REGISTRY, build_model
from detectron2.utils.file_io import PathManager
from support import module_trees as trees
from torch import nn

import bdd100k_d2
from bdd100k_d2.checkpoint.class_names import class_counts, class_tensors, difference
from bdd100k_d2.checkpoint.convert import convert_file, convert_state
from bdd100k_d2.checkpoint.loading import load_weights
from bdd100k_d2.errors import WeightsError
from bdd100k_d2.tasks import TASKS


def model(width: int = 3) -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, width, 1), nn.BatchNorm2d(width))


def save(path: Path, state: dict) -> str:
    torch.save({"model": state}, path)
    return str(path)


def test_loads_what_fits(tmp_path: Path) -> None:
    source, target = model(), model()
    load_weights(target, save(tmp_path / "a.pth", source.state_dict()), exact=True)
    assert all(torch.equal(a, b) for a, b in zip(source.parameters(), target.parameters(), strict=True))


def test_no_path_leaves_the_model_and_is_an_error_for_evaluation() -> None:
    target = model()
    before = [parameter.clone() for parameter in target.parameters()]
    load_weights(target, "")
    assert all(torch.equal(a, b) for a, b in zip(before, target.parameters(), strict=True))
    with pytest.raises(WeightsError, match=r"No weights to evaluate: add MODEL\.WEIGHTS"):
        load_weights(target, "", exact=True)


def test_fine_tuning_takes_the_part_that_fits(tmp_path: Path) -> None:
    source = model()
    state = source.state_dict() | {"0.weight": torch.zeros(5, 3, 1, 1), "2.weight": torch.zeros(1)}
    path = save(tmp_path / "a.pth", state)
    target = model()
    load_weights(target, path)
    assert torch.equal(target[0].bias, source[0].bias)
    with pytest.raises(
        WeightsError,
        match=r"a\.pth: these weights are not of this model; "
        r"of another shape: 0\.weight \(checkpoint \(5, 3, 1, 1\), model \(3, 3, 1, 1\)\).*not in the model: 2\.weight",
    ):
        load_weights(target, path, exact=True)


def test_missing_tensors_are_named(tmp_path: Path) -> None:
    state = model().state_dict()
    del state["1.running_mean"]
    with pytest.raises(WeightsError, match=r"missing: 1\.running_mean\. Give the config"):
        load_weights(model(), save(tmp_path / "a.pth", state), exact=True)


@pytest.mark.parametrize(
    "name",
    [
        "detectron2://ImageNetPretrained/torchvision/R-50.pkl",
        "open-mmlab://resnet50_v1c",
        "microsoft://swin_tiny_patch4_window7_224",
        "torchvision://swin_t",
        "pip://efficientnet-lite0",
        "timm://resnet18.a1_in1k",
    ],
)
def test_weights_of_a_backbone_are_refused_for_evaluation_before_they_are_fetched(name: str) -> None:
    message = rf"^MODEL.WEIGHTS names weights of a backbone alone \({re.escape(name)}\); add MODEL.WEIGHTS"
    with pytest.raises(WeightsError, match=message):
        load_weights(model(), name, exact=True)


@pytest.mark.parametrize(("others", "is_backbone"), [(0, True), (2, True), (5, False)])
def test_a_file_of_a_backbone_alone_is_told(tmp_path: Path, others: int, is_backbone: bool) -> None:
    """A classifier's last layer may be beside it; more is of another model, whose tensors are named."""
    net = nn.Module()
    net.backbone, net.head = model(), model()
    state = {f"backbone.{key}": tensor for key, tensor in model().state_dict().items()}
    state |= {f"fc.{i}": torch.zeros(1) for i in range(others)}
    path = save(tmp_path / "R-50.pth", state)
    message = r"R-50\.pth: has weights of a backbone alone; give those of a trained model\.$"
    with pytest.raises(WeightsError, match=message if is_backbone else r"missing: head\.0.*not in the model: fc\.0"):
        load_weights(net, path, exact=True)
    load_weights(net, path)


def test_weights_of_another_model_are_refused_for_training_too(tmp_path: Path) -> None:
    path = save(tmp_path / "a.pth", {f"other.{i}": torch.zeros(1) for i in range(9)})
    with pytest.raises(WeightsError, match=r"not in the model: other\.0, .* and 4 more"):
        load_weights(model(), path)


@pytest.mark.parametrize("path", ["missing.pth", "nowhere/missing.pkl"])
def test_files_that_do_not_exist(tmp_path: Path, path: str) -> None:
    with pytest.raises(WeightsError, match=r"missing\.p.*: no such file of weights; check the path"):
        load_weights(model(), str(tmp_path / path))


def test_a_folder(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=rf"^{tmp_path}: a folder, not a file of weights"):
        load_weights(model(), str(tmp_path))


@pytest.mark.parametrize("name", ["a.pth", "a.pkl"])
def test_files_that_are_no_weights(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"<!DOCTYPE html><html>not found</html>")
    with pytest.raises(WeightsError, match=rf"^{tmp_path / name}: a web page, not weights"):
        load_weights(model(), str(tmp_path / name))


def test_a_checkpoint_that_was_cut_off(tmp_path: Path) -> None:
    path = Path(save(tmp_path / "a.pth", model(64).state_dict()))
    path.write_bytes(path.read_bytes()[:-300])
    with pytest.raises(WeightsError, match=r"a\.pth: not a checkpoint, or a damaged one"):
        load_weights(model(), str(path))


class Malicious:
    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple:
        return os.system, (f"touch {self.trace}",)


@pytest.mark.parametrize("name", ["a.pth", "a.pkl"])
def test_checkpoints_run_no_code(tmp_path: Path, name: str) -> None:
    trace = tmp_path / "was_here"
    (tmp_path / name).write_bytes(pickle.dumps({"model": Malicious(trace), "__author__": "x"}))
    with pytest.raises(WeightsError, match=r"a\.p.*: refused, because reading it would run posix\.system"):
        load_weights(model(), str(tmp_path / name))
    assert not trace.exists()


@pytest.mark.parametrize("key", ["state_dict", "model"])
def test_checkpoints_of_other_models_are_named(tmp_path: Path, key: str) -> None:
    torch.save({key: {"encoder.0.weight": torch.zeros(1)}, "meta": {"epoch": 12}}, tmp_path / "a.pth")
    with pytest.raises(WeightsError, match=r"a\.pth: these weights are not of this.*in the model: encoder\.0\.weight"):
        load_weights(model(), str(tmp_path / "a.pth"))


def test_a_model_that_holds_no_tensors(tmp_path: Path) -> None:
    torch.save({"model": {"0.weight": "text"}}, tmp_path / "a.pth")
    with pytest.raises(WeightsError, match=r"a\.pth: not a checkpoint of Detectron2 .*Is it of another framework\?"):
        load_weights(model(), str(tmp_path / "a.pth"))


def test_weights_that_cannot_be_fetched() -> None:
    address = "https://localhost:9/weights.pth"
    with pytest.raises(WeightsError, match=rf"the weights cannot be fetched .*Fetch {address} by hand"):
        load_weights(model(), address)


def test_a_model_zoo_pickle_loads(tmp_path: Path) -> None:
    source, target = model(), model()
    arrays = {key: value.numpy() for key, value in source.state_dict().items()}
    (tmp_path / "a.pkl").write_bytes(pickle.dumps({"model": arrays, "__author__": "torchvision"}, protocol=2))
    load_weights(target, str(tmp_path / "a.pkl"))
    assert all(torch.equal(a, b) for a, b in zip(source.parameters(), target.parameters(), strict=True))


def test_caffe2s_and_pycls_files_load_as_detectron2_does(tmp_path: Path) -> None:
    # Both are matched by the ends of names: Caffe2's "res2_0_branch2a_w" is Detectron2's "res2.0.conv1.weight".
    target = nn.ModuleDict({"res2": nn.ModuleList([nn.ModuleDict({"conv1": nn.Conv2d(3, 4, 1, bias=False)})])})
    weight = torch.rand(4, 3, 1, 1)
    arrays = {"res2_0_branch2a_w": weight.numpy(), "res2_0_branch2a_w_momentum": weight.numpy()}
    for content in (arrays, {"blobs": arrays}):
        (tmp_path / "a.pkl").write_bytes(pickle.dumps(content, protocol=2))
        nn.init.zeros_(target["res2"][0]["conv1"].weight)
        load_weights(target, str(tmp_path / "a.pkl"), exact=True)
        assert torch.equal(target["res2"][0]["conv1"].weight, weight)
    nn.init.zeros_(target["res2"][0]["conv1"].weight)
    torch.save({"model_state": {"conv1.weight": weight}}, tmp_path / "a.pyth")
    load_weights(target, str(tmp_path / "a.pyth"), exact=True)
    assert torch.equal(target["res2"][0]["conv1"].weight, weight)


def small_detector() -> CfgNode:
    """The shipped Faster R-CNN in the widths of `module_trees`."""
    cfg = bdd100k_d2.get_config("det/faster_rcnn_R_50_FPN_1x")
    cfg.MODEL.DEVICE = "cpu"
    cfg.MODEL.RESNETS.STEM_OUT_CHANNELS = cfg.MODEL.RESNETS.WIDTH_PER_GROUP = trees.WIDTH
    cfg.MODEL.RESNETS.RES2_OUT_CHANNELS = 4 * trees.WIDTH
    cfg.MODEL.FPN.OUT_CHANNELS = trees.FPN
    cfg.MODEL.ROI_BOX_HEAD.FC_DIM = trees.FC
    return cfg


@pytest.mark.parametrize("layout", ["mmdet", "Vis4D"])
def test_weights_of_another_framework_are_converted_and_said_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, layout: str
) -> None:
    state = trees.random_tensors(trees.faster_rcnn())
    expected = convert_state(state, "a.pth").model
    if layout == "Vis4D":
        names = trees.as_vis4d(trees.faster_rcnn())
        state = {f"model.{name}": value for name, value in zip(names, state.values(), strict=True)}
    wrong = {key: torch.zeros_like(value) for key, value in state.items()}
    beside = {"meta": {"epoch": 12}, "optimizer": {"state": {0: {"momentum_buffer": torch.zeros(3)}}}}
    torch.save({"state_dict": state, "ema_state_dict": wrong, **beside}, tmp_path / "a.pth")
    target = build_model(small_detector())
    with caplog.at_level(logging.INFO, logger="bdd100k_d2"):
        load_weights(target, str(tmp_path / "a.pth"), exact=True)
    found = target.state_dict()
    assert all(torch.equal(found[key], value) for key, value in expected.items())
    (line,) = [record.getMessage() for record in caplog.records if record.name.startswith("bdd100k_d2")]
    assert line == (
        f"{tmp_path / 'a.pth'}: converted from {layout} Faster R-CNN, 295 tensors used, 53 dropped "
        "(53 counters of batches)."
    )


def test_foreign_weights_of_another_class_count(tmp_path: Path) -> None:
    torch.save({"state_dict": trees.random_tensors(trees.faster_rcnn(80))}, tmp_path / "coco.pth")
    target = build_model(small_detector())
    predictor = "roi_heads.box_predictor"
    with pytest.raises(
        WeightsError,
        match=rf"coco\.pth: .*of another shape: {predictor}\.cls_score\.weight "
        r"\(checkpoint \(81, 24\), model \(11, 24\)\).*Give the config that they were trained with: they have 80 "
        r"classes, the model 10 \(MODEL\.ROI_HEADS\.NUM_CLASSES\)\.",
    ):
        load_weights(target, str(tmp_path / "coco.pth"), exact=True)
    # Fine-tuning takes the rest.
    load_weights(target, str(tmp_path / "coco.pth"))
    expected = convert_state(trees.random_tensors(trees.faster_rcnn(80)), "coco.pth").model
    assert torch.equal(target.state_dict()["roi_heads.box_head.fc1.weight"], expected["roi_heads.box_head.fc1.weight"])


def test_weights_of_another_class_count_of_each_head(tmp_path: Path) -> None:
    for name, key, narrow in (
        ("det/retinanet_R_50_FPN_1x", "MODEL.RETINANET.NUM_CLASSES", ()),
        ("det/atss_R_50_FPN_1x", "MODEL.RETINANET.NUM_CLASSES", ("MODEL.FPN.OUT_CHANNELS", 32)),
        ("sem_seg/semantic_fpn_R_50_40k", "MODEL.SEM_SEG_HEAD.NUM_CLASSES", ("MODEL.SEM_SEG_HEAD.CONVS_DIM", 8)),
        ("sem_seg/pointrend_R_50_40k", "MODEL.SEM_SEG_HEAD.NUM_CLASSES", ("MODEL.SEM_SEG_HEAD.CONVS_DIM", 8)),
    ):
        cfg = bdd100k_d2.get_config(name)
        cfg.merge_from_list(["MODEL.DEVICE", "cpu", "MODEL.FPN.OUT_CHANNELS", 8, *narrow, key, 3])
        path = save(tmp_path / "three.pth", build_model(cfg).state_dict())
        cfg.merge_from_list([key, 10])
        with pytest.raises(WeightsError, match=rf"with: they have 3 classes, the model 10 \({key}\)\.$"):
            load_weights(build_model(cfg), path, exact=True)


def test_foreign_weights_of_another_depth(tmp_path: Path) -> None:
    deeper = trees.faster_rcnn() | trees.resnet("backbone.", depth=101)
    torch.save({"state_dict": trees.random_tensors(deeper)}, tmp_path / "r101.pth")
    with pytest.raises(
        WeightsError, match=r"r101\.pth: .*not in the model: backbone\.bottom_up\.res4\.6\..* and \d+ more"
    ):
        load_weights(build_model(small_detector()), str(tmp_path / "r101.pth"), exact=True)
    shallower = {key: shape for key, shape in trees.faster_rcnn().items() if "backbone.layer4.2." not in key}
    torch.save({"state_dict": trees.random_tensors(shallower)}, tmp_path / "short.pth")
    with pytest.raises(WeightsError, match=r"short\.pth: .*missing: backbone\.bottom_up\.res5\.2\.conv1\.weight"):
        load_weights(build_model(small_detector()), str(tmp_path / "short.pth"), exact=True)


def test_foreign_weights_of_another_model(tmp_path: Path) -> None:
    torch.save({"state_dict": trees.random_tensors(trees.retinanet())}, tmp_path / "retinanet.pth")
    with pytest.raises(WeightsError, match=r"missing: .*proposal_generator.*not in the model: head\.cls_subnet"):
        load_weights(build_model(small_detector()), str(tmp_path / "retinanet.pth"), exact=True)
    torch.save(
        {"state_dict": {"backbone.layer1.0.conv1.weight": torch.zeros(1), "query": torch.zeros(1)}}, tmp_path / "d"
    )
    with pytest.raises(WeightsError, match=r"d: looks like an OpenMMLab model with a ResNet, .*: query\."):
        load_weights(build_model(small_detector()), str(tmp_path / "d"))


def test_what_was_fetched_and_is_no_weights_is_said_to_be_kept_where(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "page.pth").write_text("<html>gone</html>")
    address = "https://example.org/weights.pth"
    get = PathManager.get_local_path
    monkeypatch.setattr(
        type(PathManager),
        "get_local_path",
        lambda self, path, *more, **keys: str(tmp_path / "page.pth") if path == address else get(path, *more, **keys),
    )
    with pytest.raises(WeightsError, match=rf"{address}: a web page, not weights.*remove it to fetch it again"):
        load_weights(model(), address)


def test_a_name_of_detectron2_is_spelt_out_where_it_cannot_be_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError("no network")

    monkeypatch.setattr(type(PathManager), "get_local_path", fail)
    place = "https://dl.fbaipublicfiles.com/detectron2/ImageNetPretrained/torchvision/R-50.pkl"
    with pytest.raises(WeightsError, match=f"no network.*Fetch {place} by hand"):
        load_weights(model(), "detectron2://ImageNetPretrained/torchvision/R-50.pkl")


def test_a_users_model_with_a_foreign_backbone_is_not_converted(tmp_path: Path) -> None:
    class Users(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.backbone = nn.ModuleDict({"layer1": nn.ModuleList([nn.ModuleDict({"conv1": nn.Conv2d(3, 3, 1)})])})

    source, target = Users(), Users()
    load_weights(target, save(tmp_path / "a.pth", source.state_dict()), exact=True)
    assert all(torch.equal(a, b) for a, b in zip(source.parameters(), target.parameters(), strict=True))


THREE, ORDER = ["bus", "car", "tram"], ["car", "bus", "tram"]


def head(classes: int) -> nn.Module:
    """The last layers of a detector, under their names, beside a layer that has nothing to do with classes."""
    found = nn.ModuleDict({"fc": nn.Linear(4, 4)})
    found["box_predictor"] = nn.ModuleDict({"cls_score": nn.Linear(4, classes + 1), "bbox_pred": nn.Linear(4, 4)})
    return found


def kept(path: Path, source: nn.Module, names: object) -> str:
    torch.save({"model": source.state_dict(), "classes": {"thing_classes": names}, "iteration": 3}, path)
    return str(path)


def test_weights_for_the_same_classes_load_whole(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    source, target = head(3), head(3)
    path = kept(tmp_path / "a.pth", source, THREE)
    # Kinds of which one side knows nothing, and metadata's tuples, do not matter.
    load_weights(target, path, exact=True, classes={"thing_classes": tuple(THREE), "stuff_classes": ["road"]})
    assert all(torch.equal(a, b) for a, b in zip(source.parameters(), target.parameters(), strict=True))
    for exact in (True, False):
        target = head(3)
        load_weights(target, path, exact=exact)
        assert torch.equal(source["box_predictor"]["cls_score"].weight, target["box_predictor"]["cls_score"].weight)
    assert not [one for one in caplog.records if one.name.startswith("bdd100k_d2")]
    # Detectron2's checkpointer passes the names over.
    assert DetectionCheckpointer(target).load(path)["iteration"] == 3


@pytest.mark.parametrize(
    ("ours", "what"),
    [
        (ORDER, r"the same ones in another order \(class 0 is 'bus', not 'car'; class 1 is 'car', not 'bus'\)"),
        (["bus", "car", "van"], r"others of the same number \(class 2 is 'tram', not 'van'\)"),
    ],
)
def test_weights_for_other_classes_are_refused_for_evaluation(tmp_path: Path, ours: list[str], what: str) -> None:
    path = kept(tmp_path / "a.pth", head(3), THREE)
    message = (
        rf"^{path}: the thing classes of the weights are not those of the data sets, but {what}: names and scores would"
        r" be wrong\. Name the data sets that the weights are for, or register these with the weights' classes, in "
        r"their order: bus, car, tram\.$"
    )
    with pytest.raises(WeightsError, match=message):
        load_weights(head(3), path, exact=True, classes={"thing_classes": ours})


def test_of_many_differences_five_are_named() -> None:
    theirs, ours = ([f"{name}{i}" for i in range(30)] for name in "ab")
    assert "class 4 is 'a4', not 'b4' and 25 more)" in difference(theirs, ours)
    assert difference(theirs[:1], ours[:2]) == "1 (a0) in place of 2 (b0, b1)"


def test_the_last_layers_for_other_classes_are_not_gone_on_from(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source, target = head(3), head(3)
    before = {name: value.clone() for name, value in target.state_dict().items()}
    path = kept(tmp_path / "a.pth", source, THREE)
    with caplog.at_level(logging.WARNING, logger="bdd100k_d2"):
        load_weights(target, path, classes={"thing_classes": ["a", "b", "c"]})
    found, theirs = target.state_dict(), source.state_dict()
    # The boxes are for all classes together.
    assert all(torch.equal(value, (before if "cls_score" in name else theirs)[name]) for name, value in found.items())
    assert [one.getMessage() for one in caplog.records if one.name.startswith("bdd100k_d2")] == [
        f"{path}: the classes are not those of the data sets, but others of the same number (class 0 is 'bus', not 'a';"
        " class 1 is 'car', not 'b'; class 2 is 'tram', not 'c'). 2 tensors of the last layers stay as initialised: "
        "box_predictor.cls_score.weight, box_predictor.cls_score.bias."
    ]


def test_the_last_layers_of_the_same_classes_in_another_order_are_gone_on_from(tmp_path: Path) -> None:
    source, target = head(3), head(3)
    load_weights(target, kept(tmp_path / "a.pth", source, THREE), classes={"thing_classes": ORDER})
    scores = source.state_dict()["box_predictor.cls_score.weight"]
    assert torch.equal(target.state_dict()["box_predictor.cls_score.weight"], scores[[1, 0, 2, 3]])


@pytest.mark.parametrize("names", [7, "bus", ["bus", 7, "car"], [], {"a": 1}])
def test_what_are_no_names_is_passed_over(tmp_path: Path, names: object) -> None:
    path = kept(tmp_path / "a.pth", head(3), names)
    load_weights(head(3), path, exact=True, classes={"thing_classes": ORDER})
    torch.save({"model": head(3).state_dict(), "classes": names}, path)
    load_weights(head(3), path, exact=True, classes={"thing_classes": ORDER})


@pytest.mark.parametrize(
    ("name", "keys", "kinds", "layers"),
    [
        (
            "det/faster_rcnn_R_50_FPN_1x",
            (),
            {"thing_classes": 10},
            {"roi_heads.box_predictor.cls_score", "roi_heads.box_predictor.bbox_pred"},
        ),
        (
            "det/cascade_rcnn_R_50_FPN_1x",
            (),
            {"thing_classes": 10},
            {f"roi_heads.box_predictor.{i}.cls_score" for i in range(3)},
        ),
        ("det/retinanet_R_50_FPN_1x", (), {"thing_classes": 10}, {"head.cls_score"}),
        ("det/atss_R_50_FPN_1x", (), {"thing_classes": 10}, {"head.cls_score"}),
        (
            "ins_seg/mask_rcnn_R_50_FPN_1x",
            ("MODEL.ROI_BOX_HEAD.CLS_AGNOSTIC_BBOX_REG", False),
            {"thing_classes": 8},
            {"roi_heads.box_predictor.cls_score", "roi_heads.box_predictor.bbox_pred", "roi_heads.mask_head.predictor"},
        ),
        (
            "ins_seg/mask_rcnn_R_50_FPN_1x",
            ("MODEL.ROI_BOX_HEAD.CLS_AGNOSTIC_BBOX_REG", True, "MODEL.ROI_MASK_HEAD.CLS_AGNOSTIC_MASK", True),
            {"thing_classes": 8},
            {"roi_heads.box_predictor.cls_score"},
        ),
        ("sem_seg/semantic_fpn_R_50_40k", (), {"stuff_classes": 19}, {"sem_seg_head.predictor"}),
        (
            "sem_seg/pointrend_R_50_40k",
            (),
            {"stuff_classes": 19},
            {"sem_seg_head.coarse_sem_seg_head.predictor"}
            | {f"sem_seg_head.point_head.{name}" for name in ("fc1", "fc2", "fc3", "predictor")},
        ),
    ],
)
def test_the_layers_with_rows_for_each_class(
    name: str, keys: tuple[object, ...], kinds: dict[str, int], layers: set[str]
) -> None:
    cfg = bdd100k_d2.get_config(name)
    cfg.merge_from_list(["MODEL.DEVICE", "cpu", *keys])
    with torch.device("meta"):
        state = META_ARCH_REGISTRY.get(cfg.MODEL.META_ARCHITECTURE)(cfg).state_dict()
    shapes = {key: tuple(value.shape) for key, value in state.items()}
    assert {kind: number for kind, (_, number) in class_counts(shapes).items()} == kinds
    assert {key.rpartition(".")[0] for key in class_tensors(shapes, kinds)} == layers
    assert class_tensors(shapes, {"thing_classes", "stuff_classes"} - kinds.keys()) == []


@pytest.mark.parametrize("place", ["CLASSES", "dataset_meta"])
def test_names_that_openmmlab_states(tmp_path: Path, place: str) -> None:
    names = ("pedestrian", "rider", "car", "truck", "bus", "train", "motorcycle", "bicycle", "light", "sign")
    meta = {"CLASSES": names} if place == "CLASSES" else {"dataset_meta": {"classes": names}, "CLASSES": ("a",)}
    torch.save({"state_dict": trees.random_tensors(trees.faster_rcnn()), "meta": meta}, tmp_path / "mm.pth")
    path, target = str(tmp_path / "mm.pth"), build_model(small_detector())
    load_weights(target, path, exact=True, classes={"thing_classes": names})
    convert_file(path, tmp_path / "ours.pth")
    assert torch.load(tmp_path / "ours.pth", weights_only=True)["classes"] == {"thing_classes": [*names]}
    # There and back: mmdet passes over what stands there.
    convert_file(tmp_path / "ours.pth", tmp_path / "again.pth", to="mmdet")
    for one in (path, tmp_path / "ours.pth", tmp_path / "again.pth"):
        with pytest.raises(WeightsError, match=r"class 8 is 'light', not 'traffic light'"):
            load_weights(target, str(one), exact=True, classes={"thing_classes": TASKS["det"].names})


def test_names_that_are_not_as_many_as_the_heads_classes(tmp_path: Path) -> None:
    """Checkpoints of a backbone, or of a framework's default data set, state others."""
    torch.save(
        {"state_dict": trees.random_tensors(trees.faster_rcnn()), "meta": {"CLASSES": ("a", "b")}}, tmp_path / "mm.pth"
    )
    load_weights(
        build_model(small_detector()), str(tmp_path / "mm.pth"), True, classes={"thing_classes": TASKS["det"].names}
    )
    convert_file(tmp_path / "mm.pth", tmp_path / "ours.pth")
    assert "classes" not in torch.load(tmp_path / "ours.pth", weights_only=True)
