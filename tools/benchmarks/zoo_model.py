"""Times one model of the zoo on a picture of 720x1280 with the weights of its golden file; prints JSON."""

import json
import sys
import time
from pathlib import Path

import torch
from detectron2.modeling import build_model

import bdd100k_d2
from bdd100k_d2.checkpoint.convert import convert_state
from bdd100k_d2.engine.precision import accelerate
from bdd100k_d2.modeling.norms import adapt_sync_norms, fold_norms

PARITY = Path(__file__).parents[2] / "tests/parity"


def main(arguments: list[str]) -> None:
    """Takes the golden file's name, the config's, threads and predictions; the first prediction is not counted."""
    golden, config, threads, count = arguments
    sys.path.append(str(PARITY))
    from comparing import load_golden
    from seeded import seeded_image, seeded_state

    torch.set_num_threads(int(threads))
    cfg = bdd100k_d2.get_config(config)
    cfg.MODEL.DEVICE = "cpu"
    arrays = load_golden(f"openmmlab/{golden}")
    state = seeded_state(json.loads(str(arrays["shapes"])), scales=json.loads(str(arrays["scales"])))
    tensors = {name: torch.as_tensor(value) for name, value in state.items()}
    model = build_model(cfg).eval()
    model.load_state_dict(convert_state(tensors, golden).model, strict=False)
    adapt_sync_norms(model)
    fold_norms(model)
    model = accelerate(cfg, model, False)
    image = torch.from_numpy(seeded_image(720, 1280)).permute(2, 0, 1)
    seconds = []
    with torch.no_grad():
        for _ in range(int(count) + 1):
            start = time.perf_counter()
            model([{"image": image, "height": 720, "width": 1280}])
            seconds.append(time.perf_counter() - start)
    print(json.dumps(seconds[1:]))


if __name__ == "__main__":
    main(sys.argv[1:])
