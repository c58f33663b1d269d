"""What is wrong with a model file, or with what is asked of it, is said in one sentence with its remedy."""

import importlib.abc
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from support.commands import run_tool
from support.frames import write_image
from support.model_files import BOXES, card, write_onnx, write_openvino, write_torch

import bdd100k_d2
from bdd100k_d2.errors import ConfigError, DataError, FrameSizeError, MissingRuntimeError, WeightsError
from bdd100k_d2.export.openvino_file import save_openvino
from bdd100k_d2.predict.inputs import find_input
from bdd100k_d2.predict.model_file import told_task
from bdd100k_d2.predict.openvino_session import openvino_core
from bdd100k_d2.predict.run import PredictionRun
from bdd100k_d2.tasks import TASKS

SMALL = np.zeros((33, 47, 3), np.uint8)
WRITERS: dict[str, Callable[..., Path]] = {
    "onnx": write_onnx,
    "xml": write_openvino,
    "torchscript": write_torch,
    "pt2": write_torch,
}
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit:FutureWarning", "ignore::DeprecationWarning")


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"model\.onnx: the model file cannot be read \(No such file"):
        bdd100k_d2.Predictor(str(tmp_path / "model.onnx"))
    (tmp_path / "model.onnx").mkdir()
    with pytest.raises(WeightsError, match=r"model\.onnx: the model file cannot be read \(it is no file\)"):
        bdd100k_d2.Predictor(tmp_path / "model.onnx")
    for name in ("model.engine", "model.pth", "model"):
        (tmp_path / name).write_bytes(b"something")
        with pytest.raises(
            ConfigError, match=rf"{name}: no model file by its ending; known are \.onnx, \.xml, \.torch"
        ):
            bdd100k_d2.Predictor(str(tmp_path / name))
    for ending in WRITERS:
        path = tmp_path / f"empty.{ending}"
        path.write_bytes(b"")
        with pytest.raises(WeightsError, match="the file is empty; copy it again"):
            bdd100k_d2.Predictor(path)


@pytest.mark.parametrize("ending", WRITERS)
@pytest.mark.parametrize("damage", ["cut", "other"])
def test_damaged_files(tmp_path: Path, ending: str, damage: str) -> None:
    path = WRITERS[ending](tmp_path / f"model.{ending}")
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2] if damage == "cut" else b"<html>404</html>")
    with pytest.raises(WeightsError, match=rf"model\.{ending}: .* cannot load it .*opy .* again"):
        bdd100k_d2.Predictor(path)


@pytest.mark.parametrize("ending", ["torchscript", "pt2"])
def test_a_changed_byte_of_the_weights_is_found(tmp_path: Path, ending: str) -> None:
    path = write_torch(tmp_path / f"model.{ending}")
    content = bytearray(path.read_bytes())
    content[content.index(BOXES.tobytes()) + 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(WeightsError, match="in it is damaged"):
        bdd100k_d2.Predictor(path)


def test_openvino_needs_both_files(tmp_path: Path) -> None:
    path = write_openvino(tmp_path / "model.xml")
    path.with_suffix(".bin").unlink()
    with pytest.raises(WeightsError, match=r"model\.bin: is missing; it has the weights of model\.xml, copy both"):
        bdd100k_d2.Predictor(path)


def test_openvino_notices_the_weights_of_another_model(tmp_path: Path) -> None:
    for name in ("a", "b"):
        source = write_onnx(tmp_path / f"{name}.onnx", classes=(0, 1, 2 if name == "a" else 3))
        save_openvino(openvino_core().read_model(source), tmp_path / f"{name}.xml", card())
        assert len(bdd100k_d2.Predictor(tmp_path / f"{name}.xml")(SMALL)["instances"]) == 3
    assert (tmp_path / "a.bin").stat().st_size == (tmp_path / "b.bin").stat().st_size
    (tmp_path / "b.bin").replace(tmp_path / "a.bin")
    with pytest.raises(WeightsError, match=r"a\.bin: is not the one that was written with a\.xml, or is damaged; copy"):
        bdd100k_d2.Predictor(tmp_path / "a.xml")


def test_a_card_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="its metadata 'bdd100k_d2' is no card of a model"):
        bdd100k_d2.Predictor(write_onnx(tmp_path / "model.onnx", text="{}"))


def test_a_file_without_a_card_needs_its_task(tmp_path: Path) -> None:
    path = write_onnx(tmp_path / "model.onnx", text=None, size=(96, 160), batch=2)
    with pytest.raises(ConfigError, match=r"has no metadata 'bdd100k_d2', .*; give its --task \(det, .*--class-names"):
        bdd100k_d2.Predictor(path)
    predictor = bdd100k_d2.Predictor(path, task=told_task("det", ["a", "b", "c"]))
    assert predictor.identity.task.names == ("a", "b", "c") and predictor.batch_size == 2
    with pytest.raises(FrameSizeError, match="the image is 33x47, and .* takes 96x160 alone"):
        predictor(SMALL)
    assert len(predictor(np.zeros((96, 160, 3), np.uint8))["instances"]) == 3
    with pytest.raises(
        WeightsError, match=r"gives class 2 \(counted from 0\), but has 2 classes by what is known of it"
    ):
        bdd100k_d2.Predictor(path, task=told_task("det", ["a", "b"]))(np.zeros((96, 160, 3), np.uint8))


def test_what_is_told_may_not_differ_from_the_card(tmp_path: Path) -> None:
    path = write_onnx(tmp_path / "model.onnx")
    assert bdd100k_d2.Predictor(path, task=TASKS["det"]).identity.task is TASKS["det"]
    with pytest.raises(ConfigError, match="is of det with the classes pedestrian, .*, not of ins_seg with"):
        bdd100k_d2.Predictor(path, task=TASKS["ins_seg"])


def test_what_is_taken_of_a_file_without_a_card_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = write_onnx(tmp_path / "model.onnx", text=None)
    with caplog.at_level("INFO", "bdd100k_d2"):
        predictor = bdd100k_d2.Predictor(path, task=told_task("det", None))
    assert "the classes are taken to be BDD100K's: pedestrian, rider, car," in caplog.text
    assert "; --class-names tells others." in caplog.text
    for name in ("cfg", "model", "metadata"):
        with pytest.raises(AttributeError, match=r"model\.onnx: a model file has no cfg, model or metadata, which are"):
            getattr(predictor, name)


def test_a_score_below_what_the_file_gives_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_image(tmp_path / "in" / "0.jpg")
    model = bdd100k_d2.Predictor(write_onnx(tmp_path / "model.onnx")).identity
    for score in (0.05, 0.01):
        assert "--score-thr" not in caplog.text
        PredictionRun(model, find_input(str(tmp_path / "in")), tmp_path / "out", min_score=score)
    assert "--score-thr 0.01: the file gives no detections below 0.05; export it with a lower" in caplog.text


@pytest.mark.parametrize(
    ("task", "names", "message"),
    [
        (None, ["a"], "--class-names: they are of a task; give its --task too"),
        ("boxes", None, "--task: there is no 'boxes'; there are det, sem_seg"),
        ("pan_seg", ["a"], "--class-names: which classes of pan_seg are things no list of names says"),
        ("det", ["a", "a"], "--class-names: a stands twice"),
    ],
)
def test_what_is_told_has_to_be_possible(task: str | None, names: list[str] | None, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        told_task(task, names)


@pytest.mark.parametrize(
    ("fields", "task", "message"),
    [
        (
            {"names": ("sem_seg",)},
            "det",
            "has no output boxes and no scores and no classes and no counts, which det needs",
        ),
        (
            {"names": ("boxes", "scores", "classes", "counts")},
            "ins_seg",
            "has no output masks, which ins_seg needs; it",
        ),
        ({"dtype": "FLOAT"}, "det", r"takes float \(any, any, any, 3\); its input has to be uint8 \(images, height,"),
    ],
)
def test_graphs_that_do_not_fit(tmp_path: Path, fields: dict, task: str, message: str) -> None:
    path = write_onnx(tmp_path / "model.onnx", text=None, **fields)
    with pytest.raises(ConfigError, match=message):
        bdd100k_d2.Predictor(path, task=TASKS[task])


def test_sizes_and_batches_that_a_fixed_graph_cannot_take(tmp_path: Path) -> None:
    path = write_onnx(tmp_path / "model.onnx", size=(96, 160), batch=2)
    with pytest.raises(ConfigError, match=r"model\.onnx: takes batches of 2, not of 8; leave the batch size out"):
        bdd100k_d2.Predictor(path, batch_size=8)
    predictor = bdd100k_d2.Predictor(path, batch_size=2)
    message = (
        r"a frame: the image is 33x47, and .*model\.onnx takes 96x160 alone, height by width; resize the "
        r"images, or export the model with --size 33x47, or with --size dynamic where it can"
    )
    with pytest.raises(FrameSizeError, match=message):
        predictor(SMALL)
    failed = []
    assert len([*predictor.stream([SMALL, np.zeros((96, 160, 3), np.uint8)], lambda *one: failed.append(one))]) == 1
    assert failed[0][0] is SMALL


def test_a_graph_that_belies_its_card_is_refused_by_name(tmp_path: Path) -> None:
    """It would be taken for a graph of any size."""
    path = write_onnx(tmp_path / "model.onnx", text=card().to_json(), size=(96, 160))
    with pytest.raises(
        WeightsError, match=r"model\.onnx: cannot be run on images of 33x47, 1 at a time \(.*; try fewer"
    ):
        bdd100k_d2.Predictor(path)(SMALL)


def test_outputs_that_are_not_of_the_images(tmp_path: Path) -> None:
    task = TASKS["det"].with_names(["a", "b", "c"])
    found = bdd100k_d2.Predictor(write_onnx(tmp_path / "model.onnx", task, classes=(0, 3, 1)))
    with pytest.raises(WeightsError, match="gives class 3"):
        found(SMALL)
    with pytest.raises(WeightsError, match="gives class -1"):
        bdd100k_d2.Predictor(write_onnx(tmp_path / "model.onnx", task, classes=(0, -1, 1)))(SMALL)
    with pytest.raises(WeightsError, match=r"its output classes is int64 \(2,\) for images \(1, 33, 47, 3\)"):
        bdd100k_d2.Predictor(write_onnx(tmp_path / "model.onnx", task, classes=(0, 1)))(SMALL)
    three = TASKS["sem_seg"].with_names(["a", "b", "c"])
    with pytest.raises(WeightsError, match="gives class 3"):
        bdd100k_d2.Predictor(write_onnx(tmp_path / "model.onnx", three))(np.full_like(SMALL, 255))


class _Without(importlib.abc.MetaPathFinder):
    """Finds nothing of a package that is not installed."""

    def __init__(self, name: str) -> None:
        self.name = name

    def find_spec(self, name: str, *_: object) -> None:
        if name == self.name:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


@pytest.mark.parametrize(
    ("ending", "package", "session", "pip"),
    [
        ("onnx", "onnxruntime", "onnx_session", "pip install onnxruntime"),
        ("xml", "openvino", "openvino_session", "pip install openvino"),
        ("pt2", "torchvision", "torch_session", "pip install torch torchvision"),
    ],
)
def test_a_runtime_that_is_not_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str, package: str, session: str, pip: str
) -> None:
    (tmp_path / f"model.{ending}").write_bytes(b"something")
    (tmp_path / "model.bin").write_bytes(b"something")
    monkeypatch.delitem(sys.modules, package, raising=False)
    monkeypatch.delitem(sys.modules, f"bdd100k_d2.predict.{session}", raising=False)
    monkeypatch.setattr(sys, "meta_path", [_Without(package), *sys.meta_path])
    with pytest.raises(MissingRuntimeError, match=rf"is run by {package}, which is not installed; .* with: {pip}$"):
        bdd100k_d2.Predictor(tmp_path / f"model.{ending}")


@pytest.mark.parametrize("ending", ["onnx", "torchscript"])
def test_mixed_precision_is_the_files(tmp_path: Path, ending: str) -> None:
    with pytest.raises(ConfigError, match=r"computes in the precision of the file; leave --amp out"):
        bdd100k_d2.Predictor(WRITERS[ending](tmp_path / f"model.{ending}"), amp=True)


def test_the_command_refuses_at_once_what_the_model_cannot_take(tmp_path: Path) -> None:
    for i, height in enumerate((64, 96, 96)):
        write_image(tmp_path / "in" / f"{i}.jpg", height, seed=i)
    model, out = write_onnx(tmp_path / "model.onnx", size=(96, 160)), tmp_path / "out"
    common = ("--model", model, "--output", out)
    done = run_tool("predict", *common, "--input", tmp_path / "in")
    assert done.returncode == 1 and "0.jpg: the image is 64x160, and" in done.stderr
    assert not (out / "det.json").exists()
    # One among others is left out and named, and the others stay.
    (tmp_path / "in/0.jpg").rename(tmp_path / "in/9.jpg")
    done = run_tool("predict", *common, "--input", tmp_path / "in")
    assert done.returncode == 3 and "9.jpg: the image is 64x160, and" in done.stderr
    assert "2 frames (2 now" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--model", "{model}", "MODEL.DEVICE", "cpu"), "MODEL.DEVICE: a --model has no config whose keys could be"),
        (("--model", "{model}", "--config-file", "a.yaml"), "not allowed with argument --model"),
        (("--config-file", "a.yaml", "--task", "det"), "--task and --class-names are of a --model"),
        ((), "one of the arguments --config-file --model is required"),
        (("--model", "{model}", "--classes", "cat"), "--classes: det has no class 'cat'"),
        (("--model", "{model}.pth"), "model.onnx.pth: no model file by its ending"),
    ],
)
def test_arguments_that_do_not_go_together(tmp_path: Path, arguments: tuple[str, ...], message: str) -> None:
    write_image(tmp_path / "in" / "0.jpg")
    model = write_onnx(tmp_path / "model.onnx")
    given = [one.format(model=model) for one in arguments]
    done = run_tool("predict", *given, "--input", tmp_path / "in", "--output", tmp_path / "out")
    assert done.returncode in (1, 2) and message in done.stderr
