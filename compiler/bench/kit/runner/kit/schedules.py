"""Other plans of the planner than the one that packages take: whether they agree, and what they take."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor

from .calls import Call, verdict
from .context import Case, Context
from .devices import TYPES
from .results import CaseResult
from .timing import TOKENS, spread

__all__ = ["cases", "lacking"]

NO_PLAN_FITS = "MTA810"
"""The device cannot run the plan: the kit's are planned for one of them."""


def lacking(context: Context) -> str | None:
    """A kit may be made without them."""
    return None if context.manifest["candidates"] else "other plans: the kit was made without them"


def cases(context: Context, _step: str) -> Iterator[Case]:
    """Plan after plan, as the manifest lists them: the most promising first."""
    for candidate in context.manifest["candidates"]:
        yield Case(
            f"{candidate['of']} {candidate['direction']}: {candidate['plan']}",
            partial(_measure, context, candidate),
        )


def _measure(context: Context, candidate: dict[str, Any]) -> CaseResult:
    package, device = context.packages[candidate["package"]], context.device
    length, backward = candidate["length"], candidate["direction"] == "backward"
    size = (max(TOKENS // length, 1), length, length, 0)
    usual_package = context.packages[candidate["ofPackage"]]
    usual = Call.of_example(
        usual_package, usual_package.function(candidate["of"]), size, TYPES[candidate["type"]], context.seed
    ).on(device.kind)
    drawn = Call.of_example(
        package, package.function(candidate["attention"]), size, TYPES[candidate["type"]], context.seed
    ).on(device.kind)
    try:
        found = _results(drawn, backward)
    except Exception as problem:
        if getattr(problem, "code", None) != NO_PLAN_FITS:
            raise
        return {"status": "skipped", "reason": f"{problem}".splitlines()[0]}
    expected = _results(usual, backward)
    # Both are off from the exact result, each by as much as its tolerance.
    bound = 8 * usual.tolerances[usual.dtype][1 if backward else 0]
    scale = sum(float(each.detach().double().square().sum()) for each in expected.values()) ** 0.5
    result = verdict(found, expected, dict.fromkeys(expected, bound), scale if backward else 0.0)
    if result["status"] == "passed":
        # Taking gradients has freed the first graph.
        run = _backward(drawn, drawn.compute()[0]) if backward else partial(_forward, drawn)
        result["data"] = {**candidate, "time": spread(device, run)}
    return result


def _results(call: Call, backward: bool) -> dict[str, Tensor]:
    o = call.compute()[0]
    return call.gradients(o) if backward else {"o": o}


def _forward(call: Call) -> Tensor:
    with torch.no_grad():
        return call.compute()[0]


def _backward(call: Call, o: Tensor) -> Callable[[], object]:
    leaves = [*call.tensors.values(), *call.parameters.values()]
    return lambda: torch.autograd.grad(o, leaves, call.d_o, retain_graph=True, allow_unused=True)
