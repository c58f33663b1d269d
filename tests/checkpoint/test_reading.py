"""Files of weights are read whoever wrote them, and nothing in them runs."""

import os
import pickle
import sys
import types
from collections import Counter, OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch
from support.processes import in_processes

from bdd100k_d2.checkpoint.pickles import ALLOWED
from bdd100k_d2.checkpoint.reading import read_checkpoint
from bdd100k_d2.errors import WeightsError

FORMATS = ["zip", "legacy", "pickle"]


def write(path: Path, content: object, form: str) -> Path:
    if form == "pickle":
        path.write_bytes(pickle.dumps(content, protocol=2))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=form == "zip")
    return path


def tensors() -> dict[str, torch.Tensor]:
    return OrderedDict(weight=torch.arange(6.0).reshape(2, 3), bias=torch.ones(2, dtype=torch.float16))


@pytest.mark.parametrize("form", ["zip", "legacy"])
@pytest.mark.parametrize("name", ["a.pth", "a.ckpt", "a.pkl", "a"])
def test_pytorchs_files_by_content_not_by_name(tmp_path: Path, form: str, name: str) -> None:
    content = read_checkpoint(write(tmp_path / name, {"state_dict": tensors(), "epoch": 12}, form))
    assert content["epoch"] == 12
    assert all(torch.equal(content["state_dict"][key], value) for key, value in tensors().items())


@pytest.mark.parametrize("protocol", range(2, 6))
def test_pickled_arrays(tmp_path: Path, protocol: int) -> None:
    arrays = {"conv1_w": np.arange(6, dtype=np.float32).reshape(2, 3), "none": np.zeros((0, 2))}
    (tmp_path / "a.pkl").write_bytes(pickle.dumps({"model": arrays, "__author__": "x"}, protocol=protocol))
    content = read_checkpoint(tmp_path / "a.pkl")
    assert content["__author__"] == "x"
    for key, value in arrays.items():
        np.testing.assert_array_equal(content["model"][key], value)
        assert content["model"][key].dtype == value.dtype


@pytest.mark.parametrize("form", FORMATS)
def test_plain_and_numpy_values_beside_the_tensors(tmp_path: Path, form: str) -> None:
    meta = {
        "CLASSES": ("car", "bus"),
        "PALETTE": [[1, 2, 3], np.array([4, 5, 6], np.uint8)],
        "mmdet_version": "2.19.0",
        "seed": None,
        "hook_msgs": {"best_score": np.float64(0.31), "iterations": np.int64(5), "flag": np.bool_(True)},
        "names": np.array(["a", "bc"]),
        "single": np.arange(3, dtype=">f4"),
    }
    if form != "pickle":
        meta["milestones"] = Counter({8: 1, 11: 1})
    read = read_checkpoint(write(tmp_path / "a.pth", {"meta": meta}, form))["meta"]
    assert read["CLASSES"] == ("car", "bus") and read["hook_msgs"] == meta["hook_msgs"] and read["seed"] is None
    assert [list(colour) for colour in read["PALETTE"]] == [[1, 2, 3], [4, 5, 6]]
    assert read["names"].tolist() == ["a", "bc"] and read["single"].tolist() == [0, 1, 2]
    assert read.get("milestones") == meta.get("milestones")


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize(("old", "new"), [(b"numpy._core", b"numpy.core"), (b"numpy.core", b"numpy._core")])
def test_arrays_of_either_numpy(tmp_path: Path, form: str, old: bytes, new: bytes) -> None:
    path = write(tmp_path / "a.pth", {"meta": {"x": np.arange(3.0), "y": np.float32(2)}}, "pickle")
    data = path.read_bytes()
    assert (old in data) or (new in data)
    if form == "pickle":
        path.write_bytes(data.replace(old, new))
        read = read_checkpoint(path)
    else:
        # PyTorch's own reader takes a pickle of the old format between the number and the storages.
        legacy = write(tmp_path / "b.pth", {"meta": {"x": np.arange(3.0), "y": np.float32(2)}}, "legacy")
        legacy.write_bytes(legacy.read_bytes().replace(old, new))
        read = read_checkpoint(legacy)
    assert read["meta"]["x"].tolist() == [0, 1, 2] and read["meta"]["y"] == 2


@pytest.fixture
def mmengine(monkeypatch: pytest.MonkeyPatch) -> type:
    """mmengine's record of losses as it is pickled: arrays, and its methods by getattr."""
    package, logging, module = (
        types.ModuleType(f"mmengine{name}") for name in ("", ".logging", ".logging.history_buffer")
    )

    class HistoryBuffer:
        methods: dict = {}  # noqa: RUF012, as in mmengine

        def __init__(self) -> None:
            self._log_history = np.array([0.5, 0.25])
            self.methods.update(min=HistoryBuffer.min)

        def min(self) -> float:
            return self._log_history.min()

        def __getstate__(self) -> dict:
            return self.__dict__ | {"statistics_methods": self.methods}

    HistoryBuffer.__module__, HistoryBuffer.__qualname__ = module.__name__, "HistoryBuffer"
    HistoryBuffer.min.__module__, HistoryBuffer.min.__qualname__ = module.__name__, "HistoryBuffer.min"
    module.HistoryBuffer = HistoryBuffer
    package.logging, logging.history_buffer = logging, module
    for one in (package, logging, module):
        monkeypatch.setitem(sys.modules, one.__name__, one)
    return HistoryBuffer


@pytest.mark.parametrize("form", FORMATS)
def test_mmengines_records_are_read_without_mmengine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mmengine: type, form: str
) -> None:
    hub = {"log_scalars": OrderedDict({"train/loss": mmengine()}), "runtime_info": {"eta": np.float64(0)}}
    content = {"meta": {"epoch": 12}, "state_dict": tensors() if form != "pickle" else {}, "message_hub": hub}
    path = write(tmp_path / "epoch_12.pth", content, form)
    assert b"getattr" in path.read_bytes()
    for name in [name for name in sys.modules if name.split(".")[0] == "mmengine"]:
        monkeypatch.delitem(sys.modules, name)
    read = read_checkpoint(path)
    assert read["meta"] == {"epoch": 12} and read["state_dict"].keys() == content["state_dict"].keys()
    assert vars(read["message_hub"]["log_scalars"]["train/loss"]) == {}
    assert not [name for name in sys.modules if name.split(".")[0] == "mmengine"]


class Runs:
    """Pickles a call."""

    def __init__(self, function: object, *arguments: object) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple:
        return self.call


class Hyperparameters:
    """A class that a training script may have put beside the tensors."""


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("function", ["system", "eval", "getattr", "touch"])
def test_a_pickle_that_wants_to_run_code_is_refused_and_named(tmp_path: Path, form: str, function: str) -> None:
    trace = tmp_path / "was_here"
    calls = {
        "system": (Runs(os.system, f"touch {trace}"), r"posix\.system,"),
        "eval": (Runs(eval, f"open({str(trace)!r}, 'w')"), r"builtins\.eval,"),
        # By getattr a pickle could take any function from what it may name.
        "getattr": (Runs(getattr, np.ndarray, "tofile"), r"builtins\.getattr,"),
        "touch": (Runs(Path.touch, trace), r"(builtins\.getattr|pathlib\.\S+),"),
    }
    call, name = calls[function]
    path = write(tmp_path / "a.pth", {"state_dict": {}, "meta": call}, form)
    with pytest.raises(
        WeightsError, match=rf"^{path}: refused, because reading it would run {name} .*save the tensors"
    ):
        read_checkpoint(path)
    assert not trace.exists()


@pytest.mark.parametrize("form", FORMATS)
def test_lightnings_hyperparameters_of_an_unknown_class_are_refused_by_name(tmp_path: Path, form: str) -> None:
    plain = {"lr": 0.02, "milestones": [8, 11], "name": "faster_rcnn", "size": (720, 1280)}
    content = {"state_dict": {}, "pytorch-lightning_version": "2.1.0", "hyper_parameters": plain}
    assert read_checkpoint(write(tmp_path / "a.ckpt", content, form)) == content
    content["hyper_parameters"] = {"config": Hyperparameters()}
    path = write(tmp_path / "b.ckpt", content, form)
    with pytest.raises(WeightsError, match=r"b\.ckpt: refused, because .*test_reading\.Hyperparameters"):
        read_checkpoint(path)


def test_nothing_that_runs_code_is_allowed() -> None:
    modules = {name.split(".")[0] for name in ALLOWED}
    assert modules == {"_codecs", "builtins", "collections", "mmengine", "numpy"}
    assert {name for name in ALLOWED if name.startswith("builtins")} == {"builtins.bytes", "builtins.getattr"}
    assert ALLOWED["builtins.getattr"] is not getattr
    # NumPy's own would take from the file what is an object and where it lies.
    assert all("numpy" not in (value.__module__ or "") for value in ALLOWED.values())


class Called:
    """Pickles as a call of what has this name, and a state for what it returns."""

    def __init__(self, name: str, *arguments: object, state: object = None) -> None:
        module, _, attribute = name.rpartition(".")
        self.function = getattr(__import__(module, fromlist=[attribute]), attribute)
        self.arguments, self.state = arguments, state

    def __reduce__(self) -> tuple:
        return self.function, self.arguments, *((self.state,) if self.state is not None else ())


# Objects whose flags say that they are plain bytes, bytes with a field of objects, and pairs of objects.
OBJECTS = ("O8", False, True), (3, "|", None, None, None, -1, -1, 0)
FIELDS = ("S8", False, True), (3, "|", None, ("a",), {"a": (np.dtype(float), 0)}, 8, 1, 16)
SUBARRAY = ("S8", False, True), (3, "|", (np.dtype(float), (1,)), None, None, -1, -1, 0)


def expect_no_dtype(path: Path) -> None:
    with pytest.raises(WeightsError, match="refused, because reading it would run numpy.dtype"):
        read_checkpoint(path)


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize(("arguments", "state"), [OBJECTS, FIELDS, SUBARRAY], ids=["objects", "fields", "subarray"])
def test_no_bytes_become_objects(tmp_path: Path, form: str, arguments: tuple, state: tuple) -> None:
    dtype = Called("numpy.dtype", *arguments, state=state)
    scalar = "numpy.core.multiarray.scalar" if np.__version__ < "2" else "numpy._core.multiarray.scalar"
    path = write(tmp_path / "a.pth", {"model": Called(scalar, dtype, b"AAAAAAAA")}, form)
    # In a process of its own: reading it by NumPy's own dtype ends the process.
    in_processes(1, expect_no_dtype, path)


@pytest.mark.parametrize("name", ["a.pth", "a.pkl", "a.ckpt"])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"an empty file, not weights\. Fetch"),
        (b"<!DOCTYPE html><html>not found</html>", r"a web page, not weights; the link .* is dead .* by hand"),
        (b'\xef\xbb\xbf\n <?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>', r"a web page, not weights"),
        (b"PK\x03\x04 cut off", r"not a checkpoint, or a damaged one \(.*Fetch or write it again"),
        (b"404: Not Found", r"not a checkpoint, or a damaged one \(.*Fetch or write it again"),
        (pickle.dumps([1, 2]), r"not a checkpoint; it holds a list, not tensors by name"),
    ],
)
def test_files_that_are_no_weights(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(WeightsError, match=rf"^{tmp_path / name}: {message}"):
        read_checkpoint(tmp_path / name)
    with pytest.raises(WeightsError, match=rf"^bdd100k://x: {message}"):
        read_checkpoint(tmp_path / name, "bdd100k://x")


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("share", [0.02, 0.5, 0.9, 0.999])
def test_a_file_that_was_cut_off(tmp_path: Path, form: str, share: float) -> None:
    content = {f"layer{i}.weight": torch.ones(50) if form != "pickle" else np.ones(50) for i in range(40)}
    path = write(tmp_path / "a.pth", content, form)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(WeightsError, match=r"a\.pth: not a checkpoint, or a damaged one \(.*\)\. Fetch or write it ag"):
        read_checkpoint(path)


def test_folders_and_files_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=rf"^{tmp_path}: a folder, not a file of weights"):
        read_checkpoint(tmp_path)
    with pytest.raises(WeightsError, match=r"a\.pth: no such file of weights; check the path"):
        read_checkpoint(tmp_path / "a.pth")
