"""One model of each family of the zoo beside the framework that published it, with equal weights and picture."""

import json
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import geometric_mean, median
from typing import Any, NamedTuple

from bdd100k_d2.errors import ConfigError
from bdd100k_d2.parallel import cores

from .evaluate import machine, named
from .process import measure

logger = logging.getLogger(__name__)

_TESTS = Path(__file__).parents[2] / "tests/parity"
# Golden file -> the config of the same model.
FAMILIES = {
    "faster_rcnn_convnext-t": "det/faster_rcnn_convnext_T_FPN_fp16_3x",
    "cascade_rcnn_swin-t": "det/cascade_rcnn_swin_T_FPN_3x",
    "upernet_convnext-t": "sem_seg/upernet_convnext_T_fp16_40k",
    "upernet_swin-t": "sem_seg/upernet_swin_T_40k",
    "upernet_r50": "sem_seg/upernet_R_50_40k",
    "deeplabv3_r50-d8": "sem_seg/deeplabv3_R_50_D8_40k",
    "deeplabv3plus_r50-d8": "sem_seg/deeplabv3plus_R_50_D8_40k",
    "pspnet_r50-d8": "sem_seg/pspnet_R_50_D8_40k",
    "fcn_r50-d8": "sem_seg/fcn_R_50_D8_40k",
    "fcn_hr48": "sem_seg/fcn_hrnet_W48_40k",
    "fpn_r50_gn_dconv": "sem_seg/semantic_fpn_R_50_40k_gn_dconv",
    "pointrend_r50": "sem_seg/pointrend_R_50_40k",
    "faster_rcnn_r50_dconv": "det/faster_rcnn_R_50_FPN_dconv_1x",
    "faster_rcnn_hrnetv2p_w18": "det/faster_rcnn_hrnet_W18_1x",
    "atss_r50": "det/atss_R_50_FPN_1x",
    "mask_rcnn_r50_dconv": "ins_seg/mask_rcnn_R_50_FPN_dconv_1x",
    "cascade_mask_rcnn_r50": "ins_seg/cascade_mask_rcnn_R_50_FPN_1x",
    "panoptic_fpn_r50": "pan_seg/panoptic_fpn_R_50_FPN_1x",
}


class FamilySpeed(NamedTuple):
    """Images a second, and bytes of memory at the most, of the source framework and of this package."""

    config: str
    theirs: float
    ours: float
    their_memory: int
    our_memory: int

    @property
    def ratio(self) -> float:
        """How many times as fast this package is."""
        return self.ours / self.theirs


class ZooReport(NamedTuple):
    """All that was measured, and where."""

    machine: dict[str, str]
    speeds: list[FamilySpeed]

    def text(self) -> str:
        """A Markdown table with the machine above it."""
        lines = [
            ", ".join(f"{name} {value}" for name, value in self.machine.items()),
            "",
            "| model | source, images/s | ours, images/s | times | source, memory | ours, memory |",
            "|---|--:|--:|--:|--:|--:|",
        ]
        for one in self.speeds:
            memory = (f"{value / 1e9:.2f} GB" for value in (one.their_memory, one.our_memory))
            cells = [one.config, f"{one.theirs:.3g}", f"{one.ours:.3g}", f"{one.ratio:.2f}", *memory]
            lines.append(f"| {' | '.join(cells)} |")
        mean = geometric_mean(one.ratio for one in self.speeds)
        return "\n".join([*lines, "", f"Geometric mean: {mean:.2f} times as fast."])

    def to_json(self) -> dict[str, Any]:
        """The same as numbers: images per second, bytes."""
        return named(self)


def run_zoo_benchmark(openmmlab: Path, names: Sequence[str] = (), count: int = 3, repeat: int = 1) -> ZooReport:
    """Predicts a picture of 720x1280 ``count`` times in a process of each framework, in turn, on all cores.

    Args:
        openmmlab: the Python of an environment as `tests/parity/make_golden.py` describes.
        names: of `FAMILIES`; without them all.
        count: predictions of a run, besides a first one.
        repeat: runs of each; the median of all predictions counts.

    Raises:
        ConfigError: there is no such family, or no such Python.
        DataError: a process fails.
    """
    unknown = [name for name in names if name not in FAMILIES]
    if unknown:
        raise ConfigError(f"{unknown[0]}: no family; there are {', '.join(FAMILIES)}.")
    if not openmmlab.is_file():
        raise ConfigError(
            f"{openmmlab}: no Python there; tests/parity/make_golden.py says how to make its environment."
        )
    numbers = [str(cores()), str(count)]
    speeds = []
    for name in names or FAMILIES:
        theirs = [str(openmmlab), "-W", "ignore", str(_TESTS / "sources/mm_speed.py"), name, *numbers]
        ours = [sys.executable, "-W", "ignore", str(_TESTS / "speed.py"), name, FAMILIES[name], *numbers]
        seconds: dict[str, list[float]] = {"theirs": [], "ours": []}
        memory = {"theirs": 0, "ours": 0}
        for _ in range(repeat):
            for whose, command in (("theirs", theirs), ("ours", ours)):
                logger.info("Running %s", " ".join(command))
                usage = measure(command)
                seconds[whose] += json.loads(usage.output.splitlines()[-1])
                memory[whose] = max(memory[whose], usage.peak)
        rates = (1 / median(seconds[whose]) for whose in ("theirs", "ours"))
        speeds.append(FamilySpeed(FAMILIES[name], *rates, memory["theirs"], memory["ours"]))
        logger.info("%s: %.2f times", name, speeds[-1].ratio)
    return ZooReport(machine("torch", "torchvision"), speeds)
