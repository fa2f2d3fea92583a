"""A decoder of the usual kind: RMSNorm, rotary positions, SwiGLU, tied embeddings; its attention is mtac's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True)
class Shape:
    """What a model looks like.

    Attributes:
        dim: Channels between layers: heads times channels of a head.
        layers: Number of layers.
        heads: Heads of the attention.
        hidden: Channels inside the feed-forward networks.
        vocabulary: Number of tokens.
    """

    dim: int
    layers: int
    heads: int
    hidden: int
    vocabulary: int


class Block(nn.Module):
    """One layer: attention and feed-forward network, each after a norm and added to what came in."""

    def __init__(self, shape: Shape, attention: nn.Module) -> None:
        """Makes the projections around an attention."""
        super().__init__()
        self.heads = shape.heads
        self.attention = attention
        self.attention_norm = nn.RMSNorm(shape.dim, eps=1e-5)
        self.qkv = nn.Linear(shape.dim, 3 * shape.dim, bias=False)
        self.output = nn.Linear(shape.dim, shape.dim, bias=False)
        self.network_norm = nn.RMSNorm(shape.dim, eps=1e-5)
        self.gate_up = nn.Linear(shape.dim, 2 * shape.hidden, bias=False)
        self.down = nn.Linear(shape.hidden, shape.dim, bias=False)

    def forward(self, x: Tensor, turns: Tensor, rows: int) -> Tensor:
        """x is [B, L, dim]; the result has its last rows only."""
        q, k, v = self.qkv(self.attention_norm(x)).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        o: Tensor = self.attention(rotate(q, turns), rotate(k, turns), v)
        # What comes after the attention looks at each row by itself.
        x = x[:, -rows:] + self.output(o[:, :, -rows:].transpose(1, 2).flatten(2))
        gate, up = self.gate_up(self.network_norm(x)).chunk(2, dim=-1)
        added: Tensor = self.down(F.silu(gate) * up)
        return x + added


class Model(nn.Module):
    """Logits of the next token, for each token."""

    def __init__(self, shape: Shape, attention: Callable[[], nn.Module]) -> None:
        """Makes the layers.

        Args:
            shape: What the model looks like.
            attention: Makes the attention of a layer.
        """
        super().__init__()
        self.shape = shape
        self.embedding = nn.Embedding(shape.vocabulary, shape.dim)
        self.blocks = nn.ModuleList(Block(shape, attention()) for _ in range(shape.layers))
        self.norm = nn.RMSNorm(shape.dim, eps=1e-5)
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Embedding):
                nn.init.trunc_normal_(module.weight, std=shape.dim**-0.5)

    def forward(self, tokens: Tensor, rows: int) -> Tensor:
        """Tokens [B, L] to the logits of their last rows, [B, rows, vocabulary]."""
        x = self.embedding(tokens)
        last = len(self.blocks) - 1
        turns = rotary_turns(tokens.shape[1], self.shape.dim // self.shape.heads, tokens.device)
        for layer, block in enumerate(self.blocks):
            x = block(x, turns, rows if layer == last else tokens.shape[1])
        return F.linear(self.norm(x), self.embedding.weight)


def rotary_turns(rows: int, dim: int, device: torch.device, base: float = 1e5) -> Tensor:
    """Rotary positions (arXiv 2104.09864) as complex numbers of length 1, [rows, dim / 2]."""
    frequencies = base ** (-torch.arange(0, dim, 2, device=device) / dim)
    angles = torch.arange(rows, device=device)[:, None] * frequencies
    return torch.polar(torch.ones_like(angles), angles)


def rotate(x: Tensor, turns: Tensor) -> Tensor:
    """Turns pairs of neighbouring channels of x [B, H, L, D] by turns [L, D / 2]."""
    pairs = torch.view_as_complex(x.reshape(*x.shape[:-1], -1, 2))
    return torch.view_as_real(pairs * turns).flatten(-2)
