"""What Vis4D 1.0.0 does besides the model: schedules, optimizers and augmentations of its three BDD100K recipes.

Runs in Vis4D's environment and imports nothing of this package; see ``make_golden.py``.
"""

import random
import sys
import types
import zlib
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import lightning.pytorch as lightning
import numpy as np
import torch
import vis4d
from ml_collections import ConfigDict
from seeded import (
    HEIGHT,
    WIDTH,
    boxes_across_the_border,
    image_of_colors,
    mask_of_one_large_class,
    sampled_pixels,
    seeded_boxes,
    seeded_image,
)
from vis4d.config import instantiate_classes
from vis4d.data.const import CommonKeys as Keys
from vis4d.data.transforms.photometric import RandomBrightness, RandomContrast, RandomHue, RandomSaturation
from vis4d.data.transforms.resize import ResizeSegMasks
from vis4d.engine.callbacks import LRSchedulerCallback
from vis4d.engine.optim import set_up_optimizers
from vis4d.engine.training_module import TrainingModule

EPOCH = 4367
ZOO = {
    "det_1x": "faster_rcnn.faster_rcnn_r50_1x_bdd100k",
    "det_3x": "faster_rcnn.faster_rcnn_r50_3x_bdd100k",
    "sem_seg_40k": "semantic_fpn.semantic_fpn_r50_40k_bdd100k",
}
ADJUSTMENTS = (
    (RandomBrightness, "brightness_range", (0.875, 1.125)),
    (RandomContrast, "contrast_range", (0.5, 1.5)),
    (RandomSaturation, "saturation_range", (0.5, 1.5)),
    (RandomHue, "hue_range", (-0.05, 0.05)),
)


def recipe() -> dict[str, np.ndarray]:
    """The golden arrays; names begin with the recipe or the augmentation they are of."""
    configs = {name: _zoo_config(module) for name, module in ZOO.items()}
    golden = {}
    for name, config in configs.items():
        golden |= {f"{name}/{key}": value for key, value in _optimizer(config).items()}
        golden |= {f"{name}/{key}": value for key, value in _rates(config).items()}
    golden |= _resize(configs["det_3x"])
    golden |= _flip(configs["det_3x"])
    golden |= _crop(configs["sem_seg_40k"])
    golden |= _color(configs["sem_seg_40k"])
    return golden


def _zoo_config(module: str) -> ConfigDict:
    # The zoo's own index imports 3D detectors, which need CUDA operators that nothing here does.
    if "vis4d.zoo" not in sys.modules:
        zoo = types.ModuleType("vis4d.zoo")
        zoo.__path__ = [str(Path(vis4d.__file__).parent / "zoo")]
        sys.modules["vis4d.zoo"] = zoo
    return import_module(f"vis4d.zoo.bdd100k.{module}").get_config()


def _optimizer(config: ConfigDict) -> dict[str, np.ndarray]:
    """Names of all parameters, whether each is trained and decayed, and the optimizer's settings."""
    if "basemodel" in config.model.init_args:
        config.model.init_args.basemodel.init_args.pretrained = False
        model = instantiate_classes(config.model)
    else:
        from vis4d.model.seg.semantic_fpn import SemanticFPN
        from vis4d.op.base import ResNetV1c

        # Its default backbone, without the download.
        backbone = ResNetV1c("resnet50_v1c", pretrained=False, trainable_layers=5, norm_frozen=False)
        model = SemanticFPN(**config.model.init_args, basemodel=backbone)
    (optimizer,), _ = set_up_optimizers(config.optimizers, [model], EPOCH)
    model.train()
    decay, rate = {}, {}
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            decay[parameter], rate[parameter] = group["weight_decay"], group["initial_lr"]
    names, parameters = zip(*model.named_parameters(), strict=True)
    settings = optimizer.param_groups[0]
    return {
        "parameters": np.array(names),
        "sizes": np.array([parameter.numel() for parameter in parameters]),
        "trained": np.array([parameter.requires_grad for parameter in parameters]),
        "decay": np.array([decay[parameter] for parameter in parameters]),
        "rate": np.array([rate[parameter] for parameter in parameters]),
        "momentum": np.array(settings["momentum"]),
        "dampening": np.array(settings["dampening"]),
        "nesterov": np.array(settings["nesterov"]),
    }


def _rates(config: ConfigDict) -> dict[str, np.ndarray]:
    """The learning rate of chosen iterations; between two of them it is constant or follows the chain of schedulers."""
    epochs, steps = config.pl_trainer.max_epochs, config.pl_trainer.max_steps
    # The loop below calls the schedulers as Lightning does: hold it against Lightning over short epochs.
    short = epochs * 2 if steps == -1 else 60
    np.testing.assert_array_equal(_simulate(config, 2, short), _run_lightning(config, 2, short))

    iterations = epochs * EPOCH if steps == -1 else steps
    # One more: the rate that the last iteration leaves behind.
    rates = _simulate(config, EPOCH, iterations + 1)
    if steps == -1:
        chosen = np.union1d(np.arange(600), np.flatnonzero(np.diff(rates)) + 1)
        held = chosen[np.searchsorted(chosen, np.arange(iterations + 1), side="right") - 1]
        np.testing.assert_array_equal(rates[held], rates)
    else:
        chosen = np.union1d(np.arange(600), np.arange(0, iterations + 1, 8))
        # From each chosen iteration on, the rate follows one curve to the next.
        fall, ahead = config.optimizers[0].lr_schedulers[1].scheduler.init_args, np.arange(600, iterations + 1)
        begin = chosen[np.searchsorted(chosen, ahead, side="right") - 1]
        left = ((iterations - ahead) / np.maximum(iterations - begin, 1)) ** fall.power
        expected = np.where(ahead == begin, rates[begin], (rates[begin] - fall.min_lr) * left + fall.min_lr)
        np.testing.assert_allclose(expected, rates[ahead], rtol=0, atol=1e-14)
    return {
        "iterations": np.array(iterations),
        "rate_at": chosen.astype(np.int32),
        "rates": rates[chosen],
        "pictures_per_gpu": np.array(config.params.samples_per_gpu),
    }


def _simulate(config: ConfigDict, epoch: int, iterations: int) -> np.ndarray:
    """The rate of each iteration under Vis4D's scheduler, called as its callback and Lightning call it."""
    (optimizer,), (schedule,) = set_up_optimizers(config.optimizers, [torch.nn.Linear(1, 1)], epoch)
    rates = np.empty(iterations)
    for i in range(iterations):
        rates[i] = optimizer.param_groups[0]["lr"]
        optimizer.step()
        if (i + 1) % epoch == 0:
            schedule.step(i // epoch)
        schedule.step_on_batch(i + 1)
    return rates


def _run_lightning(config: ConfigDict, epoch: int, iterations: int) -> np.ndarray:
    """The rate of each iteration of a training of a tiny model by Vis4D's training module."""
    rates = []

    class Tiny(TrainingModule):
        def setup(self, stage: str) -> None:
            self.model = torch.nn.Linear(1, 1)

        def training_step(self, batch: torch.Tensor, batch_idx: int) -> torch.Tensor:
            return self.model(batch).sum()

        def optimizer_step(
            self, epoch: int, batch_idx: int, optimizer: torch.optim.Optimizer, optimizer_closure: Callable
        ) -> None:
            rates.append(optimizer.param_groups[0]["lr"])
            super().optimizer_step(epoch, batch_idx, optimizer, optimizer_closure)

    quiet = ("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary")
    trainer = lightning.Trainer(
        accelerator="cpu",
        devices=1,
        max_steps=iterations,
        max_epochs=-1,
        callbacks=[LRSchedulerCallback()],
        **dict.fromkeys(quiet, False),
    )
    module = Tiny(config.model, config.optimizers, None, None, None)
    trainer.fit(module, torch.utils.data.DataLoader(torch.ones(epoch, 1)))
    return np.array(rates)


def _training_transforms(config: ConfigDict) -> list[Any]:
    dataset = config.data.train_dataloader.init_args.dataset.init_args
    return [instantiate_classes(transform) for transform in dataset.preprocess_fn.init_args.transforms]


def _data(image: np.ndarray, **more: np.ndarray) -> list[dict]:
    data = {Keys.images: image[None].astype(np.float32), Keys.input_hw: image.shape[:2], **more}
    return [{key: value.copy() if isinstance(value, np.ndarray) else value for key, value in data.items()}]


def _apply(transforms: Sequence[Any], data: list[dict]) -> dict:
    for transform in transforms:
        data = transform.apply_to_data(data)
    return data[0]


def _in_256ths(grey_levels: np.ndarray) -> np.ndarray:
    """Grey levels 0 to 255 in steps of 1/256."""
    assert grey_levels.min() >= 0 and grey_levels.max() <= 255
    return np.rint(grey_levels * 256).astype(np.uint16)


def _resize(config: ConfigDict) -> dict[str, np.ndarray]:
    """Sizes, sampled pixels, boxes and mask of the resize to each of the shapes."""
    parameters, *resize = _training_transforms(config)[:3]
    shapes, blank = parameters.shape, np.zeros((HEIGHT, WIDTH, 3))
    random.seed(0)
    drawn = {_apply([parameters], _data(blank))["transforms"]["resize"]["target_shape"] for _ in range(200)}
    image, noise = seeded_image(HEIGHT, WIDTH), np.random.default_rng(1).integers(0, 256, (HEIGHT, WIDTH), np.uint8)
    sizes, pixels, boxes, masks = [], [], [], []
    for shape in shapes:
        parameters.shape = [shape]
        data = _data(image, **{Keys.boxes2d: boxes_across_the_border(), Keys.seg_masks: noise})
        data = _apply([parameters, *resize, ResizeSegMasks()], data)
        sizes.append(data[Keys.images].shape[1:3])
        pixels.append(_in_256ths(sampled_pixels(data[Keys.images][0])))
        boxes.append(data[Keys.boxes2d])
        masks.append(zlib.crc32(np.ascontiguousarray(data[Keys.seg_masks])))
    assert drawn == set(sizes)
    return {
        "resize/shapes": np.array(shapes),
        "resize/sizes": np.array(sizes),
        "resize/pixels": np.array(pixels),
        "resize/boxes": np.array(boxes),
        "resize/mask_crc32": np.array(masks, np.uint32),
    }


def _flip(config: ConfigDict) -> dict[str, np.ndarray]:
    flip = _training_transforms(config)[3]
    data = _data(image_of_colors(), **{Keys.boxes2d: seeded_boxes(90, 160, 12, seed=2)})
    data = _apply(flip.transforms, data)
    return {
        "flip/probability": np.array(flip.probability),
        "flip/picture_crc32": np.array(zlib.crc32(data[Keys.images][0].astype(np.uint8).tobytes()), np.uint32),
        "flip/boxes": data[Keys.boxes2d],
    }


def _crop(config: ConfigDict) -> dict[str, np.ndarray]:
    """The crop after each seed, and the next random number, which tells how many crops were drawn."""
    crop, flip = _training_transforms(config)[0], _training_transforms(config)[3]
    mask, boxes, after = mask_of_one_large_class(), [], []
    for seed in range(200):
        np.random.seed(seed)
        data = _apply([crop], _data(np.zeros((HEIGHT, WIDTH, 3)), **{Keys.seg_masks: mask}))
        boxes.append(data["transforms"]["crop"]["crop_box"])
        after.append(np.random.random())
    return {
        "crop/shape": np.array(crop.shape),
        "crop/max_area": np.array(crop.cat_max_ratio),
        "crop/boxes": np.array(boxes, np.int32),
        "crop/next_draws": np.array(after),
        "crop/flip_probability": np.array(flip.probability),
    }


def _color(config: ConfigDict) -> dict[str, np.ndarray]:
    """Sampled pixels after each adjustment at both ends of its range, and after the whole jitter by seed."""
    apply = _training_transforms(config)[4]
    (jitter,) = apply.transforms
    image, alone, jittered, after = image_of_colors(), [], [], []
    for adjustment, keyword, amounts in ADJUSTMENTS:
        assert getattr(jitter, keyword) == amounts
        for amount in amounts:
            data = _apply([adjustment(**{keyword: (amount, amount)})], _data(image))
            alone.append(_in_256ths(sampled_pixels(data[Keys.images][0])))
    for seed in range(24):
        np.random.seed(seed)
        # Whether to change the image is drawn from PyTorch in Vis4D and from NumPy in Detectron2.
        np.random.uniform()
        jittered.append(_in_256ths(sampled_pixels(_apply([jitter], _data(image))[Keys.images][0])))
        after.append(np.random.random())
    return {
        "color/probability": np.array(apply.probability),
        "color/amounts": np.array([amounts for *_, amounts in ADJUSTMENTS]),
        "color/channels": np.array(jitter.image_channel_mode),
        "color/alone": np.array(alone),
        "color/jittered": np.array(jittered),
        "color/next_draws": np.array(after),
    }
