"""What the golden models of mmdet and mmseg share: seeded weights, pictures, and the arrays that are kept."""

import json
from collections.abc import Iterable, Mapping, Sequence

import mmcv_operators  # noqa: F401, before mmdet and mmseg
import mmdet
import mmengine
import mmpretrain
import mmpretrain.models
import mmseg
import numpy as np
import torch
from mmengine.config import ConfigDict
from seeded import seeded_image, seeded_state, spread_places
from torch import Tensor, nn

# BDD100K's pictures have 720x1280: here a small one, and one that no stride divides.
SIZES = ((256, 320), (264, 456))
# A training batch, of which Swin needs no side below 256.
TRAIN_SIZES = ((256, 320), (260, 300))
MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)


def fill(model: nn.Module, scales: Mapping[str, float]) -> dict[str, np.ndarray]:
    """Gives a model its seeded weights and evaluation mode; returns the names and shapes of its tensors as JSON."""
    state = model.state_dict()
    shapes = {name: list(value.shape) for name, value in state.items()}
    values = {name: torch.from_numpy(value) for name, value in seeded_state(shapes, scales=scales).items()}
    for name in (name for name in shapes if name.endswith("relative_position_index")):
        assert torch.equal(values[name], state[name]), name
    model.load_state_dict(values)
    model.eval()
    return {"shapes": np.array(json.dumps(shapes)), "scales": np.array(json.dumps(dict(scales)))}


def meta(cfg: ConfigDict, **notes: object) -> np.ndarray:
    """JSON of the versions, the whole config of the model and how the arrays were made."""
    versions = {module.__name__: module.__version__ for module in (torch, mmengine, mmdet, mmseg, mmpretrain)}
    return np.array(json.dumps({"versions": versions, "config": cfg.to_dict(), **notes}))


def published_eps(model: nn.Module) -> None:
    """mmcls 0.x gave ConvNeXt's three downsampling norms PyTorch's eps; mmpretrain 1.x gives them 1e-6."""
    if type(model.backbone).__name__ == "ConvNeXt":
        for layer in model.backbone.downsample_layers[1:]:
            layer[0].eps = 1e-5


def batch(sizes: Sequence[tuple[int, int]], divisor: int) -> Tensor:
    """Seeded pictures, normalised, padded with zeros right and below to one size that ``divisor`` divides."""
    height, width = (-(-max(side) // divisor) * divisor for side in zip(*sizes, strict=True))
    images = torch.zeros(len(sizes), 3, height, width)
    for i, (size, image) in enumerate(zip(sizes, images, strict=True)):
        pixels = torch.from_numpy(seeded_image(*size, seed=i)).permute(2, 0, 1).float()
        image[:, : size[0], : size[1]] = (pixels - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]
    return images


def sample(values: Tensor) -> np.ndarray:
    """500 values, evenly spaced."""
    flat = values.detach().flatten()
    return flat[torch.from_numpy(spread_places(len(flat)))].numpy()


def samples(name: str, maps: Iterable[Tensor]) -> dict[str, np.ndarray]:
    """500 values of each map, as ``name0``, ``name1``..."""
    return {f"{name}{i}": sample(values) for i, values in enumerate(maps)}


def gradients(model: nn.Module, losses: Mapping[str, Tensor | Sequence[Tensor]]) -> dict[str, np.ndarray]:
    """Each loss, a list of them summed, and the norm of every parameter's gradient of their sum."""
    summed = {name: sum(loss) if isinstance(loss, list) else loss for name, loss in losses.items() if "loss" in name}
    sum(summed.values()).backward()
    trained = {name: value for name, value in model.named_parameters() if value.grad is not None}
    return {
        **{name: np.array(float(loss.detach()), np.float32) for name, loss in summed.items()},
        "trained": np.array(json.dumps(list(trained))),
        "gradient_norms": np.array([float(value.grad.norm()) for value in trained.values()], np.float32),
    }


def prefixed(prefix: str, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {f"{prefix}/{name}": value for name, value in arrays.items()}
