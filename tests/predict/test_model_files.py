"""Model files are predicted by the runtimes that their endings tell, and runs of them leave what runs of configs do."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from support import ROOT
from support.commands import run_tool
from support.frames import write_image
from support.model_files import BOXES, CLASSES, PANOPTIC, SCORES, expected, write_onnx, write_openvino, write_torch
from support.prediction_models import write_video

import bdd100k_d2
from bdd100k_d2.evaluation.array_instances import ArrayInstances
from bdd100k_d2.parallel import cores
from bdd100k_d2.predict.graph_outputs import output_names
from bdd100k_d2.predict.inputs import find_input
from bdd100k_d2.predict.openvino_session import openvino_core
from bdd100k_d2.predict.panoptic_merge import merge_panoptic
from bdd100k_d2.predict.run import PredictionRun, Summary
from bdd100k_d2.tasks import TASKS

WRITERS: dict[str, Callable[..., Path]] = {
    ".onnx": write_onnx,
    ".xml": write_openvino,
    ".torchscript": write_torch,
    ".pt2": write_torch,
}


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Five images of 160x96 in two folders."""
    for i in range(5):
        write_image(tmp_path / "in" / "ab"[i % 2] / f"{i}.png", seed=i)
    return tmp_path / "in"


@pytest.fixture
def frames() -> list[np.ndarray]:
    return [np.random.default_rng(i).integers(0, 256, (96, 160, 3), np.uint8) for i in range(5)]


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def outputs_of(output: dict, name: str) -> np.ndarray:
    fields = {"boxes": "pred_boxes", "scores": "scores", "classes": "pred_classes", "masks": "pred_masks"}
    return output["sem_seg"] if name == "sem_seg" else getattr(output["instances"], fields[name])


@pytest.mark.parametrize("ending", WRITERS)
@pytest.mark.parametrize("task", ["det", "ins_seg", "sem_seg", "pan_seg"])
@pytest.mark.filterwarnings("ignore:`torch.jit:FutureWarning", "ignore::DeprecationWarning")
def test_each_runtime_gives_what_the_graph_says(
    tmp_path: Path, frames: list[np.ndarray], ending: str, task: str
) -> None:
    path = WRITERS[ending](tmp_path / f"model{ending}", TASKS[task])
    predictor = bdd100k_d2.Predictor(path)
    results = [*predictor.stream(frames)]
    assert [result.frame is frame for result, frame in zip(results, frames, strict=True)] == [True] * 5
    for frame, result in zip(frames, results, strict=True):
        rgb = np.ascontiguousarray(frame[..., ::-1])[None]
        np.testing.assert_array_equal(result.image, rgb[0])
        for name in output_names(TASKS[task]):
            if name != "counts":
                found, wanted = outputs_of(result.output, name), expected(rgb, name)
                assert found.dtype == (np.int64 if name == "classes" else wanted.dtype)
                np.testing.assert_allclose(found, wanted[0] if name == "sem_seg" else wanted, rtol=1e-6)
        if task == "pan_seg":
            segments, infos = result.output["panoptic_seg"]
            wanted, wanted_infos = merge_panoptic(result.output["instances"], result.output["sem_seg"], PANOPTIC)
            np.testing.assert_array_equal(segments, wanted)
            assert infos == wanted_infos and infos
    single = predictor(frames[0])
    assert single.keys() == results[0].output.keys()


@pytest.mark.parametrize("ending", [".onnx", ".xml"])
def test_batches_and_sizes_that_change_give_what_frames_alone_give(tmp_path: Path, ending: str) -> None:
    random = np.random.default_rng(0)
    sizes = [(96, 160), (96, 160), (96, 160), (64, 80), (64, 80), (96, 160), (33, 47)]
    frames = [random.integers(0, 256, (*size, 3), np.uint8) for size in sizes]
    path = WRITERS[ending](tmp_path / f"model{ending}", TASKS["ins_seg"])
    alone, together = (
        [one.output["instances"] for one in bdd100k_d2.Predictor(path, batch_size=size).stream(frames)]
        for size in (1, 2)
    )
    for one, other, size in zip(alone, together, sizes, strict=True):
        assert isinstance(one, ArrayInstances) and one.image_size == other.image_size == size
        np.testing.assert_allclose(one.pred_boxes, other.pred_boxes, rtol=1e-6)
        np.testing.assert_array_equal(one.pred_masks, other.pred_masks)
        assert one.has("pred_masks") and len(one) == len(BOXES) and not one.has("proposal_boxes")


def test_a_graph_of_a_fixed_batch_is_filled_up(tmp_path: Path, frames: list[np.ndarray]) -> None:
    path = write_onnx(tmp_path / "model.onnx", batch=2, size=(96, 160))
    predictor = bdd100k_d2.Predictor(path)
    assert predictor.batch_size == 2
    found = [one.output["instances"].pred_boxes for one in predictor.stream(frames)]
    wanted = [expected(frame[None, ..., ::-1], "boxes") for frame in frames]
    np.testing.assert_allclose(np.stack(found), np.stack(wanted), rtol=1e-6)
    np.testing.assert_allclose(predictor(frames[3])["instances"].pred_boxes, wanted[3], rtol=1e-6)


def run(model: Path, source: Path, folder: Path, batch_size: int | None = None, **options: object) -> Summary:
    predictor = bdd100k_d2.Predictor(model, batch_size=batch_size)
    return PredictionRun(predictor.identity, find_input(str(source), folder), folder, **options).run(predictor)


def test_the_official_list_has_the_boxes_of_the_graph(tmp_path: Path, images: Path) -> None:
    summary = run(write_onnx(tmp_path / "model.onnx"), images, tmp_path / "out", min_score=0.5, batch_size=2)
    assert (summary.frames, summary.predicted, summary.unreadable) == (5, 5, {})
    found = json.loads((tmp_path / "out/det.json").read_bytes())
    assert [frame["name"] for frame in found] == ["0.png", "2.png", "4.png", "1.png", "3.png"]
    for frame in found:
        (path,) = images.rglob(frame["name"])
        boxes = expected(cv2.imread(str(path))[None], "boxes")[:2]
        for label, box, score, k in zip(frame["labels"], boxes, SCORES[:2], CLASSES[:2], strict=True):
            assert label["score"] == pytest.approx(score) and label["category"] == TASKS["det"].names[k]
            corners = [label["box2d"][key] for key in ("x1", "y1", "x2", "y2")]
            np.testing.assert_allclose(corners, box - (0, 0, 1, 1), rtol=1e-6)


@pytest.mark.parametrize("task", ["ins_seg", "sem_seg", "pan_seg", "drivable"])
def test_results_of_pixels_are_written_and_drawn(tmp_path: Path, images: Path, task: str) -> None:
    model = write_onnx(tmp_path / "model.onnx", TASKS[task])
    if task == "drivable":
        # It has three classes, and the tiny graph gives four.
        for path in images.rglob("*.png"):
            cv2.imwrite(str(path), cv2.imread(str(path)) // 2)
    summary = run(model, images, tmp_path / "out", overlay=True)
    found = contents(tmp_path / "out")
    folder = TASKS[task].result_folder
    assert sum(name.startswith(f"{folder}/") for name in found) == 5
    assert sum(name.startswith("overlays/") for name in found) == 5 and len(summary.files) == 2 + (task == "ins_seg")
    if TASKS[task].form == "masks":
        ids = cv2.imread(str(tmp_path / f"out/{folder}/1.png"), cv2.IMREAD_UNCHANGED)
        rgb = cv2.imread(str(images / "b/1.png"))[None, ..., ::-1]
        np.testing.assert_array_equal(ids, expected(rgb, "sem_seg")[0])


@pytest.mark.parametrize("batch_size", [1, 2])
def test_a_run_that_goes_on_leaves_the_same_files(tmp_path: Path, images: Path, batch_size: int) -> None:
    model = write_onnx(tmp_path / "model.onnx", TASKS["ins_seg"])
    run(model, images, tmp_path / "whole", batch_size, overlay=True)
    run(model, images, tmp_path / "out", batch_size, overlay=True, limit=3)
    summary = run(model, images, tmp_path / "out", batch_size, overlay=True, resume=True)
    # The last of three frames was alone in its batch.
    assert (summary.frames, summary.predicted) == (5, 1 + batch_size)
    found, whole = contents(tmp_path / "out"), contents(tmp_path / "whole")
    found.pop("frames.jsonl"), whole.pop("frames.jsonl")
    assert found == whole and len(found) == 11


def test_the_command_predicts_a_file(tmp_path: Path, images: Path) -> None:
    model = write_onnx(tmp_path / "model.onnx")
    common = ("--model", model, "--input", images, "--output", tmp_path / "out", "--classes", "car,pedestrian")
    done = run_tool("predict", *common, "--overlay", "--threads", 1, "--batch-size", 2)
    assert (done.returncode, done.stderr) == (0, "") and "5 frames (5 now" in done.stdout
    names = {
        label["category"] for one in json.loads((tmp_path / "out/det.json").read_bytes()) for label in one["labels"]
    }
    assert names == {"car", "pedestrian"} and len([*(tmp_path / "out/overlays").iterdir()]) == 5
    done = run_tool("predict", *common, "--overlay", "--resume", "--batch-size", 2)
    assert (done.returncode, done.stdout.partition(",")[0]) == (0, "5 frames (0 now")
    # Another file of the same name is another model.
    write_onnx(model, classes=(0, 1, 2))
    done = run_tool("predict", *common, "--overlay", "--resume", "--batch-size", 2)
    assert done.returncode == 1 and "the run had weights " in done.stderr and "model.onnx, " in done.stderr


def test_the_command_predicts_a_video(tmp_path: Path) -> None:
    video = write_video(tmp_path / "drive.mp4", 6)
    model = write_onnx(tmp_path / "model.onnx", TASKS["sem_seg"], size=(96, 160))
    done = run_tool("predict", "--model", model, "--input", video, "--output", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert len([*(tmp_path / "out/masks").iterdir()]) == 6
    assert cv2.VideoCapture(str(tmp_path / "out/drive.mp4")).get(cv2.CAP_PROP_FRAME_COUNT) == 6


def test_the_classes_and_colours_are_those_of_the_card(tmp_path: Path, images: Path) -> None:
    task = TASKS["det"].with_names(["cat", "dog", "cow"], [(9, 8, 7), (6, 5, 4), (3, 2, 1)])
    predictor = bdd100k_d2.Predictor(write_onnx(tmp_path / "model.onnx", task))
    assert predictor.identity.task == task and predictor.identity.config == "tests/tiny"
    PredictionRun(predictor.identity, find_input(str(images)), tmp_path / "out").run(predictor)
    labels = json.loads((tmp_path / "out/det.json").read_bytes())[0]["labels"]
    assert [label["category"] for label in labels] == ["cow", "cat", "dog"]
    with pytest.raises(AttributeError, match="cfg"):
        _ = predictor.cfg


def test_threads_and_precision_are_what_is_asked_for(tmp_path: Path) -> None:
    path = write_onnx(tmp_path / "model.onnx")
    for threads, expected_threads in ((None, cores()), (1, 1)):
        session = bdd100k_d2.Predictor(path, threads=threads).runtime._session._session
        assert session.get_session_options().intra_op_num_threads == expected_threads
    path = write_openvino(tmp_path / "model.xml")
    can = "BF16" in openvino_core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    for amp, precision in ((False, "f32"), (True, "bf16" if can else "f32")):
        model = bdd100k_d2.Predictor(path, threads=1, amp=amp).runtime._session._model
        assert model.get_property("INFERENCE_NUM_THREADS") == 1
        assert model.get_property("INFERENCE_PRECISION_HINT").to_string() == precision


def test_a_signal_after_openvino_files_were_closed_ends_nothing(tmp_path: Path) -> None:
    paths = [str(write_openvino(tmp_path / f"{name}.xml")) for name in "abc"]
    # In the order in which they were opened, and in another thread: each alone was enough.
    code = f"""
import os, signal, threading
from bdd100k_d2 import Predictor
signal.signal(signal.SIGUSR1, lambda *_: print("told"))
opened = [Predictor(path) for path in {paths}]
opened.pop(0), opened.pop(0)
thread = threading.Thread(target=opened.clear)
thread.start(), thread.join()
os.kill(os.getpid(), signal.SIGUSR1)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT)
    assert (done.returncode, done.stdout) == (0, "told\n"), done.stderr


def test_openvino_tells_nobody_of_its_import() -> None:
    code = (
        "import sys; from bdd100k_d2.predict.openvino_session import import_openvino;"
        "print(import_openvino().__name__, 'openvino_telemetry' in sys.modules,"
        "sys.modules['openvino.tools.ovc.telemetry_utils'].tm.__name__)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.stdout.split() == ["openvino", "False", "openvino.tools.ovc.telemetry_stub"], done.stderr


@pytest.mark.parametrize(("ending", "is_part"), [(".onnx", False), (".xml", True)])
def test_the_bin_beside_a_file_is_a_part_of_openvinos_alone(tmp_path: Path, ending: str, is_part: bool) -> None:
    """A file of another model of that name does not keep a run from going on."""
    path = WRITERS[ending](tmp_path / f"model{ending}")
    if not is_part:
        path.with_suffix(".bin").write_bytes(b"of an OpenVINO file of the same name")
    assert ("model.bin" in bdd100k_d2.Predictor(path).identity.weights) is is_part


def test_each_format_is_known_to_all_who_need_it() -> None:
    from bdd100k_d2.export.readme import _PYTHON
    from bdd100k_d2.predict.model_file import _OPENERS
    from bdd100k_d2.predict.model_formats import BY_ENDING, FORMATS

    assert {*_OPENERS} == {*_PYTHON} == {*FORMATS} and {*BY_ENDING} == {*WRITERS}


@pytest.mark.parametrize("odd", ["0.png", "2.png", "9.png"])
def test_a_frame_that_the_graph_fails_on_is_named_and_the_run_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, odd: str
) -> None:
    from bdd100k_d2.predict.onnx_session import OnnxSession

    for name in {"0.png", "2.png", "9.png"} - {odd}:
        write_image(tmp_path / "in" / name)
    write_image(tmp_path / "in" / odd, 300, 2)
    whole = OnnxSession.run

    def fails(self: OnnxSession, images: np.ndarray, names: list[str]) -> list[np.ndarray]:
        if images.shape[2] == 2:
            raise RuntimeError("no such tile")
        return whole(self, images, names)

    monkeypatch.setattr(OnnxSession, "run", fails)
    model = write_onnx(tmp_path / "model.onnx")
    summary = run(model, tmp_path / "in", tmp_path / "out")
    assert summary.frames == 2 and [*summary.unreadable] == [odd]
    assert f"{odd}: " in summary.unreadable[odd]
    assert "model.onnx: cannot be run on images of 300x2, 1 at a time (no such tile)" in summary.unreadable[odd]


def test_a_model_that_fails_on_all_frames_ends_the_run(
    tmp_path: Path, images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bdd100k_d2.errors import WeightsError
    from bdd100k_d2.predict.onnx_session import OnnxSession

    def fails(*_: object) -> None:
        raise RuntimeError("broken")

    monkeypatch.setattr(OnnxSession, "run", fails)
    write_image(images / "5.png")
    model = write_onnx(tmp_path / "model.onnx")
    with pytest.raises(WeightsError, match=r"model\.onnx: cannot be run on images of 96x160, 1 at a time \(broken\)"):
        run(model, images, tmp_path / "out")
