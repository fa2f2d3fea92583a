"""``python -m toy``: trains models on the toy task."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from attention import Mta, MtaPaper, Plain, PlainPaper

from .train import SCALES, train


class Formulas(Mta):
    """Multi-token attention without mtac's kernels: PyTorch computes the plain formulas, and differentiates them."""

    def compute(self, *tensors: Tensor, **options: Any) -> Tensor:
        """Computes what the layer computes."""
        return super().compute(*tensors, **options, reference=True)


class FormulasPaper(MtaPaper):
    """The same at the paper's size."""

    def compute(self, *tensors: Tensor, **options: Any) -> Tensor:
        """Computes what the layer computes."""
        return super().compute(*tensors, **options, reference=True)


ATTENTIONS = {"mta": Mta, "plain": Plain, "formulas": Formulas}
PAPER = {"mta": MtaPaper, "plain": PlainPaper, "formulas": FormulasPaper}


def attention_of(scale: str, name: str) -> type[torch.nn.Module]:
    """The attention ``mta``, ``plain`` or ``formulas`` of a scale's size."""
    return (PAPER if scale == "paper" else ATTENTIONS)[name]


def main() -> None:
    """Trains what the arguments say."""
    parser = argparse.ArgumentParser(prog="python -m toy", description=__doc__)
    parser.add_argument("--scale", choices=SCALES, default="small")
    parser.add_argument("--attention", choices=ATTENTIONS, nargs="+", default=["mta", "plain"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[42, 43, 44])
    parser.add_argument("--out", type=Path, default=Path("runs"), help="checkpoints and results (default: runs)")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    for seed in arguments.seeds:
        for name in arguments.attention:
            folder = arguments.out / f"{arguments.scale}-{name}-{seed}"
            for line in train(SCALES[arguments.scale], attention_of(arguments.scale, name), seed, folder):
                shown = f"loss {line['loss']:.4f}  error {line['error']:6.1%}  {line['seconds']:7.1f} s"
                print(f"{name:>5}  seed {seed}  step {line['step']:6.0f}  {shown}", flush=True)


if __name__ == "__main__":
    main()
