"""What the measurements share: golden files, seeded models, and rows of the table."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from detectron2.config import CfgNode
from detectron2.modeling import build_model
from seeded import seeded_image, seeded_state, spread_places
from torch import Tensor, nn

import bdd100k_d2
from bdd100k_d2.checkpoint.convert import convert_state

GOLDEN = Path(__file__).parent / "golden"
# Gradients that are zero in theory, as those of biases before a norm or of keys, are noise of 1e-5.
_NOISE = 4e-3


@dataclass(frozen=True)
class Line:
    """A line of the table: the largest difference that was seen and the one that is allowed."""

    model: str
    quantity: str
    tolerance: float
    seen: float
    unit: str = ""

    def __str__(self) -> str:
        unit = f" {self.unit}" if self.unit else ""
        return f"| {self.model} | {self.quantity} | {self.tolerance:g}{unit} | {self.seen:.1g}{unit} |"


def assert_within(rows: Sequence[Line]) -> None:
    """Checks that no row is beyond its tolerance, and that docs/MODEL_ZOO.md has each with this tolerance."""
    assert rows
    assert not [str(row) for row in rows if not row.seen <= row.tolerance]
    docs = (Path(__file__).parents[2] / "docs/MODEL_ZOO.md").read_text()
    assert not [line for row in rows if (line := str(row).rsplit("|", 2)[0]) not in docs]


def load_golden(name: str) -> dict[str, np.ndarray]:
    """The arrays of one golden file."""
    with np.load(GOLDEN / f"{name}.npz") as arrays:
        return dict(arrays)


def detector_config() -> CfgNode:
    """The zoo's detector on the CPU."""
    cfg = bdd100k_d2.get_config("det/faster_rcnn_R_50_FPN_1x")
    cfg.MODEL.DEVICE = "cpu"
    return cfg


def segmenter_config() -> CfgNode:
    """The zoo's segmenter on the CPU, with norms that need no process group."""
    cfg = bdd100k_d2.get_config("sem_seg/semantic_fpn_R_50_40k")
    cfg.MODEL.DEVICE = "cpu"
    return cfg


def build_seeded(cfg: CfgNode, golden: Mapping[str, np.ndarray]) -> nn.Module:
    """Our model with the weights that the golden one had, which go through the package's own conversion."""
    shapes = json.loads(str(golden["shapes"]))
    scales = json.loads(str(golden.get("scales", "{}")))
    state = {name: torch.from_numpy(np.asarray(value)) for name, value in seeded_state(shapes, scales=scales).items()}
    return load_converted(build_model(cfg), convert_state(state, "seeded").model)


def load_converted(model: nn.Module, state: Mapping[str, Tensor]) -> nn.Module:
    """Fills every tensor of ``model`` but the norms' counters."""
    missing, unexpected = model.load_state_dict(state, strict=False)
    assert not unexpected and all(name.endswith("num_batches_tracked") for name in missing), (missing, unexpected)
    return model


def our_names(golden: Mapping[str, np.ndarray]) -> dict[str, str]:
    """Vis4D's names of tensors -> ours, as the conversion maps them."""
    shapes = json.loads(str(golden["shapes"]))
    # Each number is stored once, however large its tensor.
    numbered = {name: torch.tensor(float(i)).expand(shape) for i, (name, shape) in enumerate(shapes.items())}
    by_number = {
        int(value[(0,) * value.ndim]): name for name, value in convert_state(numbered, "numbered").model.items()
    }
    return {name: by_number[i] for i, name in enumerate(shapes) if i in by_number}


def sampled(values: Tensor) -> Tensor:
    flat = values.detach().flatten()
    return flat[torch.from_numpy(spread_places(len(flat)))]


def difference(ours: Tensor, theirs: np.ndarray) -> float:
    return float(np.abs(ours.detach().numpy() - theirs).max())


def relative(ours: np.ndarray, theirs: np.ndarray) -> float:
    return float(np.abs(ours / theirs - 1).max())


def picture(height: int, width: int, seed: int = 0) -> Tensor:
    """The seeded image as models take it: (3, height, width)."""
    return torch.from_numpy(seeded_image(height, width, seed)).permute(2, 0, 1)


def of_size(golden: Mapping[str, np.ndarray], height: int, width: int) -> dict[str, np.ndarray]:
    """The arrays that OpenMMLab's golden models gave for the picture of one size."""
    prefix = f"{height}x{width}/"
    return {name.removeprefix(prefix): value for name, value in golden.items() if name.startswith(prefix)}


def step_lines(
    title: str, model: nn.Module, losses: Mapping[str, Tensor], golden: Mapping[str, np.ndarray], names: dict[str, str]
) -> Iterator[Line]:
    """The losses and gradients of a step against the golden ones; ``names`` are OpenMMLab's of losses -> ours."""
    theirs = {ours: float(golden[f"train/{name}"]) for name, ours in names.items()}
    assert losses.keys() == theirs.keys()
    apart = max(abs(float(losses[name].detach()) / value - 1) for name, value in theirs.items())
    yield Line(title, f"{len(theirs)} losses, relative", 1e-3, apart)
    sum(losses.values()).backward()
    of_theirs = our_names(golden)
    trained = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    order = [of_theirs[name] for name in json.loads(str(golden["train/trained"]))]
    assert sorted(order) == sorted(trained)
    ours = np.array([float(trained[name].grad.norm()) for name in order])
    norms = golden["train/gradient_norms"]
    apart = float((np.abs(ours - norms) / np.maximum(norms, _NOISE)).max())
    yield Line(title, f"gradient norm of each of {len(order)} parameters, relative", 1e-2, apart)


def match_boxes(
    boxes: Tensor,
    scores: Tensor,
    classes: Tensor | None,
    gt: np.ndarray,
    gt_scores: np.ndarray,
    gt_classes: np.ndarray | None,
) -> tuple[float, float, np.ndarray]:
    """The largest distance of boxes to their nearest golden ones, in pixels and in score, and which ones those are."""
    assert len(boxes) == len(gt)
    apart = (boxes[:, None] - torch.from_numpy(gt)).abs().amax(dim=2)
    if classes is not None:
        apart[classes[:, None] != torch.from_numpy(gt_classes.astype(np.int64))] = torch.inf
    # Boxes without area can lie at one place; their scores tell them apart.
    nearest = (apart + 100 * (scores[:, None] - torch.from_numpy(gt_scores)).abs()).argmin(dim=1)
    assert len(nearest.unique()) == len(gt), "two boxes have the same nearest golden box"
    far = float(apart.gather(1, nearest[:, None]).max())
    nearest = nearest.numpy()
    return far, difference(scores, gt_scores[nearest]), nearest
