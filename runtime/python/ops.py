"""Attentions as PyTorch operators: ``torch.ops.<namespace>.<name>_attn_fwd`` and ``..._attn_bwd``."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor
from torch._ops import OpOverload

from . import cpu, cuda
from .attention import Attention
from .call import Call, Size, check, check_values
from .dispatch import define
from .errors import MtacError
from .sharding import register_placements

__all__ = ["Operators", "register"]

INPUTS = (
    "Tensor q, Tensor k, Tensor v, Tensor parameters, Tensor? q_history, Tensor? bias, "
    "Tensor? documents, Tensor? lengths, Tensor? positions, Tensor? dropout_seed, int? layer, int first_head"
)
"""What both operators take: the fields of ``Call``."""

MOST_KNOWN = 1024
"""Shapes of calls that are remembered as fitting."""

DIFFERENTIABLE = 6
"""So many of the inputs have gradients, the first ones: q, k, v, the parameters, q_history and the bias."""


class Kernels(Protocol):
    """What computes calls on devices of a kind: the modules ``cpu`` and ``cuda``."""

    def forward(self, attention: Attention, call: Call, size: Size, o: Tensor, lse: Tensor | None) -> None:
        """Computes o [B, H, Lq, Dv] and lse [B, H, Lq], which are contiguous."""
        ...

    def backward(
        self, attention: Attention, call: Call, size: Size, d_o: Tensor, wanted: Sequence[bool]
    ) -> list[Tensor | None]:
        """Gradients of ``call.differentiable``, float32 and contiguous; None where one is not wanted."""
        ...


KERNELS: dict[str, Kernels] = {"cpu": cpu, "cuda": cuda}
"""By PyTorch's names of devices' kinds."""


@dataclass(frozen=True)
class Operators:
    """The operators of one attention.

    Attributes:
        forward: (q, k, v, parameters, q_history, bias, documents, lengths, positions, dropout_seed, layer) to (o, lse).
        backward: (d_o, the same, wanted) -> gradients of q, k, v, the parameters, q_history and the bias; empty where
            they are not wanted.
    """

    forward: OpOverload
    backward: OpOverload


def register(attention: Attention) -> Operators:
    """Makes an attention's operators known to PyTorch; once in a process."""
    has_lse = attention.pipeline["normalize"] == "softmax"
    checked = _Checked(attention)

    def outputs(call: Call, size: Size) -> tuple[Tensor, Tensor]:
        pipeline = attention.pipeline
        o = call.q.new_empty((size.batches, pipeline["heads"], size.rows, pipeline["valueDim"]))
        shape = (size.batches, pipeline["heads"], size.rows) if has_lse else (0,)
        return o, call.q.new_empty(shape, dtype=torch.float32)

    def compute(*inputs: Any) -> tuple[Tensor, Tensor]:
        call = Call(*inputs)
        size = checked.size(call)
        o, lse = outputs(call, size)
        if not size.empty:
            KERNELS[call.q.device.type].forward(attention, call, size, o, lse if has_lse else None)
            return o, lse
        # No row sees a key, and every stage of the output makes 0 of 0.
        return o.zero_(), lse.fill_(-math.inf)

    def fake(*inputs: Any) -> tuple[Tensor, Tensor]:
        call = Call(*inputs)
        return outputs(call, check(attention, call))

    def differentiate(d_o: Tensor, *inputs: Any) -> tuple[Tensor, ...]:
        call, wanted = Call(*inputs[:-1]), inputs[-1]
        size = checked.size(call)
        _check_gradient(attention, call, size, d_o)
        if size.empty:
            return tuple(each.zero_() for each in _gradients(call, wanted))
        results = KERNELS[call.q.device.type].backward(attention, call, size, d_o, wanted)
        return tuple(
            _nothing(call, tensor) if result is None or tensor is None else result.to(tensor.dtype)
            for tensor, result in zip(call.differentiable, results, strict=True)
        )

    def fake_gradients(_d_o: Tensor, *inputs: Any) -> tuple[Tensor, ...]:
        return _gradients(Call(*inputs[:-1]), inputs[-1])

    def pull_back(needed: Sequence[bool], inputs: Sequence[Any], d_o: Tensor) -> list[Tensor | None]:
        wanted = [*needed[:DIFFERENTIABLE]]
        results = backward(d_o, *inputs, wanted)
        found = [result if wish else None for wish, result in zip(wanted, results, strict=True)]
        return [*found, *[None] * (len(needed) - DIFFERENTIABLE)]

    where, name = attention.namespace, f"{attention.name}_attn"
    results = ", ".join(["Tensor"] * DIFFERENTIABLE)
    gradients = f"(Tensor d_o, {INPUTS}, bool[] wanted) -> ({results})"
    backward = define(where, f"{name}_bwd", gradients, differentiate, fake_gradients)
    forward = define(where, f"{name}_fwd", f"({INPUTS}) -> (Tensor, Tensor)", compute, fake, pull_back)
    register_placements(forward, backward)
    return Operators(forward, backward)


class _Checked:
    """Sizes of calls that fit an attention."""

    def __init__(self, attention: Attention) -> None:
        self._attention = attention
        self._known: dict[object, Size] = {}

    def size(self, call: Call) -> Size:
        """The size of a call, checked unless one like it was."""
        signature = call.signature
        size = self._known.get(signature)
        if size is None:
            size = _check(self._attention, call)
            if len(self._known) >= MOST_KNOWN:
                self._known.clear()
            self._known[signature] = size
        if call.q.device.type == "cpu":
            # Elsewhere looking at values would wait for the device.
            check_values(self._attention, call, size)
        return size


def _check(attention: Attention, call: Call) -> Size:
    size = check(attention, call)
    device = call.q.device.type
    if device not in KERNELS or (device == "cuda" and torch.version.hip is not None):
        raise MtacError(
            "MTA671",
            f"the tensors are on {device}{' by ROCm' if device in KERNELS else ''}, where this package has no kernels",
            "move them to the processor or to CUDA, or take the plain formulas with `reference=True`",
        )
    return size


def _gradients(call: Call, wanted: Sequence[bool]) -> tuple[Tensor, ...]:
    """Tensors for what is wanted, and empty ones for the rest."""
    return tuple(
        _nothing(call, tensor) if tensor is None or not wish else tensor.new_empty(tensor.shape)
        for tensor, wish in zip(call.differentiable, wanted, strict=True)
    )


def _nothing(call: Call, tensor: Tensor | None) -> Tensor:
    """What stands for a gradient that there is not."""
    return call.q.new_empty(0, dtype=call.q.dtype if tensor is None else tensor.dtype)


def _check_gradient(attention: Attention, call: Call, size: Size, d_o: Tensor) -> None:
    pipeline = attention.pipeline
    expected = (size.batches, pipeline["heads"], size.rows, pipeline["valueDim"])
    if tuple(d_o.shape) != expected:
        raise MtacError(
            "MTA603",
            f"the gradient d_o has shape {list(d_o.shape)}; expected [B, H, Lq, Dv] = {list(expected)}",
            "give d_o in o's shape",
        )
    if d_o.dtype != call.q.dtype or d_o.device != call.q.device:
        raise MtacError(
            "MTA670",
            f"the gradient d_o is {d_o.dtype} on {d_o.device}, o is {call.q.dtype} on {call.q.device}",
            "give d_o in o's type, on its device",
        )
