"""One attention as a function of tensors."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from .attention import Attention
from .call import STORAGES, Call, check
from .errors import MtacError
from .ops import Operators, register
from .reference import reference as plain_formulas

__all__ = ["AttentionFunction"]

INTEGERS = (torch.int32, torch.int64, torch.int16, torch.int8, torch.uint8)


class AttentionFunction:
    """An attention: (q, k, v, parameters, ...) -> (o, lse), differentiable in all tensors but integers."""

    def __init__(self, attention: Attention) -> None:
        """Registers the attention's operators."""
        self.attention = attention
        self.operators: Operators = register(attention)

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
        layer: int | None = None,
        reference: bool = False,
    ) -> tuple[Tensor, Tensor]:
        """Computes the attention.

        float64, and every type with ``reference``, is computed by the plain formulas, which keep every score. Under
        autocast q, k, v and q_history are converted to its type; parameters stay float32.

        Returns:
            o [B, H, Lq, Dv] of q's type; lse [B, H, Lq], float32, empty without a softmax.

        Raises:
            MtacError: MTA601 to MTA608, MTA611 to MTA613, MTA670, MTA671 for what is given; MTA880 to MTA884 where
                there is no compiled library.
        """
        q, k, v = _autocast(q), _autocast(k), _autocast(v)
        q_history = None if q_history is None else _autocast(q_history)
        documents = _integers("documents", documents)
        lengths = _integers("lengths", lengths)
        positions = _integers("positions", positions)
        packed = self._pack(parameters, q)
        call = Call(q, k, v, packed, q_history, bias, documents, lengths, positions, layer)
        if reference or q.dtype == torch.float64:
            check(self.attention, call, STORAGES | {torch.float64: "f64"})
            return plain_formulas(self.attention, call)
        o, lse = self.operators.forward(q, k, v, packed, q_history, bias, documents, lengths, positions, layer)
        return o, lse

    def _pack(self, parameters: Mapping[str, Tensor], q: Tensor) -> Tensor:
        """All values, one parameter after the other: float32, or float64 beside float64."""
        wanted = [parameter.name for parameter in self.attention.parameters]
        for name in parameters:
            if name not in wanted:
                raise MtacError(
                    "MTA612",
                    f'"{self.attention.name}" has no parameter {name}: it has {", ".join(wanted) or "none"}',
                    "leave it out",
                )
        pieces = [self._piece(parameters, index) for index in range(len(wanted))]
        precision = torch.float64 if q.dtype == torch.float64 else torch.float32
        if not pieces:
            return q.new_empty(0, dtype=precision)
        return torch.cat([piece.to(precision).reshape(-1) for piece in pieces])

    def _piece(self, parameters: Mapping[str, Tensor], index: int) -> Tensor:
        parameter = self.attention.parameters[index]
        value = parameters.get(parameter.name)
        if value is None:
            raise MtacError(
                "MTA611",
                f"the parameter {parameter.name} {list(parameter.shape)} is missing",
                f"pass the tensor {parameter.name}",
            )
        if tuple(value.shape) != parameter.shape:
            raise MtacError(
                "MTA613",
                f"the parameter {parameter.name} has shape {list(value.shape)}; expected {list(parameter.shape)}",
                "reshape it, or change the stage that it belongs to",
            )
        return value


def _autocast(tensor: Tensor) -> Tensor:
    """In autocast's type, where that is on and kernels take it; float64 stays, as autocast leaves it."""
    device = tensor.device.type
    if not torch.amp.is_autocast_available(device) or not torch.is_autocast_enabled(device):
        return tensor
    wanted = torch.get_autocast_dtype(device)
    return tensor.to(wanted) if wanted in STORAGES and tensor.dtype != torch.float64 else tensor


def _integers(name: str, tensor: Tensor | None) -> Tensor | None:
    """As int32, which kernels read."""
    if tensor is None:
        return None
    if tensor.dtype not in INTEGERS:
        raise MtacError(
            "MTA608",
            f"the input {name} is {tensor.dtype}: its values are 32-bit integers",
            "convert the tensor to int32",
        )
    return tensor.to(torch.int32)
