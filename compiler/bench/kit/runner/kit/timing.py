"""Times and memory of calls, forward and backward, beside other attention."""

from __future__ import annotations

import functools
import statistics
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor

from .calls import Call
from .context import Case, Context, Package
from .devices import TYPES, Device
from .peers import COMPILED, OWN, SUBJECTS, Subject, unsuited
from .results import CaseResult

__all__ = ["cases", "spread"]

TOKENS = 16384
"""Rows of all batch entries together on a GPU, as papers on attention kernels measure."""

SECONDS = 0.4
"""That each pass is repeated for."""


def cases(context: Context, step: str) -> Iterator[Case]:
    """Length after length, those first that tell most; ours before the others.

    What PyTorch compiles anew for each length, for seconds, waits until the rest is done.
    """
    on_gpu = context.device.lacking is None
    for entry in context.manifest["timing"]["main" if step == "timing" else "others"]:
        package, name = context.packages[entry["package"]], entry["attention"]
        for type_name in entry["types"] if on_gpu else ["f32"]:
            for compiled in (False, True):
                for length in entry["lengths" if on_gpu else "processorLengths"]:
                    for subject in SUBJECTS:
                        if (subject in COMPILED) == compiled:
                            yield Case(
                                f"{name} {type_name} L {length}: {subject}",
                                partial(_measure, context, package, name, type_name, subject, length),
                            )


def _measure(context: Context, package: Package, name: str, type_name: str, subject: str, length: int) -> CaseResult:
    device = context.device
    batches = max(TOKENS // length, 1) if device.lacking is None else 1
    call = _drawn(context, package, name, type_name, batches, length)
    reason = unsuited(subject, call, device)
    if reason is not None:
        return {"status": "skipped", "reason": reason}
    data: dict[str, Any] = {
        "package": package.name,
        "attention": name,
        "type": type_name,
        "batch": batches,
        "length": length,
        "subject": subject,
    }
    try:
        one = SUBJECTS[subject](call, device)
        data["forward"] = spread(device, partial(_forward, one))
    except Exception as problem:
        return _told(problem, subject)
    try:
        data["backward"] = _backward(device, one, call.d_o)
    except Exception as problem:
        # The time of the forward pass is found, and does not go with it.
        told = _told(problem, subject)
        return {"status": "passed", "data": data | {"backward": None, "why": f"no backward pass: {told['reason']}"}}
    return {"status": "passed", "data": data}


@functools.lru_cache(maxsize=1)
def _drawn(context: Context, package: Package, name: str, type_name: str, batches: int, length: int) -> Call:
    """The call that subject after subject is timed with: drawing it takes longer than timing it."""
    size = (batches, length, length, 0)
    call = Call.of_example(package, package.function(name), size, TYPES[type_name], context.seed)
    return call.on(context.device.kind)


def _told(problem: Exception, subject: str) -> CaseResult:
    """What others cannot do, and what memory does not suffice for, is no fault of ours."""
    if isinstance(problem, MemoryError | torch.OutOfMemoryError):
        return {"status": "skipped", "reason": f"no memory: {problem}".splitlines()[0]}
    if subject == OWN:
        raise problem
    return {"status": "skipped", "reason": f"{type(problem).__name__}: {problem}".splitlines()[0]}


def _forward(one: Subject) -> Tensor:
    with torch.no_grad():
        return one.compute()


def _backward(device: Device, one: Subject, d_o: Tensor) -> dict[str, Any]:
    o = one.compute()
    given = d_o.to(o.dtype)

    def backward() -> object:
        return torch.autograd.grad(o, one.leaves, given, retain_graph=True, allow_unused=True)

    return spread(device, backward)


def spread(device: Device, run: Callable[[], object]) -> dict[str, Any]:
    """Median and quartiles of the times in nanoseconds, and the bytes at a run's peak."""
    times = device.samples(run, SECONDS)
    low, median, high = statistics.quantiles(times, n=4, method="inclusive") if len(times) > 1 else times * 3
    return {
        "median": median,
        "low": low,
        "high": high,
        "samples": len(times),
        "clock": device.clock,
        "peakBytes": device.peak(run),
    }
