"""Batch norm whose statistics stay as loaded while its scale and shift are trained."""

from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812, the name PyTorch uses


class FixedStatisticsBatchNorm2d(nn.BatchNorm2d):
    """Normalises by ``running_mean`` and ``running_var`` in training too, as Vis4D's and mmdet's ``norm_eval`` do.

    Unlike Detectron2's `FrozenBatchNorm2d`, ``weight`` and ``bias`` are parameters. It derives from
    `torch.nn.BatchNorm2d`, so that optimizers and checkpoints treat it as any other norm.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Maps (N, C, H, W) to the same shape."""
        return F.batch_norm(
            x, self.running_mean, self.running_var, self.weight, self.bias, training=False, eps=self.eps
        )

    @classmethod
    def convert(cls, module: nn.Module) -> None:
        """Turns every trainable batch norm inside ``module`` into this class, in place.

        Norms whose scale is frozen already (Detectron2's `FrozenBatchNorm2d`) stay as they are.
        """
        for child in module.modules():
            if isinstance(child, nn.BatchNorm2d):
                # The state is the same; only what `forward` does differs.
                child.__class__ = cls
