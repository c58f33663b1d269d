"""timm's "same" padding is exported for any size, and gives what timm's own gives."""

import pytest
import torch
from timm.layers.conv2d_same import Conv2dSame
from torch import nn

from bdd100k_d2.modeling.same_padding import ExportableConv2dSame, make_exportable


@pytest.mark.parametrize(("kernel", "stride", "dilation"), [(3, 2, 1), (5, 2, 1), (3, 3, 2), (4, 1, 1), (2, 3, 1)])
@torch.no_grad()
def test_it_equals_timms_at_any_size(kernel: int, stride: int, dilation: int) -> None:
    torch.manual_seed(0)
    own = Conv2dSame(3, 4, kernel, stride, 0, dilation)
    model = nn.Sequential(own)
    make_exportable(model)
    assert type(model[0]) is ExportableConv2dSame
    timms = Conv2dSame(3, 4, kernel, stride, 0, dilation)
    timms.load_state_dict(own.state_dict())
    dynamic = torch.export.Dim.DYNAMIC
    program = torch.export.export(model, (torch.rand(1, 3, 21, 35),), dynamic_shapes=({2: dynamic, 3: dynamic},))
    exported = program.module(check_guards=False)
    for height, width in ((21, 35), (20, 32), (31, 18), (40, 41)):
        image = torch.rand(1, 3, height, width)
        assert torch.equal(model(image), timms(image))
        assert torch.equal(exported(image), timms(image)), (height, width)
