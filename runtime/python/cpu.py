"""Runs calls on the processor, on as many threads as PyTorch uses."""

from __future__ import annotations

import struct
from array import array
from collections.abc import Sequence

import torch
from torch import Tensor

from .attention import Attention, depth_scale
from .call import STORAGES, Call, Size
from .library import Pass, the_pass

__all__ = ["backward", "forward"]

ALIGNMENT = 64
"""Of the workspace: a line of cache, and the widest vector."""

GRADIENT_WORDS = 13
"""What follows the words of a call: what a backward pass takes and gives."""


def forward(attention: Attention, call: Call, size: Size, o: Tensor, lse: Tensor | None, values: Tensor | None) -> None:
    """Computes o [B, H, Lq, Dv], lse [B, H, Lq] and values, of o's shape and float32; all are contiguous."""
    with _Arguments() as arguments:
        words = arguments.of(call, size, _plan(attention, call, "forward"), o, lse, values)
        words += [0] * GRADIENT_WORDS
        _run(attention, size, the_pass("forward"), words)


def backward(
    attention: Attention, call: Call, size: Size, d_o: Tensor, values: Tensor | None, wanted: Sequence[bool]
) -> list[Tensor | None]:
    """Gradients of ``call.differentiable``, float32 and contiguous; None where one is not wanted.

    Args:
        d_o: The gradient of o, of its type, with any strides.
        values: What the forward pass gave, contiguous; without it, that is computed again.
        wanted: Whether to compute each of them.
    """
    results: list[Tensor | None] = [
        torch.empty(tensor.shape, dtype=torch.float32, device=tensor.device) if wish and tensor is not None else None
        for wish, tensor in zip(wanted, call.differentiable, strict=True)
    ]
    d_q, d_k, d_v, d_parameters, d_q_history, d_bias = results
    with _Arguments() as arguments:
        words = arguments.of(call, size, _plan(attention, call, "backward"), None, None, values)
        words += arguments.strided(d_o)
        words += [arguments.place(each) for each in (d_q, d_q_history, d_k, d_v, d_parameters)]
        words += [attention.words, arguments.place(d_bias)]
        words += [0, 0] if call.bias is None else call.bias.shape[:2]
        _run(attention, size, the_pass("backward"), words)
    return results


_PLANS: dict[tuple[str, ...], tuple[Tensor, Tensor]] = {}


def _plan(attention: Attention, call: Call, direction: str) -> tuple[Tensor, Tensor]:
    """The words of an attention and of its stages, as the library reads them, for all calls of a kind."""
    key = (attention.namespace, attention.name, call.kind(direction), STORAGES[call.q.dtype])
    plan = _PLANS.get(key)
    if plan is None:
        *_, kind, storage = key
        words = attention.cpu["passes"][kind][storage]
        plan = (torch.tensor(words["attention"], dtype=torch.int32), torch.tensor(words["stages"], dtype=torch.int32))
        _PLANS[key] = plan
    return plan


def _run(attention: Attention, size: Size, library: Pass, words: Sequence[int]) -> None:
    parts = _parts(attention, size)
    # ctypes' own arrays take longer to fill than the rest of this.
    packed = array("q", words)
    place, _ = packed.buffer_info()
    bytes_needed = library.workspace_bytes(place, parts)
    workspace = torch.empty(bytes_needed + ALIGNMENT, dtype=torch.uint8)
    address = workspace.data_ptr()
    library.compute(place, address + -address % ALIGNMENT, parts)


def _parts(attention: Attention, size: Size) -> int:
    """As many as PyTorch uses threads, but no more than there are tiles of rows: others would only take memory."""
    cpu = attention.cpu
    tiles = size.batches * (attention.pipeline["heads"] // cpu["group"]) * -(-size.rows // cpu["tileRows"])
    return min(torch.get_num_threads(), tiles, cpu["mostParts"])


class _Arguments:
    """Turns tensors into words, and keeps what it had to copy until the call has ended."""

    def __init__(self) -> None:
        self._kept: list[Tensor] = []

    def __enter__(self) -> _Arguments:
        return self

    def __exit__(self, *_: object) -> None:
        self._kept.clear()

    def place(self, tensor: Tensor | None) -> int:
        """The address of a tensor's first element; 0 for none."""
        if tensor is None:
            return 0
        self._kept.append(tensor)
        return tensor.data_ptr()

    def contiguous(self, tensor: Tensor | None) -> int:
        """The address of a contiguous tensor with the same values."""
        return self.place(None if tensor is None else tensor.contiguous())

    def strided(self, tensor: Tensor | None) -> list[int]:
        """The address of a tensor [B, H, L, D] and its strides; copied where a row's elements are no neighbours."""
        if tensor is None:
            return [0, 0, 0, 0]
        rows = tensor if tensor.stride(-1) == 1 or tensor.shape[-1] == 1 else tensor.contiguous()
        # An axis of one element has no second one: what broadcasts along it must find 0.
        strides = [0 if rows.shape[axis] == 1 else rows.stride(axis) for axis in range(3)]
        return [self.place(rows), *strides]

    def of(
        self,
        call: Call,
        size: Size,
        plan: tuple[Tensor, Tensor],
        o: Tensor | None,
        lse: Tensor | None,
        values: Tensor | None,
    ) -> list[int]:
        """The words of a call, as ``_native/entry.h`` reads them."""
        integers = (call.documents, call.lengths, call.positions)
        scale = 1.0 if call.layer is None else depth_scale(call.layer)
        return [
            *[self.place(each) for each in plan],
            self.contiguous(call.parameters),
            size.batches,
            size.rows,
            size.keys,
            size.history,
            *self.strided(call.q),
            *self.strided(call.q_history),
            *self.strided(call.k),
            *self.strided(call.v),
            *self.strided(call.bias),
            *self.strided(o),
            *[self.contiguous(None if each is None else each.to(torch.int32)) for each in integers],
            self.place(lse),
            struct.unpack("<I", struct.pack("<f", scale))[0],
            self.contiguous(call.dropout_seed),
            call.first_head,
            self.place(values),
        ]
