"""Calls captured in CUDA graphs, forward and backward, replayed with other inputs."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import torch

from .calls import Call
from .context import Case, Context, Package
from .results import CaseResult

__all__ = ["cases"]


def cases(context: Context, _step: str) -> Iterator[Case]:
    """Every attention, in bfloat16."""
    for package, name in context.attentions():
        yield Case(f"{name} bf16", partial(_check, context, package, name))


def _check(context: Context, package: Package, name: str) -> CaseResult:
    function = package.function(name)

    def drawn(seed: int) -> Call:
        return Call.of_example(package, function, (2, 130, 130, 0), torch.bfloat16, seed).on(context.device.kind)

    call, other = drawn(context.seed), drawn(context.seed + 1)
    # PyTorch does not type it.
    streams: Any = torch.cuda
    side = streams.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(2):
            call.gradients(call.compute()[0])
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        o, _ = call.compute()
        captured = {"o": o} | call.gradients(o)
    with torch.no_grad():
        for kind in ("tensors", "parameters", "integers"):
            for key, tensor in getattr(call, kind).items():
                tensor.copy_(getattr(other, kind)[key])
        call.d_o.copy_(other.d_o)
    graph.replay()
    torch.cuda.synchronize()
    expected_o, _ = other.compute()
    expected = {"o": expected_o} | other.gradients(expected_o)
    differ = [key for key in captured if not torch.equal(captured[key], expected[key])]
    if differ:
        return {"status": "wrong", "reason": f"the replay gives another {', '.join(differ)}"}
    return {"status": "passed"}
