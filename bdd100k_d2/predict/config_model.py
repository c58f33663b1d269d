"""The PyTorch model of a config as a `Runtime`."""

from typing import Any

import numpy as np
import torch
from detectron2.config import CfgNode
from detectron2.data import MetadataCatalog
from detectron2.data.transforms import AugInput, AugmentationList
from detectron2.modeling import build_model

from ..checkpoint.loading import load_weights
from ..checkpoint.published import use_sources
from ..config import get_config
from ..data.augmentation import augment, build_augmentation
from ..data.own_dataset import register_config_datasets
from ..data.randomness import given_back
from ..engine.class_agreement import check_classes
from ..engine.precision import accelerate, autocast
from ..engine.test_time_augmentation import as_read, augmented_in_tests, check_augmentable
from ..modeling.norms import fold_norms
from .config_task import identity_of
from .model_identity import ModelIdentity
from .runtime import Runtime


class ConfigModel(Runtime):
    """The model of a config with its weights; attributes and errors are those of `Predictor`."""

    def __init__(self, cfg: CfgNode | str, *, amp: bool, fold: bool, threads: int | None) -> None:
        self.cfg = get_config(cfg, trained=True) if isinstance(cfg, str) else cfg.clone()
        self._amp = amp
        if threads is not None:
            torch.set_num_threads(threads)
        register_config_datasets(self.cfg)
        names = self.cfg.DATASETS.TEST
        self.metadata = MetadataCatalog.get(names[0] if names else "__unused")
        classes = check_classes(self.cfg, (), names[:1])
        # Initial values are drawn, though all are replaced.
        with given_back(gpus=True):
            model = build_model(self.cfg).eval()
        if self.cfg.TEST.AUG.ENABLED:
            check_augmentable(self.cfg, model)
        use_sources(self.cfg)
        keys = self.cfg.MODEL
        load_weights(model, keys.WEIGHTS, exact=True, classes=classes, trained_for=keys.WEIGHTS_CLASSES)
        if fold:
            fold_norms(model)
        self.model, inputs = accelerate(self.cfg, model, amp), self.cfg
        if self.cfg.TEST.AUG.ENABLED:
            self.model, inputs = augmented_in_tests(self.cfg, self.model), as_read(self.cfg)
        self._augmentations = AugmentationList(build_augmentation(inputs, is_train=False))

    @property
    def identity(self) -> ModelIdentity:
        """As `Runtime` says; ConfigError where the first test set tells no task."""
        return identity_of(self.cfg)

    def prepare(self, image: np.ndarray, where: str) -> tuple[dict[str, Any], tuple[int, ...]]:
        """As `Runtime` says: resized as INPUT says, and in its order of channels."""
        inputs = AugInput(image if self.cfg.INPUT.FORMAT == "RGB" else image[..., ::-1])
        augment(self._augmentations, inputs, where)
        tensor = torch.from_numpy(np.ascontiguousarray(inputs.image.transpose(2, 0, 1)))
        return {"image": tensor, "height": image.shape[0], "width": image.shape[1]}, tuple(tensor.shape)

    def infer(self, batch: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """As `Runtime` says, on the model's device."""
        with torch.no_grad(), autocast(self.cfg.MODEL.DEVICE, enabled=self._amp):
            outputs: list[dict[str, Any]] = self.model(batch)
        return outputs

    def on_cpu(self, output: dict[str, Any]) -> dict[str, Any]:
        """As `Runtime` says."""
        return {key: _on_cpu(value) for key, value in output.items()}


def _on_cpu(value: Any) -> Any:  # noqa: ANN401, tensors, instances, or the segments' pair
    if isinstance(value, tuple):
        return tuple(_on_cpu(one) for one in value)
    return value.to("cpu") if hasattr(value, "to") else value
