"""Batch norms: with fixed statistics, folded into convolutions, and synchronised where PyTorch cannot."""

import logging

import torch
from detectron2.layers import Conv2d, DeformConv, FrozenBatchNorm2d, ModulatedDeformConv
from detectron2.utils import comm
from fvcore.nn.distributed import differentiable_all_reduce
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812, the name PyTorch uses
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils.fusion import fuse_conv_bn_weights

logger = logging.getLogger(__name__)

# Of Detectron2, with a norm behind them.
_CONVOLUTIONS = (Conv2d, DeformConv, ModulatedDeformConv)


class FixedStatisticsBatchNorm2d(nn.BatchNorm2d):
    """Normalises by ``running_mean`` and ``running_var`` in training too, as Vis4D's and mmdet's ``norm_eval`` do.

    Unlike Detectron2's `FrozenBatchNorm2d`, ``weight`` and ``bias`` are parameters. It derives from
    `torch.nn.BatchNorm2d`, so that optimizers and checkpoints treat it as any other norm.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Maps (N, C, H, W) to the same shape."""
        statistics = (self.running_mean, self.running_var)
        return F.batch_norm(x, *statistics, self.weight, self.bias, training=False, eps=self.eps)

    @classmethod
    def convert(cls, module: nn.Module) -> None:
        """Turns every trainable batch norm inside ``module`` into this class, in place.

        Norms whose scale is frozen already (Detectron2's `FrozenBatchNorm2d`) stay as they are.
        """
        for child in module.modules():
            if isinstance(child, nn.BatchNorm2d):
                # The state is the same; only what `forward` does differs.
                child.__class__ = cls


def fold_norms(model: nn.Module) -> int:
    """Multiplies the batch norms of Detectron2's convolutions into their weights, in place; returns how many.

    For prediction alone: the state of ``model`` has other keys afterwards. The results are the same but for rounding.
    Norms that depend on the image (GN, LN) stay. Raises `ValueError` in training mode.
    """
    if model.training:
        raise ValueError("the norms of a model that trains cannot be folded; call its eval() before.")
    count = 0
    for layer in model.modules():
        if isinstance(layer, _CONVOLUTIONS) and isinstance(layer.norm, _BatchNorm | FrozenBatchNorm2d):
            norm = layer.norm
            with torch.no_grad():
                # Norms of Detectron2 have statistics; PyTorch's types leave it open.
                statistics: tuple[Tensor, Tensor] = norm.running_mean, norm.running_var  # type: ignore[assignment]
                layer.weight, layer.bias = fuse_conv_bn_weights(
                    layer.weight, layer.bias, *statistics, norm.eps, norm.weight, norm.bias
                )
            layer.norm = None
            count += 1
    return count


class CPUSyncBatchNorm2d(nn.BatchNorm2d):
    """What `torch.nn.SyncBatchNorm` computes, which PyTorch has for CUDA only.

    Every pixel of every process counts the same and the variance that is kept is the unbiased one, as batch norm of
    the whole batch does. (Detectron2's `NaiveSyncBatchNorm` weighs the processes equally, and keeps the biased one.)
    """

    # PyTorch leaves open whether a norm has them; one that tracks its statistics does.
    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor

    def forward(self, x: Tensor) -> Tensor:
        """Maps (N, C, H, W) to the same shape. In training each process has to call it; N may differ between them."""
        if not self.training or comm.get_world_size() == 1:
            return super().forward(x)
        full = x.float()
        pixels = full.new_full((1,), x.numel() // x.shape[1])
        sums = differentiable_all_reduce(torch.cat((full.sum((0, 2, 3)), pixels)))
        pixels = sums[-1].detach()
        mean = sums[:-1] / pixels
        centred = full - mean[:, None, None]
        variance = differentiable_all_reduce(centred.square().sum((0, 2, 3))) / pixels
        self._track(mean.detach(), variance.detach() * pixels / (pixels - 1))
        scale = self.weight * (variance + self.eps).rsqrt()
        result: Tensor = (centred * scale[:, None, None] + self.bias[:, None, None]).to(x.dtype)
        return result

    @torch.no_grad()
    def _track(self, mean: Tensor, variance: Tensor) -> None:
        self.num_batches_tracked += 1
        share = 1.0 / self.num_batches_tracked.item() if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean, share)
        self.running_var.lerp_(variance, share)


def adapt_sync_norms(model: nn.Module) -> None:
    """Makes each `torch.nn.SyncBatchNorm` in ``model`` run with the processes there are, in place, and logs how.

    Parameters and buffers stay. One process needs no synchronisation; several on the CPU synchronise by
    :class:`CPUSyncBatchNorm2d`; on GPUs PyTorch's own stays.
    """
    norms = [module for module in model.modules() if isinstance(module, nn.SyncBatchNorm)]
    if not norms:
        return
    processes = comm.get_world_size()
    if processes == 1:
        logger.info("SyncBN: in a single process it is BN (%d layers).", len(norms))
    else:
        logger.info("SyncBN: the statistics are those of %d processes (%d layers).", processes, len(norms))
    for norm in norms:
        # The state is the same; only what `forward` does differs, so the types need not.
        if processes == 1:
            norm.__class__ = nn.BatchNorm2d  # type: ignore[assignment]
        elif norm.weight.device.type == "cpu":
            norm.__class__ = CPUSyncBatchNorm2d  # type: ignore[assignment]
