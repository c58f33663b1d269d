"""Times our model of a golden file on a picture of 720x1280: `python speed.py GOLDEN CONFIG THREADS COUNT`.

Prints the seconds of each prediction as JSON; a first one is not counted. sources/mm_speed.py times the source's model.
"""

import json
import sys
import time

import torch
from comparing import build_seeded, load_golden
from seeded import HEIGHT, WIDTH, seeded_image

import bdd100k_d2
from bdd100k_d2.engine.precision import accelerate
from bdd100k_d2.modeling.norms import adapt_sync_norms, fold_norms


def main(golden: str, config: str, threads: int, count: int) -> None:
    torch.set_num_threads(threads)
    cfg = bdd100k_d2.get_config(config)
    cfg.MODEL.DEVICE = "cpu"
    if config.startswith("ins_seg/"):
        # The golden models have the classes of det.
        cfg.MODEL.ROI_HEADS.NUM_CLASSES = 10
    model = build_seeded(cfg, load_golden(f"openmmlab/{golden}")).eval()
    adapt_sync_norms(model)
    fold_norms(model)
    model = accelerate(cfg, model, False)
    inputs = [
        {"image": torch.from_numpy(seeded_image(HEIGHT, WIDTH)).permute(2, 0, 1), "height": HEIGHT, "width": WIDTH}
    ]
    seconds = []
    with torch.no_grad():
        for _ in range(count + 1):
            start = time.perf_counter()
            model(inputs)
            seconds.append(time.perf_counter() - start)
    print(json.dumps(seconds[1:]))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
