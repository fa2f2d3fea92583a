"""Training and evaluation."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .data import VOCABULARY, Task, sample
from .model import Model, Shape

TEST_SEED = 7
"""Held-out samples are the same for all runs, and of another seed than any that is trained with."""


@dataclass(frozen=True)
class Scale:
    """How large task, model and training are.

    Attributes:
        task: Size of samples.
        shape: Size of the model.
        steps: Steps of training.
        batch: Samples of a step.
        rate: Learning rate after the warm-up.
        matrices: The same for the matrices of the layers, which Muon trains (https://kellerjordan.github.io/posts/muon),
            AdamW the rest; 0 where AdamW trains all.
        warmup: Steps until then.
        decays: Whether the rate falls to 0, as half a cosine.
        tested: Held-out samples.
    """

    task: Task
    shape: Shape
    steps: int
    batch: int
    rate: float
    matrices: float
    warmup: int
    decays: bool
    tested: int


SCALES = {
    "tiny": Scale(Task(3), Shape(64, 2, 2, 128, VOCABULARY), 60, 16, 1e-3, 5e-3, 10, True, 64),
    "small": Scale(Task(8), Shape(64, 3, 2, 192, VOCABULARY), 4_000, 64, 2e-3, 5e-3, 100, True, 1000),
    "paper": Scale(Task(52), Shape(256, 4, 2, 768, VOCABULARY), 100_000, 64, 1e-4, 0, 1000, False, 1000),
}


def train(
    scale: Scale, attention: type[nn.Module], seed: int, folder: Path, every: int = 100
) -> Iterator[dict[str, float]]:
    """Trains a model, or goes on where a run in the same folder was stopped; gives figures every so many steps.

    The folder holds ``checkpoint.pt`` and, at the end, ``result.json``.
    """
    torch.manual_seed(seed)
    model = Model(scale.shape, attention)
    optimizers = _optimizers(model, scale)
    schedules = [torch.optim.lr_scheduler.LambdaLR(each, lambda step: _rate(scale, step)) for each in optimizers]
    stepping: list[torch.optim.Optimizer | torch.optim.lr_scheduler.LRScheduler] = [*optimizers, *schedules]
    generator = torch.Generator().manual_seed(seed)
    folder.mkdir(parents=True, exist_ok=True)
    checkpoint = folder / "checkpoint.pt"
    step, seconds, lines = 0, 0.0, list[dict[str, float]]()
    if checkpoint.exists():
        kept = torch.load(checkpoint, weights_only=True)
        model.load_state_dict(kept["model"])
        for each, state in zip(stepping, kept["stepping"], strict=True):
            each.load_state_dict(state)
        generator.set_state(kept["generator"])
        torch.set_rng_state(kept["random"])
        step, seconds, lines = kept["step"], kept["seconds"], kept["lines"]
    while step < scale.steps:
        began = time.perf_counter()
        loss = losses(model, sample(scale.task, scale.batch, generator), scale.task).mean()
        model.zero_grad()
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for each in stepping:
            each.step()
        step += 1
        seconds += time.perf_counter() - began
        if step % every and step < scale.steps:
            continue
        error = evaluate(model, scale)
        lines.append({"step": step, "loss": loss.item(), "error": error, "seconds": round(seconds, 2)})
        state = {"model": model.state_dict(), "stepping": [each.state_dict() for each in stepping]}
        random = {"generator": generator.get_state(), "random": torch.get_rng_state()}
        progress = random | {"step": step, "seconds": seconds, "lines": lines}
        # Beside its place and renamed: a run that is stopped while it writes keeps the one before.
        torch.save(state | progress, beside := checkpoint.with_suffix(".new"))
        beside.replace(checkpoint)
        yield lines[-1]
    made = {"torch": torch.__version__, "threads": torch.get_num_threads()}
    result = {"attention": attention.__name__, "seed": seed, "scale": asdict(scale), "made": made, "lines": lines}
    (folder / "result.json").write_text(json.dumps(result, indent=1) + "\n")


def _optimizers(model: Model, scale: Scale) -> list[torch.optim.Optimizer]:
    """Muon for the matrices of the layers, where the scale has a rate for them, and AdamW for all else."""
    matrices = [each for each in model.blocks.parameters() if each.ndim == 2] if scale.matrices else []
    taken = {id(each) for each in matrices}
    rest = [each for each in model.parameters() if id(each) not in taken]
    adam = torch.optim.AdamW(rest, lr=scale.rate, betas=(0.9, 0.98), eps=1e-8, weight_decay=0.0)
    if not matrices:
        return [adam]
    # Steps as large as AdamW's, whatever a matrix's shape is (arXiv 2502.16982, section 2.2).
    return [adam, torch.optim.Muon(matrices, lr=scale.matrices, weight_decay=0.0, adjust_lr_fn="match_rms_adamw")]


def _rate(scale: Scale, step: int) -> float:
    """The share of the learning rate at a step."""
    if step < scale.warmup:
        return (step + 1) / scale.warmup
    if not scale.decays:
        return 1.0
    return 0.5 + 0.5 * math.cos(math.pi * (step - scale.warmup) / max(scale.steps - scale.warmup, 1))


def losses(model: nn.Module, tokens: Tensor, task: Task) -> Tensor:
    """Cross entropy of the answer's tokens and the end, [B, letters + 1]."""
    wanted = tokens[:, task.prompt :]
    logits = model(tokens[:, :-1], wanted.shape[1])
    found: Tensor = F.cross_entropy(logits.flatten(0, 1), wanted.flatten(), reduction="none")
    return found.reshape(wanted.shape)


@torch.no_grad()
def evaluate(model: nn.Module, scale: Scale) -> float:
    """The share of held-out samples of which at least one token is wrong, each given the right ones before it.

    Nothing is dropped.
    """
    model.eval()
    generator = torch.Generator().manual_seed(TEST_SEED)
    wrong = 0
    for first in range(0, scale.tested, scale.batch):
        tokens = sample(scale.task, min(scale.batch, scale.tested - first), generator)
        wanted = tokens[:, scale.task.prompt :]
        found = model(tokens[:, :-1], wanted.shape[1]).argmax(-1)
        wrong += int((found != wanted).any(1).sum())
    model.train()
    return wrong / scale.tested
