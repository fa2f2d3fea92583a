"""How attentions compute on DTensors: which placements their operators take, and what they give."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch._ops import OpOverload
from torch.distributed._functional_collectives import broadcast
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.tensor import DTensor, Partial, Replicate, Shard
from torch.distributed.tensor.experimental import register_sharding
from torch.distributed.tensor.placement_types import Placement

from .attention import Attention
from .call import Call, check
from .dropout import draw_seed
from .errors import MtacError

__all__ = ["check_spread", "common_seed", "register_placements", "whole_on"]

Placements = list[Placement | None]
"""Of results or inputs, one after the other; None for what is no tensor."""


def register_placements(forward: OpOverload, backward: OpOverload) -> None:
    """Lets an attention's operators take DTensors: whole ones, or batch entries that are spread over processes.

    Heads are spread by ``HeadParallel``, rows by ``context_parallel``; a DTensor that is spread so is redistributed
    here. Where weights are dropped, batch entries are gathered, too: an entry's number decides which ones fall.
    """

    def of_forward(*given: Any) -> Sequence[tuple[Placements, Placements]]:
        *inputs, _keep = given
        ways = [(all_whole(3), [*all_whole_of(inputs), None])]
        if call_of(inputs).dropout_seed is None:
            ways.append(([Shard(0)] * 3, [*by_batches(inputs), None]))
        return ways

    def of_backward(_d_o: Any, _values: Any, *others: Any) -> Sequence[tuple[Placements, Placements]]:
        *inputs, _wanted = others
        count = len(call_of(inputs).differentiable)
        ways = [(all_whole(count), [*all_whole(2), *all_whole_of(inputs), None])]
        if call_of(inputs).dropout_seed is None:
            placements = by_batches(inputs)
            # Processes have parts of the sum that is the gradient of what all entries share.
            gradients: Placements = [Partial() if way == Replicate() else Shard(0) for way in placements[:count]]
            ways.append((gradients, [Shard(0), Shard(0), *placements, None]))
        return ways

    register_sharding(forward)(of_forward)
    register_sharding(backward)(of_backward)


def check_spread(attention: Attention, call: Call, plain: bool) -> None:
    """Checks a call with DTensors before its operator does: PyTorch puts words of its own around errors of operators.

    Raises:
        MtacError: MTA687 (some tensors are DTensors and others are not, or the plain formulas are asked for), and what
            ``check`` raises.
    """
    if plain:
        raise MtacError(
            "MTA687",
            "the plain formulas, which float64 takes, do not compute on DTensors",
            "give each process its tensors (`to_local`, `full_tensor`), or give float32",
        )
    given = zip(Call._fields, call, strict=True)
    others = [name for name, each in given if isinstance(each, Tensor) and not isinstance(each, DTensor)]
    if others:
        raise MtacError(
            "MTA687",
            f"some tensors are DTensors, and {', '.join(others)} not",
            "put the layer on the mesh with `distribute_module`, and every tensor with `distribute_tensor`",
        )
    check(attention, call)


def common_seed(device: torch.device, mesh: DeviceMesh) -> Tensor:
    """A seed of dropout that all processes of a mesh have: the first one's."""
    seed = draw_seed(device)
    for axis in range(mesh.ndim):
        # Not `dist.broadcast`, which breaks the graphs of `torch.compile`.
        seed = broadcast(seed, 0, (mesh, axis))
    return seed


def whole_on(mesh: DeviceMesh, tensor: Tensor) -> DTensor:
    """A tensor that each process of a mesh has, as a DTensor."""
    return DTensor.from_local(tensor, mesh, [Replicate()] * mesh.ndim, run_check=False)


def call_of(inputs: Sequence[Any]) -> Call:
    """The fields of a call, each a tensor's description."""
    return Call(*inputs)


def all_whole(count: int) -> Placements:
    """Results that each process has."""
    return [Replicate()] * count


def all_whole_of(inputs: Sequence[Any]) -> Placements:
    """Inputs that each process has."""
    return [Replicate() if hasattr(each, "shape") else None for each in inputs]


def by_batches(inputs: Sequence[Any]) -> Placements:
    """Inputs of which each process has some batch entries: all but the parameters, and a bias that entries share."""
    call = call_of(inputs)
    shared = [call.parameters]
    if call.bias is not None and call.bias.shape[0] == 1:
        shared.append(call.bias)
    return [
        None if whole is None else Replicate() if any(each is other for other in shared) else Shard(0)
        for each, whole in zip(inputs, all_whole_of(inputs), strict=True)
    ]
