"""Calls of attentions, and what is right of their results."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .results import CaseResult

__all__ = ["Call", "check_backward", "check_forward", "read_tensors", "verdict"]

HALF_FACTOR = 4
"""In float16 and bfloat16 kernels round scores and weights between their products: beside the tolerance of o, which is
for one rounding of the result, they may err by so many."""

STORED = {"F32": torch.float32, "F64": torch.float64, "I32": torch.int32}


@dataclass(frozen=True)
class Call:
    """What one call is given.

    Attributes:
        function: The package's ``AttentionFunction``.
        tolerances: Of o and of gradients, by type, as the package's own tests have them.
        tensors: q, k, v, and q_history and bias where there are any: what has gradients beside parameters.
        integers: documents, lengths, positions, dropout_seed.
    """

    function: Any
    tolerances: Mapping[torch.dtype, tuple[float, float]]
    tensors: dict[str, Tensor]
    parameters: dict[str, Tensor]
    integers: dict[str, Tensor]
    d_o: Tensor
    layer: int | None

    @property
    def dtype(self) -> torch.dtype:
        """Of q."""
        return self.tensors["q"].dtype

    def compute(self, *, reference: bool = False) -> tuple[Tensor, Tensor]:
        """o and lse."""
        o, lse = self.function(
            **self.tensors, parameters=self.parameters, **self.integers, layer=self.layer, reference=reference
        )
        return o, lse

    def gradients(self, o: Tensor) -> dict[str, Tensor]:
        """Of all that has gradients, by name; zeros where o does not depend on it."""
        leaves = self.tensors | self.parameters
        found = torch.autograd.grad(o, [*leaves.values()], self.d_o, materialize_grads=True)
        return {f"d_{name}": each for name, each in zip(leaves, found, strict=True)}

    def exact(self) -> Call:
        """The same call in float64, which the plain formulas compute."""

        def wide(given: dict[str, Tensor]) -> dict[str, Tensor]:
            return {name: each.detach().double().requires_grad_() for name, each in given.items()}

        # The formulas take a bias of float32 beside float64, too.
        tensors = wide({name: each for name, each in self.tensors.items() if name != "bias"})
        if "bias" in self.tensors:
            tensors["bias"] = self.tensors["bias"].detach().float().requires_grad_()
        return replace(self, tensors=tensors, parameters=wide(self.parameters), d_o=self.d_o.double())

    @staticmethod
    def of_example(package: Any, function: Any, size: tuple[int, int, int, int], dtype: torch.dtype, seed: int) -> Call:
        """A call with random values, as the package's own tests draw them.

        Args:
            package: Has it.
            function: What computes it.
            size: Batch entries, query rows, keys, rows of history.
            dtype: Of q, k and v.
            seed: The same seed gives the same values.
        """
        selftest = package.module("_runtime.selftest")
        drawn = selftest.Example(function, size, dtype, seed)
        optional = {"q_history": drawn.q_history, "bias": drawn.inputs.pop("bias", None)}
        tensors = {"q": drawn.q, "k": drawn.k, "v": drawn.v}
        tensors |= {name: each for name, each in optional.items() if each is not None}
        integers = drawn.inputs
        if drawn.seed is not None:
            # A tensor: captured graphs read what it holds when they are replayed.
            integers["dropout_seed"] = package.module("_runtime.dropout").seed_of(drawn.seed, drawn.q.device)
        return Call(function, selftest.TOLERANCES, tensors, drawn.parameters, integers, drawn.d_o, drawn.layer)

    def on(self, kind: str) -> Call:
        """The same on a device of a kind."""

        def moved(given: dict[str, Tensor]) -> dict[str, Tensor]:
            return {name: each.detach().to(kind).requires_grad_(each.requires_grad) for name, each in given.items()}

        integers = {name: each.to(kind) for name, each in self.integers.items()}
        tensors, parameters = moved(self.tensors), moved(self.parameters)
        return replace(self, tensors=tensors, parameters=parameters, integers=integers, d_o=self.d_o.to(kind))


def check_forward(call: Call, expected: Mapping[str, Tensor]) -> CaseResult:
    """Compares o, and lse where there is one: attentions without a softmax have none."""
    with torch.no_grad():
        o, lse = call.compute()
    found = {"o": o} | ({"lse": lse} if "lse" in expected and lse.numel() > 0 else {})
    tolerance = _tolerance(call, 0)
    return verdict(found, expected, {name: tolerance for name in found}, 0.0)


def check_backward(call: Call, expected: Mapping[str, Tensor]) -> CaseResult:
    """Compares the gradients that are expected; some vectors have those of q alone.

    A small rest of large terms is as exact as these are: errors are relative to all gradients together.
    """
    o, _ = call.compute()
    found = {name: each for name, each in call.gradients(o).items() if name in expected}
    scale = math.sqrt(sum(float(expected[name].double().square().sum()) for name in found))
    tolerance = _tolerance(call, 1)
    return verdict(found, expected, {name: tolerance for name in found}, scale)


def _tolerance(call: Call, which: int) -> float:
    return call.tolerances[call.dtype][which] * (1 if call.dtype == torch.float32 else HALF_FACTOR)


def verdict(
    found: Mapping[str, Tensor], expected: Mapping[str, Tensor], bounds: Mapping[str, float], scale: float
) -> CaseResult:
    """Whether tensors are near what is expected: norms of errors over those of tensors, or a larger ``scale``."""
    errors: dict[str, dict[str, float]] = {}
    wrong: list[str] = []
    for name, bound in bounds.items():
        x, wanted = found[name].detach().double(), expected[name].detach().to(found[name].device).double()
        if x.shape != wanted.shape:
            return {"status": "wrong", "reason": f"{name} has shape {[*x.shape]}, not {[*wanted.shape]}"}
        # Rows without a key have a log-sum-exp of minus infinity, in both.
        same = x == wanted
        error = float(torch.where(same, 0.0, x - wanted).norm())
        size = max(float(torch.where(wanted.isfinite(), wanted, 0.0).norm()), scale)
        relative = error / size if size > 0 else error
        errors[name] = {"error": relative if math.isfinite(relative) else 1e300, "bound": bound}
        if not relative <= bound:
            wrong.append(f"{name} is off by {relative:.3g}, at most {bound:.3g}")
    if wrong:
        return {"status": "wrong", "reason": "; ".join(wrong), "errors": errors}
    return {"status": "passed", "errors": errors}


def read_tensors(file: Path) -> dict[str, Tensor]:
    """Tensors of a safetensors file."""
    data = file.read_bytes()
    (length,) = struct.unpack_from("<Q", data)
    tensors: dict[str, Tensor] = {}
    for name, entry in json.loads(data[8 : 8 + length]).items():
        if name != "__metadata__":
            start, end = (8 + length + each for each in entry["data_offsets"])
            kind = STORED[entry["dtype"]]
            flat = (
                torch.frombuffer(bytearray(data[start:end]), dtype=kind) if end > start else torch.empty(0, dtype=kind)
            )
            tensors[name] = flat.reshape(entry["shape"])
    return tensors
