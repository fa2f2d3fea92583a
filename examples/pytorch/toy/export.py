"""``python -m toy.export RUN FILE.safetensors``: a trained model's weights, for other programs.

The file has every tensor of the state dict by its name, in float32; those of attentions,
``blocks.0.attention.scores.conv.weight`` say, are what mtac's launchers read (``readParameters`` with the prefix
``blocks.0.attention.``). Its metadata has the scale as JSON. ``--answers FILE.json`` writes what the model answers to
samples, and its logits: what another program should find.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from .__main__ import attention_of
from .data import Task, sample
from .model import Model
from .train import SCALES, TEST_SEED

TOKENS = "abcdefghijklmnopqrstuvwxyz.#_^$"


@torch.no_grad()
def answers(model: Model, task: Task, count: int) -> list[dict[str, object]]:
    """Held-out texts, what the model writes after each, and the logits of these letters and of what follows them."""
    prompts = sample(task, count, torch.Generator().manual_seed(TEST_SEED))[:, : task.prompt]
    tokens = prompts
    for _ in range(task.letters):
        tokens = torch.cat([tokens, model(tokens, 1).argmax(-1)], dim=1)
    logits = model(tokens, task.letters + 1)
    return [
        {
            "text": text_of(prompt[1:]),
            "answer": text_of(written[task.prompt :]),
            "logits": [[round(value, 5) for value in row] for row in found.tolist()],
        }
        for prompt, written, found in zip(prompts, tokens, logits, strict=True)
    ]


def text_of(tokens: Tensor) -> str:
    """The letters of tokens."""
    return "".join(TOKENS[token] for token in tokens.tolist())


def main() -> None:
    """Exports what the arguments say."""
    parser = argparse.ArgumentParser(prog="python -m toy.export", description=__doc__)
    parser.add_argument("run", type=Path, help="the folder of a run: SCALE-ATTENTION-SEED")
    parser.add_argument("file", type=Path)
    parser.add_argument("--answers", type=Path)
    parser.add_argument("--count", type=int, default=4, help="how many answers (default: 4)")
    arguments = parser.parse_args()
    scale_name, attention, _ = arguments.run.name.split("-")
    scale = SCALES[scale_name]
    model = Model(scale.shape, attention_of(scale_name, attention))
    model.load_state_dict(torch.load(arguments.run / "checkpoint.pt", weights_only=True)["model"])
    model.eval()
    tensors = {name: tensor.float().contiguous() for name, tensor in model.state_dict().items()}
    save_file(tensors, arguments.file, metadata={"scale": json.dumps(asdict(scale)), "attention": attention})
    if arguments.answers is not None:
        found = answers(model, scale.task, arguments.count)
        # A line each.
        lines = ",\n".join(json.dumps(each) for each in found)
        arguments.answers.write_text(f"[\n{lines}\n]\n")


if __name__ == "__main__":
    main()
