"""Features of images as a whole, of a detector's backbone."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from support.frames import write_image
from support.prediction_models import detector
from support.small_models import small_config

import bdd100k_d2
from bdd100k_d2.errors import ConfigError, UnreadableError
from bdd100k_d2.predict.image_features import ImageFeatures


def test_they_are_means_of_the_last_map_of_length_1(tiny_root: Path, tmp_path: Path) -> None:
    bdd100k_d2.register_all(tiny_root)
    cfg = detector(tmp_path)
    paths = [tmp_path / f"{i}.png" for i in range(2)]
    for seed, path in enumerate(paths):
        write_image(path, seed=seed)
    features_of = ImageFeatures(cfg)
    features = features_of([*paths, paths[0]])
    assert features.dtype == np.float32 and np.linalg.norm(features, axis=1) == pytest.approx(1.0, abs=1e-6)
    assert (features[0] == features[2]).all() and np.abs(features[0] - features[1]).max() > 1e-3
    assert features_of([]).shape[0] == 0

    predictor = bdd100k_d2.Predictor(cfg)
    maps = []
    hook = predictor.runtime.model.backbone.bottom_up.register_forward_hook(lambda *them: maps.append(them[2]))
    predictor(cv2.imread(str(paths[0])))
    hook.remove()
    name = [*maps[0]][-1]
    stride = predictor.runtime.model.backbone.bottom_up.output_shape()[name].stride
    height, width = predictor.runtime.prepare(cv2.imread(str(paths[0])), "")[1][1:]
    # What is beyond the resized image is padding.
    inside = maps[0][name][0][:, : -(-height // stride), : -(-width // stride)]
    expected = torch.nn.functional.normalize(inside.mean(dim=(1, 2)), dim=0)
    assert features[0] == pytest.approx(expected.numpy(), abs=1e-6)


def test_what_has_none_is_refused(tiny_root: Path, tmp_path: Path) -> None:
    bdd100k_d2.register_all(tiny_root)
    cfg = detector(tmp_path)
    cfg.TEST.AUG.ENABLED = True
    with pytest.raises(ConfigError, match=r"TEST\.AUG\.ENABLED is True; features are of an image as it is, set"):
        ImageFeatures(cfg)
    cfg.TEST.AUG.ENABLED = False
    (tmp_path / "a.jpg").write_bytes(b"no image")
    with pytest.raises(UnreadableError, match=r"a\.jpg"):
        ImageFeatures(cfg)([tmp_path / "a.jpg"])
    segmenter = small_config(tiny_root, "DATASETS.TEST", ("bdd100k_sem_seg_val",))
    torch.save({"model": bdd100k_d2.Trainer.build_model(segmenter).state_dict()}, tmp_path / "segmenter.pth")
    segmenter.MODEL.WEIGHTS = str(tmp_path / "segmenter.pth")
    with pytest.raises(ConfigError, match=r"SemanticFPN, of which no features of images can be had; give"):
        ImageFeatures(segmenter)
