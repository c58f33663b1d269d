"""Prints how far this package is from the code that produced the published numbers: the table of docs/MODEL_ZOO.md.

    python tests/parity/measure.py

The parity tests hold every row.
"""

from measure_atss import ATSS_MEASUREMENTS
from measure_cascade_mask import CASCADE_MASK_MEASUREMENTS
from measure_converted import measure_converted_checkpoints
from measure_deformable import DEFORMABLE_MEASUREMENTS
from measure_hrnet import HRNET_MEASUREMENTS
from measure_models import MODEL_MEASUREMENTS
from measure_panoptic import PANOPTIC_MEASUREMENTS
from measure_recipe import measure_augmentations, measure_optimizers, measure_rates
from measure_segmenters import SEGMENTER_MEASUREMENTS
from measure_torchvision_backbones import TORCHVISION_MEASUREMENTS

MEASUREMENTS = (
    *MODEL_MEASUREMENTS,
    measure_rates,
    measure_optimizers,
    measure_augmentations,
    measure_converted_checkpoints,
    *TORCHVISION_MEASUREMENTS,
    *PANOPTIC_MEASUREMENTS,
    *SEGMENTER_MEASUREMENTS,
    *DEFORMABLE_MEASUREMENTS,
    *HRNET_MEASUREMENTS,
    *CASCADE_MASK_MEASUREMENTS,
    *ATSS_MEASUREMENTS,
)

if __name__ == "__main__":
    print("| Model | Quantity | Tolerance | Seen |\n| --- | --- | --- | --- |")
    for measurement in MEASUREMENTS:
        for row in measurement():
            print(row)
