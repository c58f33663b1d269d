"""Synchronised batch norm where PyTorch's does not run: in processes on the CPU, and in a process alone."""

import logging

import torch
from detectron2.utils import comm
from fvcore.nn.distributed import differentiable_all_reduce
from torch import Tensor, nn

logger = logging.getLogger(__name__)


class CPUSyncBatchNorm2d(nn.BatchNorm2d):
    """What `torch.nn.SyncBatchNorm` computes, which PyTorch has for CUDA only.

    Every pixel of every process counts the same and the variance that is kept is the unbiased one, as batch norm of
    the whole batch does. (Detectron2's `NaiveSyncBatchNorm` weighs the processes equally, and keeps the biased one.)
    """

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
        return (centred * scale[:, None, None] + self.bias[:, None, None]).to(x.dtype)

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
        # The state is the same; only what `forward` does differs.
        if processes == 1:
            norm.__class__ = nn.BatchNorm2d
        elif norm.running_mean.device.type == "cpu":
            norm.__class__ = CPUSyncBatchNorm2d
