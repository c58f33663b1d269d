import pickle
from pathlib import Path

import pytest
import torch
from torch import nn

from bdd100k_d2.checkpoint.loading import check_resumable, load_weights
from bdd100k_d2.errors import WeightsError


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


def test_weights_of_another_model_are_refused_for_training_too(tmp_path: Path) -> None:
    path = save(tmp_path / "a.pth", {f"other.{i}": torch.zeros(1) for i in range(9)})
    with pytest.raises(WeightsError, match=r"not in the model: other\.0, .* and 4 more"):
        load_weights(model(), path)


@pytest.mark.parametrize("path", ["missing.pth", "nowhere/missing.pkl"])
def test_files_that_do_not_exist(tmp_path: Path, path: str) -> None:
    with pytest.raises(WeightsError, match=r"missing\.p.*: no such file of weights; check MODEL\.WEIGHTS"):
        load_weights(model(), str(tmp_path / path))


@pytest.mark.parametrize("name", ["a.pth", "a.pkl"])
@pytest.mark.parametrize("content", [b"", b"<!DOCTYPE html><html>not found</html>", b"PK\x03\x04 cut off"])
def test_files_that_are_no_weights(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(WeightsError, match=r"a\.p.*: not a checkpoint, or a damaged one"):
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
        return Path.touch, (self.trace,)


@pytest.mark.parametrize("name", ["a.pth", "a.pkl"])
def test_checkpoints_run_no_code(tmp_path: Path, name: str) -> None:
    trace = tmp_path / "was_here"
    (tmp_path / name).write_bytes(pickle.dumps({"model": Malicious(trace), "__author__": "x"}))
    with pytest.raises(WeightsError, match=r"a\.p"):
        load_weights(model(), str(tmp_path / name))
    assert not trace.exists()


def test_checkpoints_of_other_frameworks_are_named(tmp_path: Path) -> None:
    torch.save({"state_dict": model().state_dict(), "meta": {"epoch": 12}}, tmp_path / "a.pth")
    with pytest.raises(WeightsError, match=r"a\.pth: not a checkpoint of Detectron2 .*Is it of another framework\?"):
        load_weights(model(), str(tmp_path / "a.pth"))


def test_weights_that_cannot_be_fetched() -> None:
    with pytest.raises(WeightsError, match=r"the weights cannot be fetched .*Fetch the file by hand"):
        load_weights(model(), "https://localhost:9/weights.pth")


def test_a_checkpoint_to_resume_from_has_to_fit(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"of another shape: 0\.weight.*choose another OUTPUT_DIR"):
        check_resumable(model(), save(tmp_path / "a.pth", model(5).state_dict()))


def test_a_model_zoo_pickle_loads(tmp_path: Path) -> None:
    source, target = model(), model()
    arrays = {key: value.numpy() for key, value in source.state_dict().items()}
    (tmp_path / "a.pkl").write_bytes(pickle.dumps({"model": arrays, "__author__": "torchvision"}, protocol=2))
    load_weights(target, str(tmp_path / "a.pkl"))
    assert all(torch.equal(a, b) for a, b in zip(source.parameters(), target.parameters(), strict=True))
