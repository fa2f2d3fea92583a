"""``python -m toy.speed``: an attention call at the scale ``small``, forward and backward, by mtac and by formulas."""

from __future__ import annotations

import statistics
import time

import torch
from torch import nn

from .__main__ import ATTENTIONS
from .train import SCALES

ROUNDS = 30
"""Calls that are timed of each kind."""


def call(attention: nn.Module, tensors: list[torch.Tensor]) -> float:
    """Seconds of a forward and a backward pass."""
    began = time.perf_counter()
    torch.autograd.backward(attention(*tensors).sum())
    return time.perf_counter() - began


def main() -> None:
    """Prints the medians of calls in turns, one thread, and their ratio."""
    torch.set_num_threads(1)
    scale = SCALES["small"]
    shape = scale.shape
    size = (scale.batch, shape.heads, scale.task.length - 1, shape.dim // shape.heads)
    tensors = [torch.randn(size, requires_grad=True) for _ in range(3)]
    kinds = {name: ATTENTIONS[name]() for name in ("mta", "formulas")}
    seconds: dict[str, list[float]] = {name: [] for name in kinds}
    for round_number in range(ROUNDS + 3):
        for name, attention in kinds.items():
            taken = call(attention, tensors)
            if round_number >= 3:
                seconds[name].append(taken)
    medians = {name: statistics.median(each) for name, each in seconds.items()}
    for name, median in medians.items():
        print(f"{name:>9}  {1000 * median:6.2f} ms")
    print(f"{medians['formulas'] / medians['mta']:.1f} times")


if __name__ == "__main__":
    main()
