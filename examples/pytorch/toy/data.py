"""The task: blocks of letters, two letters of one of them; which block is it?"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

LETTERS = 26
SEPARATOR, QUESTION, BEGIN, END = 26, 27, 29, 30
VOCABULARY = 32


@dataclass(frozen=True)
class Task:
    """How large samples are.

    Attributes:
        blocks: Blocks in a sample.
        letters: Distinct letters in a block.
        asked: Letters of the question, all of them in one block only.
    """

    blocks: int
    letters: int = 5
    asked: int = 2

    @property
    def prompt(self) -> int:
        """Tokens before the answer: begin, blocks with separators, question mark, letters."""
        return 1 + self.blocks * (self.letters + 1) + self.asked

    @property
    def length(self) -> int:
        """Tokens with the answer and the end."""
        return self.prompt + self.letters + 1


def sample(task: Task, count: int, generator: torch.Generator) -> Tensor:
    """Draws samples [count, length]: begin, blocks, question, the block that is asked for, end."""
    blocks = draw_blocks(task, count, generator)
    target = torch.randint(task.blocks, (count,), generator=generator)
    places = torch.rand(count, task.letters, generator=generator).argsort(1)[:, : task.asked]
    rows = torch.arange(count)
    asked = blocks[rows, target].gather(1, places)
    # A block that holds all letters of the question but is not the one is drawn again.
    while True:
        holds = (blocks[:, :, :, None] == asked[:, None, None, :]).any(2).all(2)
        holds[rows, target] = False
        if not holds.any():
            break
        blocks[holds] = draw_blocks(task, count, generator)[holds]
    separators = torch.full((count, task.blocks, 1), SEPARATOR)
    body = torch.cat([blocks, separators], dim=2).flatten(1)[:, :-1]

    def filled(token: int) -> Tensor:
        return torch.full((count, 1), token)

    answer = blocks[rows, target]
    return torch.cat([filled(BEGIN), body, filled(QUESTION), asked, answer, filled(END)], dim=1)


def draw_blocks(task: Task, count: int, generator: torch.Generator) -> Tensor:
    """Blocks of distinct letters, [count, blocks, letters]."""
    return torch.rand(count, task.blocks, LETTERS, generator=generator).argsort(2)[:, :, : task.letters]
