"""The project's test vectors: results and gradients of the authors' formulas in float64."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import torch

from .calls import Call, check_backward, check_forward, read_tensors
from .context import Case, Context
from .devices import TYPES
from .results import CaseResult

__all__ = ["cases"]

ROUNDED, INTEGERS = ("q", "k", "v", "q_history"), ("documents", "lengths", "positions")


def cases(context: Context, step: str) -> Iterator[Case]:
    """Every vector in every type.

    float32 is compared with the vector's results. The other types first round the inputs, which changes some results
    far more than kernels do: they are compared with the plain formulas in float64 of the same rounded inputs.
    """
    backward = step == "vectors_backward"
    for type_name, dtype in TYPES.items():
        for vector in context.manifest["vectors"]:
            yield Case(
                f"{vector['name']} {type_name}",
                partial(_check, context, vector, dtype, backward),
            )


def _check(context: Context, vector: dict[str, Any], dtype: torch.dtype, backward: bool) -> CaseResult:
    package = context.packages[vector["package"]]
    place = context.folder / "vectors" / vector["name"]
    given = read_tensors(place / "inputs.safetensors")
    function = package.function(vector["attention"])
    parameters = {each.name: given[each.name].requires_grad_() for each in function.attention.parameters}
    tensors = {name: each.to(dtype) for name, each in given.items() if name in ROUNDED}
    tensors |= {name: each for name, each in given.items() if name == "bias"}
    for each in tensors.values():
        each.requires_grad_()
    integers = {name: given[name] for name in INTEGERS if name in given}
    tolerances = package.module("_runtime.selftest").TOLERANCES
    d_o = given["d_o"].to(dtype)
    call = Call(function, tolerances, tensors, parameters, integers, d_o, vector["layer"]).on(context.device.kind)
    if dtype == torch.float32:
        expected = read_tensors(place / "expected.safetensors")
    else:
        exact = call.exact()
        o, lse = exact.compute()
        expected = {"o": o, "lse": lse} | (exact.gradients(o) if backward else {})
    if backward:
        return check_backward(call, expected)
    return check_forward(call, expected)
