"""The tensors of one call: which there are, and what shapes they have."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from .attention import Attention
from .errors import MtacError

__all__ = ["Call", "Size", "check", "check_values"]

STORAGES = {torch.float32: "f32", torch.float16: "f16", torch.bfloat16: "bf16"}
"""Types of q, k and v that kernels take, with the names that plans have for them."""

TENSORS = ("q", "k", "v", "parameters", "q_history", "bias", "documents", "lengths", "positions", "dropout_seed")
"""The tensors of a call."""

INTEGERS = ("documents", "lengths", "positions")
"""Inputs that hold integers, of any type."""


@dataclass(frozen=True)
class Size:
    """Batch entries, query rows, keys, and rows of history."""

    batches: int
    rows: int
    keys: int
    history: int

    @property
    def empty(self) -> bool:
        """Whether there is nothing to compute."""
        return self.batches == 0 or self.rows == 0 or self.keys == 0


class Call(NamedTuple):
    """The inputs of one call.

    Attributes:
        q: [B, H, Lq, D]
        k: [B, Hkv, Lk, D]
        v: [B, Hkv, Lk, Dv]
        parameters: float32, all values one after the other.
        q_history: [B, H, R, D], the query rows just before row 0.
        bias: [B or 1, H or 1, R + Lq, Lk], float32, added to the scores; minus infinity hides.
        documents: [B, Lk], the document of each key, negative for none.
        lengths: [B], how many rows and keys of each batch entry count.
        positions: [B], the position of row 0 among the keys; Lk - Lq where it is not given.
        dropout_seed: int32 [2], which weights are dropped; none where it is not given.
        layer: The layer's number, from 0.
        first_head: What dropout counts heads from, where other processes have other heads.
    """

    q: Tensor
    k: Tensor
    v: Tensor
    parameters: Tensor
    q_history: Tensor | None = None
    bias: Tensor | None = None
    documents: Tensor | None = None
    lengths: Tensor | None = None
    positions: Tensor | None = None
    dropout_seed: Tensor | None = None
    layer: int | None = None
    first_head: int = 0

    @property
    def differentiable(self) -> tuple[Tensor | None, ...]:
        """What has gradients, in the order of the fields."""
        return self.q, self.k, self.v, self.parameters, self.q_history, self.bias

    @property
    def signature(self) -> tuple[object, ...]:
        """All that ``check`` looks at: what fits once fits whenever it is the same."""
        given = [None if each is None else (each.shape, each.dtype, each.device) for each in self[:-2]]
        return (*given, self.layer)

    def kind(self, direction: str) -> str:
        """Which pass it is, ``forward`` or ``backward``: one with dropout is another than one without."""
        return direction if self.dropout_seed is None else f"dropout_{direction}"

    def tensors(self) -> Iterator[tuple[str, Tensor]]:
        """The tensors that are given, by name."""
        for name in TENSORS:
            tensor: Tensor | None = getattr(self, name)
            if tensor is not None:
                yield name, tensor


def check(attention: Attention, call: Call, types: Collection[torch.dtype] = STORAGES) -> Size:
    """Checks a call's tensors against the attention and each other.

    Args:
        types: What q, k and v may be.

    Raises:
        MtacError: MTA601 to MTA608 (what is given, shapes, rows), MTA670 (types), MTA671 (devices).
    """
    _check_presence(attention, call)
    for name, tensor in call.tensors():
        if tensor.device != call.q.device:
            raise MtacError(
                "MTA671",
                f"q is on {call.q.device}, {name} on {tensor.device}",
                "move all tensors of a call, and the parameters, to one device",
            )
    size = _check_shapes(attention, call)
    _check_types(call, types)
    _check_rows(attention, call, size)
    if attention.uses_layer and (call.layer is None or call.layer < 0):
        raise MtacError(
            "MTA607",
            f'the norm of "{attention.name}" scales by depth, but the layer is {call.layer}',
            "pass the layer's number, a whole number from 0",
        )
    return size


def check_values(attention: Attention, call: Call, size: Size) -> None:
    """Checks what is in the integer tensors of a call.

    Raises:
        MtacError: MTA605, MTA606 (rows that would stand before key 0), MTA608 (numbers that 32 bits do not hold).
    """
    for name in INTEGERS:
        tensor: Tensor | None = getattr(call, name)
        if tensor is None or tensor.numel() == 0:
            continue
        least, most = (int(each) for each in tensor.aminmax())
        if least < -(2**31) or most >= 2**31:
            raise MtacError(
                "MTA608",
                f"the input {name} holds {least if least < -(2**31) else most}: its values are 32-bit integers",
                "number documents from 0, and count rows and keys",
            )
    if call.positions is None or call.positions.numel() == 0 or not attention.pipeline["mask"]:
        return
    first = int(call.positions.min())
    if first < 0:
        raise MtacError(
            "MTA605",
            f"positions holds {first}: the first query row would stand before key 0",
            "give the position of the first query row among the keys, from 0, or use mask none",
        )
    if size.history > first:
        raise _history_too_long(size.history, first)


def _check_presence(attention: Attention, call: Call) -> None:
    for name in ("bias", "documents", "lengths"):
        given = getattr(call, name) is not None
        wanted = attention.masks(name)
        if given and not wanted:
            raise MtacError(
                "MTA602",
                f'the input {name} has no meaning here: the mask of "{attention.name}" does not say {name}',
                f"leave it out, or add {name} to the mask",
            )
        if wanted and not given:
            raise MtacError(
                "MTA601",
                f'the input {name} is missing: the mask of "{attention.name}" says {name}',
                f"pass the tensor {name}",
            )
    if call.dropout_seed is not None and not attention.dropouts:
        raise MtacError(
            "MTA602",
            f'the input dropout_seed has no meaning here: the weights of "{attention.name}" do not say dropout',
            "leave it out, or add dropout to the weights",
        )


def _check_shapes(attention: Attention, call: Call) -> Size:
    pipeline = attention.pipeline
    heads, kv_heads = pipeline["heads"], pipeline["kvHeads"]
    dim, value_dim = pipeline["headDim"], pipeline["valueDim"]
    _check_shape("q", call.q, "[B, H, Lq, D]", (None, heads, None, dim))
    batches, rows = call.q.shape[0], call.q.shape[2]
    _check_shape("k", call.k, "[B, Hkv, Lk, D]", (batches, kv_heads, None, dim))
    keys = call.k.shape[2]
    _check_shape("v", call.v, "[B, Hkv, Lk, Dv]", (batches, kv_heads, keys, value_dim))
    _check_shape("parameters", call.parameters, "[P]", (attention.words,))
    history = 0
    if call.q_history is not None:
        _check_shape("q_history", call.q_history, "[B, H, R, D]", (batches, heads, None, dim))
        history = call.q_history.shape[2]
    if call.bias is not None:
        shape = call.bias.shape
        expected = (
            1 if len(shape) == 4 and shape[0] == 1 else batches,
            1 if len(shape) == 4 and shape[1] == 1 else heads,
            history + rows,
            keys,
        )
        _check_shape("bias", call.bias, "[B or 1, H or 1, R + Lq, Lk]", expected)
    if call.documents is not None:
        _check_shape("documents", call.documents, "[B, Lk]", (batches, keys))
    if call.lengths is not None:
        _check_shape("lengths", call.lengths, "[B]", (batches,))
    if call.positions is not None:
        _check_shape("positions", call.positions, "[B]", (batches,))
    if call.dropout_seed is not None:
        _check_shape("dropout_seed", call.dropout_seed, "[2]", (2,))
    return Size(batches, rows, keys, history)


def _check_shape(name: str, tensor: Tensor, symbols: str, expected: tuple[int | None, ...]) -> None:
    shape = tensor.shape
    fits = len(shape) == len(expected) and all(
        wanted is None or size == wanted for size, wanted in zip(shape, expected, strict=True)
    )
    if fits:
        return
    axes = symbols[1:-1].split(", ")
    numbers = [str(wanted) if wanted is not None else axis for axis, wanted in zip(axes, expected, strict=True)]
    layout = symbols if numbers == axes else f"{symbols} = [{', '.join(numbers)}]"
    raise MtacError(
        "MTA603",
        f"the input {name} has shape {list(shape)}; expected {layout}",
        f"give {name} in the layout {symbols}",
    )


def _check_types(call: Call, types: Collection[torch.dtype]) -> None:
    def refuse(message: str, remedy: str) -> MtacError:
        return MtacError("MTA670", message, remedy)

    if call.q.dtype not in types:
        known = ", ".join(str(each).removeprefix("torch.") for each in STORAGES)
        raise refuse(
            f"q is {_name(call.q)}: kernels take {known}",
            "convert q, k and v; float64 is computed by the plain formulas (`reference=True`)",
        )
    for name in ("k", "v", "q_history"):
        tensor: Tensor | None = getattr(call, name)
        if tensor is not None and tensor.dtype != call.q.dtype:
            raise refuse(f"q is {_name(call.q)}, {name} is {_name(tensor)}", f"convert {name} to q's type")
    precision = torch.float64 if call.q.dtype == torch.float64 else torch.float32
    if call.parameters.dtype != precision:
        raise refuse(f"the parameters are {_name(call.parameters)}", f"give them as {precision}")
    for name in INTEGERS:
        tensor = getattr(call, name)
        if tensor is not None and (
            tensor.dtype.is_floating_point or tensor.dtype.is_complex or tensor.dtype == torch.bool
        ):
            raise MtacError(
                "MTA608",
                f"the input {name} is {_name(tensor)}: its values are 32-bit integers",
                "convert the tensor to int32",
            )
    if call.dropout_seed is not None and call.dropout_seed.dtype != torch.int32:
        raise MtacError(
            "MTA608",
            f"the input dropout_seed is {_name(call.dropout_seed)}: it is two words of 32 bits",
            "give int32 [2]; functions take a whole number of 64 bits, too",
        )
    if call.bias is not None and call.bias.dtype != torch.float32:
        raise refuse(f"bias is {_name(call.bias)}", "give it as float32")


def _name(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def _check_rows(attention: Attention, call: Call, size: Size) -> None:
    if attention.pipeline["mask"] and size.rows > size.keys:
        raise MtacError(
            "MTA605",
            f"q has {size.rows} rows but k only {size.keys}: the last query row stands at the last key, "
            "so the first would stand before key 0",
            "pass at least as many keys as query rows, or use mask none",
        )
    if call.positions is None and size.history > max(size.keys - size.rows, 0):
        raise _history_too_long(size.history, size.keys - size.rows)


def _history_too_long(history: int, first: int) -> MtacError:
    return MtacError(
        "MTA606",
        f"q_history has {history} rows but row 0 stands at position {first}: only {max(first, 0)} rows lie before it",
        "pass only query rows that exist, or raise positions",
    )
