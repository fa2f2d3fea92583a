"""One attention as a function of tensors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.autograd.forward_ad as forward_ad
from torch import Tensor
from torch._utils import _flatten_dense_tensors
from torch.distributed.tensor import DTensor

from .attention import Attention, Parameter
from .call import STORAGES, Call, check, check_values
from .dropout import seed_of
from .errors import MtacError
from .ops import Operators, register
from .reference import reference as plain_formulas
from .sharding import check_spread, whole_on

__all__ = ["AttentionFunction", "function_of"]

_FUNCTIONS: dict[tuple[str, str], AttentionFunction] = {}
"""Those of this process, by namespace and name: operators are registered once."""


class AttentionFunction:
    """An attention: (q, k, v, parameters, ...) -> (o, lse), differentiable in all tensors but integers."""

    def __init__(self, attention: Attention) -> None:
        """Registers the attention's operators."""
        self.attention = attention
        self.operators: Operators = register(attention)
        self._keeps_values = attention.keeps_values
        _FUNCTIONS[attention.namespace, attention.name] = self

    def __deepcopy__(self, _memo: object) -> AttentionFunction:
        """Itself: it has no state, and its operators are the process's."""
        return self

    def __reduce__(self) -> tuple[object, ...]:
        """Another process registers the operators itself."""
        return function_of, (self.attention,)

    def __call__(
        self,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        parameters: Mapping[str, Tensor],
        *,
        q_history: Tensor | None = None,
        bias: Tensor | None = None,
        documents: Tensor | None = None,
        lengths: Tensor | None = None,
        positions: Tensor | None = None,
        dropout_seed: Tensor | int | None = None,
        layer: int | None = None,
        first_head: int = 0,
        reference: bool = False,
    ) -> tuple[Tensor, Tensor]:
        """Computes the attention.

        float64, and every type with ``reference``, is computed by the plain formulas, which keep every score. Under
        autocast q, k, v and q_history are converted to its type; parameters stay float32. Where the spec has dropout,
        a call with ``dropout_seed``, as ``seed_of`` takes it, drops weights; the same ones for the same seed.
        ``first_head`` is the number of head 0 among all, where other processes have other heads.

        Returns:
            o [B, H, Lq, Dv] of q's type; lse [B, H, Lq], float32, empty without a softmax.

        Raises:
            MtacError: MTA601 to MTA608, MTA611 to MTA613, MTA670, MTA671, MTA687 for what is given; MTA675 for
                forward-mode differentiation; MTA880 to MTA884 where there is no compiled library.
        """
        wanted = _autocast_type(q.device.type)
        if wanted is not None:
            q, k, v = (_converted(each, wanted) for each in (q, k, v))
            q_history = None if q_history is None else _converted(q_history, wanted)
        if not reference and not torch.compiler.is_compiling() and forward_ad._current_level >= 0:
            _refuse_tangents(q, k, v, q_history, bias, *parameters.values())
        packed = self._pack(parameters, q)
        seed = seed_of(dropout_seed, q.device)
        if seed is not None and isinstance(q, DTensor) and not isinstance(seed, DTensor):
            seed = whole_on(q.device_mesh, seed)
        call = Call(q, k, v, packed, q_history, bias, documents, lengths, positions, seed, layer, first_head)
        is_plain = reference or q.dtype == torch.float64
        if isinstance(q, DTensor) or isinstance(packed, DTensor):
            check_spread(self.attention, call, is_plain)
        if is_plain:
            size = check(self.attention, call, STORAGES | {torch.float64: "f64"})
            if not torch.compiler.is_compiling():
                check_values(self.attention, call, size)
            return plain_formulas(self.attention, call)
        # What a backward pass would compute again is kept where one may follow.
        keep = self._keeps_values and torch.is_grad_enabled() and any(map(_requires_gradient, call.differentiable))
        o, lse, _ = self.operators.forward(*call, keep)
        return o, lse

    def _pack(self, parameters: Mapping[str, Tensor], q: Tensor) -> Tensor:
        """All values, one parameter after the other: float32, or float64 beside float64."""
        pieces = [_piece(parameters, each) for each in self.attention.parameters]
        if len(parameters) != len(pieces):
            wanted = [each.name for each in self.attention.parameters]
            name = next(each for each in parameters if each not in wanted)
            raise MtacError(
                "MTA612",
                f'"{self.attention.name}" has no parameter {name}: it has {", ".join(wanted) or "none"}',
                "leave it out",
            )
        precision = torch.float64 if q.dtype == torch.float64 else torch.float32
        if not pieces:
            return q.new_empty(0, dtype=precision)
        # What `torch.cat` of flat pieces gives, in one call.
        flatten: Callable[[list[Tensor]], Tensor] = _flatten_dense_tensors
        return flatten([each if each.dtype == precision else each.to(precision) for each in pieces])


def _piece(parameters: Mapping[str, Tensor], parameter: Parameter) -> Tensor:
    """The value of a parameter."""
    value = parameters.get(parameter.name)
    if value is None:
        raise MtacError(
            "MTA611",
            f"the parameter {parameter.name} {list(parameter.shape)} is missing",
            f"pass the tensor {parameter.name}",
        )
    if value.shape != parameter.shape:
        raise MtacError(
            "MTA613",
            f"the parameter {parameter.name} has shape {list(value.shape)}; expected {list(parameter.shape)}",
            "reshape it, or change the stage that it belongs to",
        )
    return value


def function_of(attention: Attention) -> AttentionFunction:
    """What computes an attention in this process."""
    return _FUNCTIONS.get((attention.namespace, attention.name)) or AttentionFunction(attention)


def _requires_gradient(tensor: Tensor | None) -> bool:
    return tensor is not None and tensor.requires_grad


def _refuse_tangents(*tensors: Tensor | None) -> None:
    """Inside of forward-mode differentiation."""
    unpack: Any = forward_ad.unpack_dual
    if any(each is not None and unpack(each).tangent is not None for each in tensors):
        raise MtacError(
            "MTA675",
            "kernels do not differentiate forward: the result's tangent would be 0",
            "take the plain formulas with `reference=True`",
        )


def _autocast_type(device: str) -> torch.dtype | None:
    """Autocast's type, where that is on and kernels take it."""
    if not torch.amp.is_autocast_available(device) or not torch.is_autocast_enabled(device):
        return None
    wanted = torch.get_autocast_dtype(device)
    return wanted if wanted in STORAGES else None


def _converted(tensor: Tensor, wanted: torch.dtype) -> Tensor:
    """In autocast's type; float64 stays, as autocast leaves it."""
    return tensor if tensor.dtype == torch.float64 else tensor.to(wanted)
