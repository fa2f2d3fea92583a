"""Tensor parallelism: heads that are spread over processes, in PyTorch's parallel styles."""

from __future__ import annotations

from torch import nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.tensor.parallel import ParallelStyle

from .layer import AttentionLayer, AttentionStack

__all__ = ["HeadParallel"]


class HeadParallel(ParallelStyle):
    """Spreads an attention's heads over the processes of a mesh, for ``parallelize_module``.

    Process r of n computes heads r * H / n to (r + 1) * H / n: it gets q, k and v of these, as ``ColwiseParallel`` of
    the projections gives them, or DTensors of all heads, and gives o likewise. Parameters of heads are sharded;
    gradients of those that heads share are summed over the processes, which have the same rows.
    """

    def _apply(self, module: nn.Module, device_mesh: DeviceMesh) -> nn.Module:
        """Spreads a layer, or all layers of a stack.

        Raises:
            MtacError: MTA685: heads that are computed together would be in different processes.
            TypeError: The module is no attention.
        """
        if isinstance(module, AttentionStack):
            for layer in module:
                layer.split_heads(device_mesh)
        elif isinstance(module, AttentionLayer):
            module.split_heads(device_mesh)
        else:
            raise TypeError(f"HeadParallel is for attentions of this package, not for {type(module).__name__}")
        return module
