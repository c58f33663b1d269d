"""A model that several processes train together."""

import torch.distributed as dist
from detectron2.config import CfgNode
from detectron2.engine import create_ddp_model
from detectron2.utils import comm
from torch import nn
from torch.nn.parallel import DistributedDataParallel


def parallel_model(cfg: CfgNode, model: nn.Module) -> nn.Module:
    """Wraps ``model`` for the processes there are: Detectron2's DDP, also on the CPU; a process alone needs none.

    Frozen parameters take no part. Parameters that a step may leave unused need
    ``MODEL.DDP_FIND_UNUSED_PARAMETERS``, or the second step fails.
    """
    # Detectron2 would name a device, which DDP refuses on the CPU.
    where = {"device_ids": None} if cfg.MODEL.DEVICE == "cpu" else {}
    unused = cfg.MODEL.DDP_FIND_UNUSED_PARAMETERS
    return create_ddp_model(model, broadcast_buffers=False, find_unused_parameters=unused, **where)


def share_buffers(model: nn.Module) -> None:
    """Gives ``model`` the buffers of the first process, which checkpoints hold, in all of them.

    Norm statistics that are not synchronised differ between the processes.
    """
    if comm.get_world_size() > 1:
        for buffer in model.buffers():
            dist.broadcast(buffer, 0)


def unwrapped(model: nn.Module) -> nn.Module:
    """The model inside the wrapper for several processes."""
    return model.module if isinstance(model, DistributedDataParallel) else model
