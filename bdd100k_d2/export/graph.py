"""A model of a config as one graph, from images as they are read to results in their pixels, and its card."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from detectron2.config import CfgNode
from detectron2.modeling import SemanticSegmentor
from detectron2.modeling.meta_arch.dense_detector import DenseDetector
from torch import Tensor, nn

from .._version import __version__
from ..atomic import file_digest
from ..checkpoint.published import local_path
from ..config import with_keys
from ..errors import ConfigError, shown
from ..predict.config_model import ConfigModel
from ..predict.config_task import task_of
from ..predict.graph_outputs import frame_outputs, output_names
from ..predict.model_card import ModelCard, PanopticThresholds
from .arguments import check_config
from .detection import check_detector, detect
from .differences import Differences
from .resize import build_resize
from .segmentation import check_segmenter, segment

# What a graph is traced with where its size or batch is any: sides that no arithmetic takes for one another.
_TRACED_SIZE, _TRACED_BATCH = (187, 331), 2


class ExportGraph(nn.Module):
    """Images (N, H, W, 3) uint8, RGB -> the results of their frames: a tuple of tensors, see ``outputs``.

    Attributes:
        model: built as `Predictor` builds it, on the CPU, with folded norms.
        card: what the file says of itself.
        outputs: the names of the tensors. Of detectors ``boxes`` (D, 4), ``scores`` (D,), ``classes`` (D,) and
            ``counts`` (N,), of bitmasks also ``masks`` (D, H, W); of segmenters ``sem_seg`` (N, H, W) uint8 class ids;
            of panoptic models all of them.
    """

    def __init__(
        self,
        cfg: CfgNode,
        *,
        size: tuple[int, int] | None = (720, 1280),
        batch: int | None = 1,
        config: str = "",
    ) -> None:
        """Builds the model and loads its weights.

        Args:
            cfg: a config with ``MODEL.WEIGHTS``.
            size: height and width of the images that it takes; None for any.
            batch: how many images it takes at a time; None for any number.
            config: what the card calls ``cfg``.

        Raises:
            ConfigError: the model cannot be exported so.
            WeightsError: as `Predictor`.
        """
        super().__init__()
        check_config(cfg, size, batch, config)
        cfg = with_keys(cfg, "MODEL.DEVICE", "cpu", "MODEL.CHANNELS_LAST", False, "MODEL.COMPILE", False)
        task = task_of(cfg)
        source = ConfigModel(cfg, amp=False, fold=True, threads=None)
        self.model = source.model.requires_grad_(False)
        self.size, self.batch = size, batch
        _check_parts(self.model)
        self.is_bgr = cfg.INPUT.FORMAT == "BGR"
        self.resize = build_resize(cfg, size)
        self.card = ModelCard(
            task=task.name,
            categories=task.categories,
            size=size,
            batch=batch,
            min_score=_min_score(cfg, self.model) if task.form != "masks" else 0.0,
            precision="float32",
            config=config,
            weights_sha256=file_digest(Path(local_path(cfg.MODEL.WEIGHTS))),
            package_version=__version__,
            panoptic=_panoptic_thresholds(cfg) if task.name == "pan_seg" else None,
        )
        self.outputs = output_names(task)
        self.eval()
        self._try(source)

    def example(self, seed: int = 0) -> Tensor:
        """Images that the graph takes, of random pixels."""
        shape = (self.batch or _TRACED_BATCH, *(self.size or _TRACED_SIZE), 3)
        return torch.from_numpy(np.random.default_rng(seed).integers(0, 256, shape, np.uint8))

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Maps images (N, H, W, 3) uint8 to what ``outputs`` names."""
        if torch.jit.is_tracing():
            # The trace would take the part of a larger image that it knows.
            image = _checker()(image, self.batch or 0, *(self.size or (0, 0)))
        return tuple(self._results(image).values())

    def _try(self, source: ConfigModel) -> None:
        """Raises a ConfigError where the graph cannot take an image of its size, or gives another result than model."""
        image = self.example()
        try:
            with torch.no_grad():
                results = self._results(image)
            expected = source.infer([source.prepare(image[0].numpy(), "an image: ")[0]])[0]
        except RuntimeError as error:
            height, width = image.shape[1:3]
            raise ConfigError(
                f"--size: the model cannot take images of {height}x{width} ({shown(error)}); give another size."
            ) from error
        if tuple(results) != self.outputs:
            raise ConfigError(
                f"DATASETS.TEST tells {self.card.task}, whose results are {', '.join(self.outputs)}, and the model "
                f"gives {', '.join(results)}; name a data set of its task."
            )
        arrays = [one.numpy() for one in results.values()]
        task = self.card.task_with_classes
        differences = Differences(task)
        found = frame_outputs(arrays, task, tuple(image.shape), self.card.panoptic, "the graph")
        differences.add(source.on_cpu(expected), found[0])
        if differences.is_another_model:
            raise ConfigError(
                f"MODEL.META_ARCHITECTURE {type(self.model).__name__} cannot be exported: of an image of random pixels "
                f"its graph gives another result than it ({'; '.join(differences.lines())}); has a part of it a class "
                "of your own, whose inference a graph does not follow?"
            )

    def _results(self, image: Tensor) -> dict[str, Tensor]:
        return predict_resized(self.model, self.is_bgr, self.resize(image), image)


def predict_resized(model: nn.Module, is_bgr: bool, resized: Tensor, image: Tensor) -> dict[str, Tensor]:
    """The results of images (N, H, W, 3) by what INPUT's resize makes of them, (N, h, w, 3), both RGB."""
    height, width = image.shape[1:3]
    if is_bgr:
        resized = resized.flip(-1)
    images = resized.permute(0, 3, 1, 2)
    predict: Any = segment if isinstance(model, SemanticSegmentor) else detect
    results: dict[str, Tensor] = predict(model, images, height, width)
    return results


@cache
def _checker() -> Callable[[Tensor, int, int, int], Tensor]:
    """`_only`, of which a trace keeps what it asks."""
    scripted: Callable[[Tensor, int, int, int], Tensor] = torch.jit.script(_only)
    return scripted


def _only(image: Tensor, batch: int, height: int, width: int) -> Tensor:
    """The images, if they have the sides and the number that are not 0; what is raised is kept in the file."""
    n, h, w = image.size(0), image.size(1), image.size(2)
    if (height > 0 and (h != height or w != width)) or (batch > 0 and n != batch):
        raise ValueError(
            f"the images are {n} of {h}x{w}, and this file takes {batch} (0 is any number) of {height}x{width} (0 is "
            "any) alone"
        )
    return image


def _check_parts(model: nn.Module) -> None:
    """Raises `ConfigError` where a model has a part that no graph follows."""
    if isinstance(model, SemanticSegmentor):
        check_segmenter(model)
    else:
        check_detector(model)


def _min_score(cfg: CfgNode, model: nn.Module) -> float:
    keys = cfg.MODEL.RETINANET if isinstance(model, DenseDetector) else cfg.MODEL.ROI_HEADS
    return float(keys.SCORE_THRESH_TEST)


def _panoptic_thresholds(cfg: CfgNode) -> PanopticThresholds:
    keys = cfg.MODEL.PANOPTIC_FPN.COMBINE
    return PanopticThresholds(
        overlap=keys.OVERLAP_THRESH,
        stuff_area=keys.STUFF_AREA_LIMIT,
        instance_score=keys.INSTANCES_CONFIDENCE_THRESH,
    )
