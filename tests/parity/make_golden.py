"""Writes the golden files that the parity tests compare with, from the frameworks that produced the published numbers.

They run in an environment of their own, for they need NumPy 1 (1 to 4 minutes, 6 GB; Python 3.10 to 3.12):

    python3 -m venv ENV && ENV/bin/python -m pip install torch==2.5.1 torchvision==0.20.1 "numpy<2" vis4d==1.0.0

"zoo" needs mmdet and mmsegmentation too, whose operators are compiled (10 to 20 minutes more):

    ENV/bin/python -m pip install "setuptools<81" wheel ninja psutil
    MMCV_WITH_OPS=1 FORCE_CUDA=0 ENV/bin/python -m pip install --no-build-isolation --no-deps mmcv==2.1.0
    ENV/bin/python -m pip install mmdet==3.3.0 mmsegmentation==1.2.2 "numpy<2" ftfy regex

Then, in this folder, `ENV/bin/python make_golden.py detector segmenter recipe zoo`; without names, all four
and "strong", which needs a file of mmdet 2.25.1 (sources/mm_strong.py says how to get it) and any NumPy.

The files in golden/openmmlab, one for each family of the zoo, need an environment that no compiler takes part in, with
NumPy 2 (15 minutes for all on a core of its own, 4 GB):

    python3 -m venv ENV && ENV/bin/python -m pip install -r sources/requirements.txt
    ENV/bin/python make_golden.py openmmlab            # all of them
    ENV/bin/python make_golden.py upernet_swin-t       # one
"""

import argparse
import importlib
import sys
from pathlib import Path

import numpy as np

# Golden file -> module and function that makes its arrays.
MAKERS = {
    "detector": ("sources.vis4d_models", "detector"),
    "segmenter": ("sources.vis4d_models", "segmenter"),
    "zoo": ("sources.mm_models", "zoo"),
    "recipe": ("sources.vis4d_recipe", "recipe"),
    "strong": ("sources.mm_strong", "strong"),
}
# Golden files in golden/openmmlab -> module and function that makes the arrays of the name that it is given.
OPENMMLAB = {
    "faster_rcnn_convnext-t": ("mm_detectors", "detector"),
    "cascade_rcnn_swin-t": ("mm_detectors", "detector"),
    "panoptic_fpn_r50": ("mm_detectors", "detector"),
    "faster_rcnn_r50_dconv": ("mm_detectors", "detector"),
    "mask_rcnn_r50_dconv": ("mm_detectors", "detector"),
    "faster_rcnn_hrnetv2p_w18": ("mm_detectors", "detector"),
    "atss_r50": ("mm_detectors", "detector"),
    "cascade_mask_rcnn_r50": ("mm_detectors", "detector"),
    "upernet_swin-t": ("mm_segmenters", "segmenter"),
    "upernet_convnext-t": ("mm_segmenters", "segmenter"),
    "deeplabv3_r50-d8": ("mm_segmenters", "segmenter"),
    "deeplabv3_r50-d8_769": ("mm_segmenters", "segmenter"),
    "deeplabv3plus_r50-d8": ("mm_segmenters", "segmenter"),
    "pspnet_r50-d8": ("mm_segmenters", "segmenter"),
    "fcn_r50-d8": ("mm_segmenters", "segmenter"),
    "upernet_r50": ("mm_segmenters", "segmenter"),
    "fpn_r50_gn_dconv": ("mm_segmenters", "segmenter"),
    "fcn_hr48": ("mm_segmenters", "segmenter"),
    "pointrend_r50": ("mm_segmenters", "segmenter"),
    "dnl_r50-d8": ("mm_segmenters", "segmenter"),
    "nonlocal_r50-d8": ("mm_segmenters", "segmenter"),
    "gcnet_r50-d8": ("mm_segmenters", "segmenter"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "names",
        nargs="*",
        help=f"golden files to write, of {', '.join([*MAKERS, *OPENMMLAB])}, or openmmlab for all from "
        f"{next(iter(OPENMMLAB))} on (default: {' '.join(MAKERS)})",
    )
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "golden")
    args = parser.parse_args()
    sys.path.append(str(Path(__file__).parent / "sources"))
    for name in args.names or MAKERS:
        for each in OPENMMLAB if name == "openmmlab" else [name]:
            _write(each, args.out)


def _write(name: str, folder: Path) -> None:
    if name in OPENMMLAB:
        module, function = OPENMMLAB[name]
        arrays = getattr(importlib.import_module(module), function)(name)
        path = folder / f"openmmlab/{name}.npz"
        path.parent.mkdir(exist_ok=True)
    else:
        module, function = MAKERS[name]
        arrays = getattr(importlib.import_module(module), function)()
        path = folder / f"{name}.npz"
    np.savez_compressed(path, **arrays)
    print(f"{path}: {len(arrays)} arrays, {path.stat().st_size / 1000:.0f} kB", flush=True)


if __name__ == "__main__":
    main()
