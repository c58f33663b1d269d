"""Averages of a map's parts are exported for maps of any size, and are PyTorch's."""

import pytest
import torch
from torch import nn

from bdd100k_d2.modeling.adaptive_pooling import ExportableAdaptiveAvgPool2d


@pytest.mark.parametrize("side", [1, 2, 3, 6])
def test_they_are_pytorchs_at_any_size(side: int) -> None:
    pool, own = ExportableAdaptiveAvgPool2d(side), nn.AdaptiveAvgPool2d(side)
    dynamic = torch.export.Dim.DYNAMIC
    program = torch.export.export(pool, (torch.rand(2, 3, 21, 35),), dynamic_shapes=({2: dynamic, 3: dynamic},))
    exported = program.module(check_guards=False)
    for height, width in ((21, 35), (6, 18), (7, 8), (40, 41), (4, 5)):
        maps = torch.rand(2, 3, height, width)
        assert torch.equal(pool(maps), own(maps))
        assert torch.allclose(exported(maps), own(maps), rtol=0, atol=1e-6), (height, width)
