"""`convert_file` and `tools/convert_weights.py`: what is written, and what is refused."""

import pickle
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest
import torch
from support import module_trees as trees
from support.commands import run_tool

from bdd100k_d2.checkpoint.convert import convert_file, convert_state
from bdd100k_d2.errors import OutputError, WeightsError


@pytest.fixture
def source(tmp_path: Path) -> Path:
    content = {"meta": {"epoch": 12}, "state_dict": trees.random_tensors(trees.faster_rcnn())}
    torch.save(content, tmp_path / "mmdet.pth")
    return tmp_path / "mmdet.pth"


def tool(*arguments: object) -> CompletedProcess[str]:
    return run_tool("convert_weights", *arguments)


def test_a_file_for_detectron2(source: Path, tmp_path: Path) -> None:
    converted = convert_file(source, tmp_path / "new" / "detectron2.pth")
    content = torch.load(tmp_path / "new" / "detectron2.pth", weights_only=True)
    assert content["__author__"] == converted.source == "mmdet Faster R-CNN"
    assert "matching_heuristics" not in content
    assert content["model"].keys() == converted.model.keys()
    assert all(torch.equal(content["model"][key], value) for key, value in converted.model.items())
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["detectron2.pth"]


def test_a_classifier_for_detectron2(tmp_path: Path) -> None:
    torch.save(trees.random_tensors(trees.resnet(depth=18)), tmp_path / "resnet18.pth")
    assert convert_file(tmp_path / "resnet18.pth", tmp_path / "R-18.pth").matching_heuristics
    assert torch.load(tmp_path / "R-18.pth", weights_only=True)["matching_heuristics"] is True


@pytest.mark.parametrize("shapes", [trees.faster_rcnn(), trees.semantic_fpn(group_norm=True)])
def test_a_file_for_mmdet(tmp_path: Path, shapes: trees.Shapes) -> None:
    state = trees.random_tensors(shapes)
    torch.save({"model": convert_state(state, "a.pth").model, "iteration": 9}, tmp_path / "model_final.pth")
    convert_file(tmp_path / "model_final.pth", tmp_path / "mm.pth", to="mmdet")
    content = torch.load(tmp_path / "mm.pth", weights_only=True)
    assert content.keys() == {"meta", "state_dict"}
    names = {key for key in state if not key.endswith("num_batches_tracked")}
    assert content["state_dict"].keys() == names
    assert all(torch.equal(content["state_dict"][key], state[key]) for key in names)


def test_a_destination_that_exists(source: Path, tmp_path: Path) -> None:
    destination = tmp_path / "a.pth"
    destination.write_bytes(b"precious")
    with pytest.raises(OutputError, match=rf"^{destination}: exists; choose another .* replace it with --overwrite"):
        convert_file(source, destination)
    assert destination.read_bytes() == b"precious"
    convert_file(source, destination, overwrite=True)
    assert torch.load(destination, weights_only=True)["__author__"] == "mmdet Faster R-CNN"


@pytest.mark.parametrize("overwrite", [False, True])
def test_the_source_is_never_written(source: Path, tmp_path: Path, overwrite: bool) -> None:
    before = source.read_bytes()
    (tmp_path / "link.pth").symlink_to(source)
    for destination in (source, tmp_path / "link.pth"):
        with pytest.raises(OutputError, match=r"is the file to convert; choose another destination"):
            convert_file(source, destination, overwrite=overwrite)
    assert source.read_bytes() == before


def test_destinations_that_cannot_be(source: Path, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=rf"^{tmp_path}: a folder; give the name of the file"):
        convert_file(source, tmp_path, overwrite=True)
    with pytest.raises(OutputError, match=r"a\.pkl: Detectron2 reads \.pkl as plain pickles; name .* \.pth"):
        convert_file(source, tmp_path / "a.pkl")
    with pytest.raises(OutputError, match=r"cannot be written"):
        convert_file(source, source / "a.pth")
    with pytest.raises(ValueError, match=r"caffe: convert to one of detectron2, mmdet"):
        convert_file(source, tmp_path / "a.pth", to="caffe")


def test_a_failed_conversion_leaves_what_was_there(tmp_path: Path) -> None:
    (tmp_path / "page.pth").write_text("<html>404</html>")
    (tmp_path / "old.pth").write_bytes(b"precious")
    with pytest.raises(WeightsError, match=r"page\.pth: a web page"):
        convert_file(tmp_path / "page.pth", tmp_path / "old.pth", overwrite=True)
    with pytest.raises(WeightsError, match=r"missing\.pth: no such file of weights"):
        convert_file(tmp_path / "missing.pth", tmp_path / "old.pth", overwrite=True)
    assert (tmp_path / "old.pth").read_bytes() == b"precious"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["old.pth", "page.pth"]


def test_the_tool_says_what_it_did(source: Path, tmp_path: Path) -> None:
    done = tool(source, tmp_path / "a.pth")
    assert done.returncode == 0, done.stderr
    assert done.stdout == (
        f"{source}: mmdet Faster R-CNN, 295 tensors used, 53 dropped (53 counters of batches)\n"
        f"{tmp_path / 'a.pth'}: written for detectron2\n"
    )
    done = tool(tmp_path / "a.pth", tmp_path / "b.pth", "--to", "mmdet")
    assert done.stdout.startswith(f"{tmp_path / 'a.pth'}: Detectron2 Faster R-CNN, 295 tensors used, 0 dropped\n")
    done = tool(tmp_path / "a.pth", tmp_path / "b.pth", "--to", "mmdet")
    assert done.returncode == 1 and done.stderr.startswith(f"error: {tmp_path / 'b.pth'}: exists")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("model", [trees.faster_rcnn, trees.retinanet])
def test_pickled_arrays_of_detectron2s_zoo_for_mmdet(tmp_path: Path, model: Callable[[], trees.Shapes]) -> None:
    state = trees.random_tensors(model())
    arrays = {key: value.numpy() for key, value in convert_state(state, "a.pth").model.items()}
    (tmp_path / "zoo.pkl").write_bytes(pickle.dumps({"model": arrays, "__author__": "Detectron2 Model Zoo"}))
    convert_file(tmp_path / "zoo.pkl", tmp_path / "mmdet.pth", to="mmdet")
    found = torch.load(tmp_path / "mmdet.pth", weights_only=True)["state_dict"]
    assert all(torch.equal(value, state[key]) for key, value in found.items())
    assert {key for key in state if not key.endswith("num_batches_tracked")} == set(found)


@pytest.mark.parametrize("strange", [{7: torch.ones(1)}, {"note": "text"}, {"fc_cls.weight": 3}])
def test_what_is_no_tensor_by_name_is_named(strange: dict) -> None:
    state = trees.random_tensors(trees.faster_rcnn()) | strange
    (name,) = strange
    with pytest.raises(WeightsError, match=f"not a checkpoint of tensors by name; among them are: {name}"):
        convert_state(state, "a.pth")


def test_an_unknown_name_and_a_name_in_place_of_a_file(tmp_path: Path) -> None:
    done = tool("bdd100k://det/nonsense", tmp_path / "a.pth")
    assert done.returncode == 1 and "no published weights of this name" in done.stderr
