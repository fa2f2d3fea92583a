"""The same call twice gives the same bits."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import torch

from .calls import Call
from .context import Case, Context, Package
from .devices import TYPES
from .results import CaseResult

__all__ = ["cases"]

RUNS = 4


def cases(context: Context, _step: str) -> Iterator[Case]:
    """Every attention in every type."""
    for package, name in context.attentions():
        for type_name, dtype in TYPES.items():
            yield Case(
                f"{name} {type_name}",
                partial(_check, context, package, name, dtype),
            )


def _check(context: Context, package: Package, name: str, dtype: torch.dtype) -> CaseResult:
    rows = 515 if context.device.lacking is None else 67
    call = Call.of_example(package, package.function(name), (2, rows, rows, 0), dtype, context.seed)
    call = call.on(context.device.kind)
    first: dict[str, torch.Tensor] | None = None
    for run in range(RUNS):
        o, lse = call.compute()
        found = {"o": o.detach(), "lse": lse} | call.gradients(o)
        if first is None:
            first = found
        differ = [
            each for each in found if not torch.equal(found[each].view(torch.uint8), first[each].view(torch.uint8))
        ]
        if differ:
            return {"status": "wrong", "reason": f"run {run + 1} gives other bits of {', '.join(differ)}"}
    return {"status": "passed"}
