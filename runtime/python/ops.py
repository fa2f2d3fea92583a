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

VALUES = 2
"""Which result of the forward operator its gradient is given."""

MOST_KNOWN = 1024
"""Shapes of calls that are remembered as fitting."""

DIFFERENTIABLE = 6
"""So many of the inputs have gradients, the first ones: q, k, v, the parameters, q_history and the bias."""


class Kernels(Protocol):
    """What computes calls on devices of a kind: the modules ``cpu`` and ``cuda``."""

    def forward(
        self, attention: Attention, call: Call, size: Size, o: Tensor, lse: Tensor | None, values: Tensor | None
    ) -> None:
        """Computes o [B, H, Lq, Dv], lse [B, H, Lq] and values, of o's shape and float32; all are contiguous."""
        ...

    def backward(
        self,
        attention: Attention,
        call: Call,
        size: Size,
        d_o: Tensor,
        values: Tensor | None,
        wanted: Sequence[bool],
    ) -> list[Tensor | None]:
        """Gradients of ``call.differentiable``, float32 and contiguous; None where one is not wanted.

        ``values`` is what the forward pass gave, contiguous; without it, that is computed again.
        """
        ...


KERNELS: dict[str, Kernels] = {"cpu": cpu, "cuda": cuda}
"""By PyTorch's names of devices' kinds."""


@dataclass(frozen=True)
class Operators:
    """The operators of one attention.

    Attributes:
        forward: (the fields of ``Call``, keep) -> (o, lse, values). Values are weights times v [B, H, Lq, Dv], float32:
            what the stages of ``output`` are given; empty where there are none, or without ``keep``.
        backward: (d_o, values, the fields of ``Call``, wanted) -> gradients of q, k, v, the parameters, q_history and
            the bias; empty where they are not wanted. Empty values are computed again.
    """

    forward: OpOverload
    backward: OpOverload


def register(attention: Attention) -> Operators:
    """Makes an attention's operators known to PyTorch; once in a process."""
    has_lse, keeps_values = attention.pipeline["normalize"] == "softmax", attention.keeps_values
    checked = _Checked(attention)

    def outputs(call: Call, size: Size, keep: bool) -> tuple[Tensor, Tensor, Tensor]:
        shape = _shape_of_o(attention, size)
        o, lse = call.q.new_empty(shape), call.q.new_empty(shape[:-1] if has_lse else 0, dtype=torch.float32)
        values = torch.empty_like(o, dtype=torch.float32) if keep and keeps_values else lse.new_empty(0)
        return o, lse, values

    def compute(*inputs: Any) -> tuple[Tensor, Tensor, Tensor]:
        call, keep = Call(*inputs[:-1]), inputs[-1]
        size = checked.size(call)
        o, lse, values = outputs(call, size, keep)
        if not size.empty:
            kept = values if keep and keeps_values else None
            KERNELS[call.q.device.type].forward(attention, call, size, o, lse if has_lse else None, kept)
            return o, lse, values
        # No row sees a key, and every stage of the output makes 0 of 0.
        return o.zero_(), lse.fill_(-math.inf), values.zero_()

    def fake(*inputs: Any) -> tuple[Tensor, Tensor, Tensor]:
        call = Call(*inputs[:-1])
        return outputs(call, check(attention, call), inputs[-1])

    def differentiate(d_o: Tensor, values: Tensor, *inputs: Any) -> tuple[Tensor, ...]:
        call, wanted = Call(*inputs[:-1]), inputs[-1]
        size = checked.size(call)
        _check_gradient(attention, call, size, d_o)
        kept = _checked_values(attention, call, size, values)
        if size.empty:
            return tuple(each.zero_() for each in _gradients(call, wanted))
        results = KERNELS[call.q.device.type].backward(attention, call, size, d_o, kept, wanted)
        return tuple(
            _nothing(call, tensor) if result is None or tensor is None else _converted(result, tensor.dtype)
            for tensor, result in zip(call.differentiable, results, strict=True)
        )

    def fake_gradients(_d_o: Tensor, _values: Tensor, *inputs: Any) -> tuple[Tensor, ...]:
        return _gradients(Call(*inputs[:-1]), inputs[-1])

    def pull_back(needed: Sequence[bool], given: Sequence[Any], d_o: Tensor) -> list[Tensor | None]:
        wanted = [*needed[:DIFFERENTIABLE]]
        *inputs, _keep, values = given
        results = backward(d_o, values, *inputs, wanted)
        found = [result if wish else None for wish, result in zip(wanted, results, strict=True)]
        return [*found, *[None] * (len(needed) - DIFFERENTIABLE)]

    where, name = attention.namespace, f"{attention.name}_attn"
    results = ", ".join(["Tensor"] * DIFFERENTIABLE)
    gradients = f"(Tensor d_o, Tensor values, {INPUTS}, bool[] wanted) -> ({results})"
    backward = define(where, f"{name}_bwd", gradients, differentiate, fake_gradients)
    schema = f"({INPUTS}, bool keep) -> (Tensor, Tensor, Tensor)"
    forward = define(where, f"{name}_fwd", schema, compute, fake, pull_back, [VALUES])
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


def _converted(result: Tensor, dtype: torch.dtype) -> Tensor:
    return result if result.dtype == dtype else result.to(dtype)


def _nothing(call: Call, tensor: Tensor | None) -> Tensor:
    """What stands for a gradient that there is not."""
    return call.q.new_empty(0, dtype=call.q.dtype if tensor is None else tensor.dtype)


def _shape_of_o(attention: Attention, size: Size) -> tuple[int, ...]:
    pipeline = attention.pipeline
    return size.batches, pipeline["heads"], size.rows, pipeline["valueDim"]


def _checked_values(attention: Attention, call: Call, size: Size, values: Tensor) -> Tensor | None:
    """What the forward pass kept, as kernels read it; None where it kept nothing."""
    if values.numel() == 0:
        return None
    expected = _shape_of_o(attention, size) if attention.keeps_values else (0,)
    if tuple(values.shape) != expected:
        raise MtacError(
            "MTA603",
            f"the forward pass's values have shape {list(values.shape)}; expected {list(expected)}",
            "give what the forward operator gave for the same inputs, or an empty tensor",
        )
    if values.dtype != torch.float32 or values.device != call.q.device:
        raise MtacError(
            "MTA670",
            f"the forward pass's values are {values.dtype} on {values.device}; q is on {call.q.device}",
            "give what the forward operator gave: float32, on q's device",
        )
    return values.contiguous()


def _check_gradient(attention: Attention, call: Call, size: Size, d_o: Tensor) -> None:
    expected = _shape_of_o(attention, size)
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
