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

    def forward(self, x: Tensor, angles: Tensor) -> Tensor:
        """x is [B, L, dim]."""
        q, k, v = self.qkv(self.attention_norm(x)).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        o: Tensor = self.attention(rotate(q, angles), rotate(k, angles), v)
        x = x + self.output(o.transpose(1, 2).flatten(2))
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

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens [B, L] to logits [B, L, vocabulary]."""
        x = self.embedding(tokens)
        angles = rotary_angles(tokens.shape[1], self.shape.dim // self.shape.heads, tokens.device)
        for block in self.blocks:
            x = block(x, angles)
        return F.linear(self.norm(x), self.embedding.weight)


def rotary_angles(rows: int, dim: int, device: torch.device, base: float = 1e5) -> Tensor:
    """Angles of rotary positions, [rows, dim / 2] (arXiv 2104.09864)."""
    frequencies = base ** (-torch.arange(0, dim, 2, device=device) / dim)
    return torch.arange(rows, device=device)[:, None] * frequencies


def rotate(x: Tensor, angles: Tensor) -> Tensor:
    """Turns pairs of channels of x [B, H, L, D] by angles [L, D / 2]."""
    first, second = x.chunk(2, dim=-1)
    cosine, sine = angles.cos(), angles.sin()
    return torch.cat([first * cosine - second * sine, first * sine + second * cosine], dim=-1)
