"""An attention whose heads are spread over processes: each computes whole groups of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, autograd
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.tensor import DTensor, Replicate, Shard
from torch.distributed.tensor.placement_types import Placement

from .attention import Attention, Parameter
from .dropout import first_seed
from .errors import MtacError
from .function import AttentionFunction, function_of

__all__ = ["HeadSplit"]

HEADS = 1
"""The axis of the heads, in [B, H, L, D]."""


class HeadSplit:
    """How an attention's heads are spread: process r of n has heads r * H / n to (r + 1) * H / n."""

    def __init__(self, attention: Attention, mesh: DeviceMesh) -> None:
        """Checks that no group of heads is split, and registers the operators of a part.

        Raises:
            MtacError: MTA685.
        """
        if mesh.ndim != 1:
            raise MtacError(
                "MTA685",
                f"heads are spread over one axis of a mesh, and this one has {mesh.ndim}",
                'take the axis that tensor parallelism has: mesh["tp"]',
            )
        self.attention = attention
        self.mesh = mesh
        self.count = mesh.size()
        _check_count(attention, self.count)
        self.function: AttentionFunction = function_of(attention.part(self.count))

    def placements(self, parameter: Parameter) -> list[Placement]:
        """How a parameter lies on the mesh: by heads, or whole in each process where all heads share it."""
        return [Shard(0) if parameter.by_heads else Replicate()]

    def values(self, values: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """This process's parts of the parameters; gradients of what heads share are summed over the processes."""
        mine: dict[str, Tensor] = {}
        for each in self.attention.parameters:
            value = values[each.name]
            if isinstance(value, DTensor):
                mine[each.name] = value.redistribute(self.mesh, self.placements(each)).to_local()
            else:
                mine[each.name] = value.chunk(self.count)[self.mesh.get_local_rank()] if each.by_heads else value
        shared = [each.name for each in self.attention.parameters if not each.by_heads]
        summed = self._summed([mine[name] for name in shared])
        return mine | dict(zip(shared, summed, strict=True))

    def rows(self, name: str, tensor: Tensor) -> Tensor:
        """This process's heads of q, k, v or q_history [B, H / n, L, D], of a DTensor or given as they are.

        Raises:
            MtacError: MTA671 (not on the processor), MTA686 (these are not its heads).
        """
        if self.count > 1 and tensor.device.type != "cpu":
            raise MtacError(
                "MTA671",
                f"{name} is on {tensor.device}, where this package has no kernels for a part of the heads",
                "compile a spec with each process's heads for CUDA, or compute on the processor",
            )
        if isinstance(tensor, DTensor):
            return tensor.redistribute(self.mesh, [Shard(HEADS)]).to_local()
        pipeline = self.attention.pipeline
        heads = pipeline["heads" if name in ("q", "q_history") else "kvHeads"]
        if tensor.dim() == 4 and tensor.shape[HEADS] != heads // self.count:
            raise MtacError(
                "MTA686",
                f"{name} has {tensor.shape[HEADS]} heads; each of the {self.count} processes computes "
                f'{heads // self.count} of the {heads} of "{self.attention.name}"',
                "give each process its own heads, as ColwiseParallel of the projections does, or a DTensor",
            )
        return tensor

    @property
    def first_head(self) -> int:
        """The number of this process's head 0 among all."""
        return self.mesh.get_local_rank() * (self.attention.pipeline["heads"] // self.count)

    def draw_seed(self, device: torch.device) -> Tensor:
        """A seed of dropout that all processes have."""
        return first_seed(device, self.mesh.get_group())

    def bias(self, bias: Tensor | None) -> Tensor | None:
        """This process's heads of a bias [B or 1, H / n or 1, R + Lq, Lk].

        The gradient of one that all heads share is summed over the processes. Where each process has one head, a bias
        that is no DTensor is that of this head.
        """
        if bias is None:
            return None
        is_shared = bias.dim() == 4 and bias.shape[HEADS] == 1
        if isinstance(bias, DTensor):
            bias = bias.redistribute(self.mesh, [Replicate() if is_shared else Shard(HEADS)]).to_local()
        elif self.attention.pipeline["heads"] == self.count:
            return bias
        return self._summed([bias])[0] if is_shared else bias

    def whole(self, tensor: Tensor | None) -> Tensor | None:
        """All of documents, lengths or positions."""
        return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor

    def spread(self, o: Tensor) -> Tensor:
        """The heads of all processes, as one tensor that is spread over them."""
        return DTensor.from_local(o, self.mesh, [Shard(HEADS)], run_check=False)

    def _summed(self, tensors: list[Tensor]) -> tuple[Tensor, ...]:
        if not tensors:
            return ()
        apply: Callable[..., tuple[Tensor, ...]] = _SumOfGradients.apply
        return apply(self.mesh.get_group(), *tensors)


def _check_count(attention: Attention, count: int) -> None:
    if count == 1 or count in attention.parts:
        return
    pipeline = attention.pipeline
    known = ", ".join(str(each) for each in attention.parts)
    raise MtacError(
        "MTA685",
        f'the {pipeline["heads"]} heads of "{attention.name}" cannot be spread over {count} processes: '
        f"{attention.cpu['group']} that are mixed, and those that share a key head, stay together",
        f"spread them over {known}" if known else "mix smaller groups, or spread rows: `context_parallel`",
    )


class _SumOfGradients(autograd.Function):
    """Tensors as they are; their gradients are summed over the processes, which have other heads.

    One function for all tensors: its backward pass runs once in each process, so that sums meet in the same order.
    """

    @staticmethod
    def forward(ctx: Any, group: dist.ProcessGroup, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Gives the tensors."""
        ctx.group = group
        return tuple(tensor.view_as(tensor) for tensor in tensors)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """Sums the gradients of all processes."""
        results = [gradient.contiguous().clone() for gradient in gradients]
        for result in results:
            dist.all_reduce(result, group=ctx.group)
        return (None, *results)
