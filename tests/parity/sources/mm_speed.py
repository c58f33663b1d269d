"""Times a golden model of mmdet or mmseg on a picture of 720x1280: `ENV/bin/python mm_speed.py NAME THREADS COUNT`.

Prints the seconds of each prediction as JSON; a first one is not counted. Environment: make_golden.py.
"""

import json
import sys
import time
from pathlib import Path

import torch

sys.path.append(str(Path(__file__).parents[1]))

import mm_detectors
import mm_segmenters
from mm_record import batch, fill, published_eps
from mmdet.registry import MODELS as DETECTORS
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS as SEGMENTERS
from mmseg.structures import SegDataSample
from torch import nn

SIZE = (720, 1280)


def main(name: str, threads: int, count: int) -> None:
    torch.set_num_threads(threads)
    is_detector = name in mm_detectors.DETECTORS
    init_default_scope("mmdet" if is_detector else "mmseg")
    family = (mm_detectors if is_detector else mm_segmenters).__dict__["DETECTORS" if is_detector else "SEGMENTERS"]
    cfg = (mm_detectors if is_detector else mm_segmenters)._config(family[name])
    model: nn.Module = (DETECTORS if is_detector else SEGMENTERS).build(cfg)
    published_eps(model)
    fill(model, family[name].scales)
    images = batch([SIZE], 32 if is_detector else 1)
    shape = {"img_shape": SIZE, "ori_shape": SIZE, "pad_shape": SIZE, "padding_size": [0, 0, 0, 0]}
    seconds = []
    with torch.no_grad():
        for _ in range(count + 1):
            data = mm_detectors._data_sample(SIZE, images) if is_detector else SegDataSample(metainfo=shape)
            start = time.perf_counter()
            model.predict(images, [data])
            seconds.append(time.perf_counter() - start)
    print(json.dumps(seconds[1:]))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
