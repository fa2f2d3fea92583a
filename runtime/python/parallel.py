"""Attention over rows that are spread over processes: each has consecutive ones of q, k and v."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from .attention import Attention
from .dropout import first_seed
from .errors import MtacError
from .layer import AttentionLayer

__all__ = ["context_parallel"]


def context_parallel(
    layer: AttentionLayer,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    documents: Tensor | None = None,
    lengths: Tensor | None = None,
    rows: Tensor | None = None,
    group: dist.ProcessGroup | None = None,
) -> Tensor:
    """Computes a layer's attention where process r of n has rows r * L / n to (r + 1) * L / n of L.

    Keys and values are gathered, and so are the last query rows of the processes before, as far as the convolutions
    read them; gradients go back to the processes that have the rows. Parameters are the same in all processes; their
    gradients are of this process's rows, and are to be summed over the group. What training drops is what one process
    would drop: the seed is that of the first process.

    Args:
        layer: The attention with its parameters.
        q: [B, H, L / n, D], this process's query rows.
        k: [B, Hkv, L / n, D], its keys.
        v: [B, Hkv, L / n, Dv], its values.
        documents: [B, L / n], where the mask says so: the documents of its keys.
        lengths: [B], where the mask says so: how many of all L rows and keys count.
        rows: [L / n], the places of this process's rows among all L, where something else has spread them: load
            balancers that give a process rows from both ends are refused, as a convolution would meet other neighbours.
        group: The processes; all, if not given.

    Returns:
        o [B, H, L / n, Dv].

    Raises:
        MtacError: MTA673 (a convolution reads later rows, or the mask has a bias), MTA674 (rows are not consecutive, or
            not as many in each process).
    """
    attention = layer.function.attention
    _check_attention(attention)
    rank, count = dist.get_rank(group), q.shape[2]
    _check_rows((q, k, v), rows, rank, group)
    last = min(attention.past, count)
    gather: Callable[..., tuple[Tensor, ...]] = _Gather.apply
    tails, keys, values = gather(group, q[:, :, count - last :], k, v)
    # The last rows of the processes before this one; none in the first process, which takes part all the same.
    earlier = tails[:, :, : rank * last]
    history = min(attention.past, rank * count)
    given = {
        "q_history": earlier[:, :, earlier.shape[2] - history :] if last > 0 else None,
        "documents": None if documents is None else _gathered(documents[:, None, :, None], group)[:, 0, :, 0],
        "lengths": lengths,
        "positions": torch.full((q.shape[0],), rank * count, dtype=torch.int32, device=q.device),
        "dropout_seed": first_seed(q.device, group) if layer.training and attention.dropouts else None,
    }
    # Called, not computed: what FSDP hangs on the layer must run.
    o: Tensor = layer(q, keys, values, **{name: each for name, each in given.items() if each is not None})
    return o


def _check_attention(attention: Attention) -> None:
    if attention.later > 0:
        raise MtacError(
            "MTA673",
            f'a convolution of "{attention.name}" reads later query rows, which other processes have',
            "use `pad_query past`, which reads earlier rows, or keep all rows in one process",
        )
    if attention.masks("bias"):
        raise MtacError(
            "MTA673",
            f'the mask of "{attention.name}" has a bias, which is not spread over processes',
            "use masks without bias, or keep all rows in one process",
        )


def _check_rows(tensors: Sequence[Tensor], rows: Tensor | None, rank: int, group: dist.ProcessGroup | None) -> None:
    """Every process learns of a fault in another one: none waits for what will not come."""
    count, device = tensors[0].shape[2], tensors[0].device
    expected = torch.arange(rank * count, (rank + 1) * count, device=device)
    fits = rows is None or torch.equal(rows.to(device=device, dtype=torch.int64), expected)
    sizes = [size for tensor in tensors for size in (tensor.shape[0], tensor.shape[2])]
    facts = torch.tensor([*sizes, int(fits)], device=device)
    all_facts = [torch.empty_like(facts) for _ in range(dist.get_world_size(group))]
    dist.all_gather(all_facts, facts, group=group)
    found = {tuple(each.tolist()[:-1]) for each in all_facts}
    if len(found) > 1 or len({tensor.shape[2] for tensor in tensors}) > 1:
        shown = "; ".join(f"q {each[1]}, k {each[3]}, v {each[5]} rows of {each[0]} entries" for each in sorted(found))
        raise MtacError(
            "MTA674",
            f"the processes have {shown}",
            "give each process as many rows, of q, k and v alike: pad the sequence",
        )
    if not all(bool(each[-1]) for each in all_facts):
        raise MtacError(
            "MTA674",
            "the rows of a process are not consecutive, or not in the order of the processes",
            "turn the load balancer off that permutes rows: convolutions need each row's real neighbours",
        )


def _gathered(x: Tensor, group: dist.ProcessGroup | None) -> Tensor:
    """Rows [B, H, L / n, D] of all processes, as [B, H, L, D]."""
    mine = x.contiguous()
    parts = [torch.empty_like(mine) for _ in range(dist.get_world_size(group))]
    dist.all_gather(parts, mine, group=group)
    return torch.cat(parts, dim=2)


class _Gather(torch.autograd.Function):
    """Gathers rows; what all processes find as the gradient of all rows is summed, and each takes its own.

    One function for all tensors: its backward pass runs once in each process, so that sums meet in the same order.
    """

    @staticmethod
    def forward(ctx: Any, group: dist.ProcessGroup | None, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Concatenates the rows of all processes."""
        ctx.group, ctx.counts = group, [x.shape[2] for x in tensors]
        return tuple(_gathered(x, group) for x in tensors)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """Sums the gradients of all processes."""
        rank = dist.get_rank(ctx.group)
        results: list[Tensor] = []
        for gradient, count in zip(gradients, ctx.counts, strict=True):
            whole = gradient.contiguous().clone()
            dist.all_reduce(whole, group=ctx.group)
            results.append(whole[:, :, rank * count : (rank + 1) * count])
        return (None, *results)
