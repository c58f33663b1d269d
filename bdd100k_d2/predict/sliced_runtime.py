"""Any runtime, on a frame and on magnified slices of it."""

from itertools import chain
from typing import Any, NamedTuple

import numpy as np

from ..errors import ConfigError
from ..evaluation.array_instances import ArrayInstances
from ..evaluation.prediction_files import as_array
from .model_identity import ModelIdentity
from .runtime import Runtime
from .slicing import Slices, Window, check_sliceable, magnified, merged, windows


class _Prepared(NamedTuple):
    """The windows of a frame of ``size``, (H, W), and what the runtime takes of the frame, then of each of them."""

    size: tuple[int, int]
    cut: list[Window]
    inputs: list[Any]


class SlicedRuntime(Runtime):
    """A runtime whose objects are those of the frame and of its slices, put together.

    Attributes:
        runtime: what runs the model, on images of the frame's size alone.
        slices: how frames are cut.
    """

    def __init__(self, runtime: Runtime, slices: Slices) -> None:
        """Raises ConfigError for a model whose task is known, and has no objects with scores."""
        self.runtime, self.slices = runtime, slices
        self.fixed_batch = runtime.fixed_batch
        check_sliceable(runtime.identity.task)

    @property
    def identity(self) -> ModelIdentity:
        """As `Runtime` says."""
        return self.runtime.identity

    def prepare(self, image: np.ndarray, where: str) -> tuple[_Prepared, tuple[int, ...]]:
        """As `Runtime` says."""
        height, width = image.shape[:2]
        whole, shape = self.runtime.prepare(image, where)
        cut = windows(height, width, self.slices)
        parts = [self.runtime.prepare(magnified(image, window), where)[0] for window in cut]
        return _Prepared((height, width), cut, [whole, *parts]), shape

    def infer(self, batch: list[_Prepared]) -> list[dict[str, Any]]:
        """As `Runtime` says: ``instances`` as an `ArrayInstances`. The model takes as many images as there are frames.

        Raises:
            ConfigError: the model gives no objects.
        """
        images = list(chain.from_iterable(one.inputs for one in batch))
        count = len(batch)
        found = [
            self._objects(self.runtime.on_cpu(output))
            for start in range(0, len(images), count)
            for output in self.runtime.infer(images[start : start + count])
        ]
        outputs, start = [], 0
        for one in batch:
            end = start + len(one.inputs)
            outputs.append({"instances": merged(one.size, one.cut, found[start:end])})
            start = end
        return outputs

    def _objects(self, output: dict[str, Any]) -> ArrayInstances:
        if "instances" not in output:
            raise ConfigError(
                f"--slices: the model gives {', '.join(output)}, and no objects that slices could be put together by; "
                "leave --slices out."
            )
        instances = output["instances"]
        if isinstance(instances, ArrayInstances):
            return instances
        masks = as_array(instances.pred_masks) if instances.has("pred_masks") else None
        boxes = as_array(instances.pred_boxes.tensor)
        scores, classes = as_array(instances.scores), as_array(instances.pred_classes)
        return ArrayInstances(instances.image_size, boxes, scores, classes, masks)
