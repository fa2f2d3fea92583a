"""Attentions by their plain formulas: every map whole, gradients by autograd. For checks, and for float64."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from .attention import Attention, ConvStage, DropoutStage, MapStage, OutputStage, depth_scale
from .call import Call
from .dropout import dropped

__all__ = ["reference"]


def reference(attention: Attention, call: Call) -> tuple[Tensor, Tensor]:
    """The attention as its formulas say, with memory for every score.

    Types with less than 32 bits are computed in float32.

    Returns:
        o [B, H, Lq, Dv] of q's type, and lse [B, H, Lq]: the logarithm of the softmax's sum, minus infinity for a row
        without keys; empty for other normalisers.
    """
    return _Formulas(attention, call).compute()


class _Formulas:
    """The maps of one call: [B, H, R + Lq, Lk]."""

    def __init__(self, attention: Attention, call: Call) -> None:
        self.attention = attention
        self.pipeline = attention.pipeline
        self.call = call
        self.type = torch.float64 if call.q.dtype == torch.float64 else torch.float32
        history = [] if call.q_history is None else [call.q_history]
        self.q = torch.cat([*history, call.q], dim=2).to(self.type)
        self.history = 0 if call.q_history is None else call.q_history.shape[2]
        repeat = self.pipeline["heads"] // self.pipeline["kvHeads"]
        self.k = call.k.to(self.type).repeat_interleave(repeat, dim=1)
        self.v = call.v.to(self.type).repeat_interleave(repeat, dim=1)
        self.keys = call.k.shape[2]
        self.values = self._values()
        self.positions = self._positions()
        self.visible = self._visible()

    def _values(self) -> dict[str, Tensor]:
        """Parameters by name."""
        parameters = self.attention.parameters
        pieces = torch.split(self.call.parameters.to(self.type), [parameter.size for parameter in parameters])
        return {each.name: piece.reshape(each.shape) for each, piece in zip(parameters, pieces, strict=True)}

    def _positions(self) -> Tensor:
        """[B, R + Lq]: where each row stands among the keys."""
        rows = self.q.shape[2]
        within = torch.arange(rows, device=self.q.device) - self.history
        if self.call.positions is None:
            return (within + self.keys - self.call.q.shape[2]).expand(self.q.shape[0], rows)
        return within + self.call.positions.long()[:, None]

    def _visible(self) -> Tensor:
        """[B, 1 or H, R + Lq, Lk]: which rows see which keys."""
        key = torch.arange(self.keys, device=self.q.device)[None, None, :]
        row = self.positions[:, :, None]
        visible = torch.ones(self.q.shape[0], self.q.shape[2], self.keys, dtype=torch.bool, device=self.q.device)
        for term in self.pipeline["mask"]:
            if term["kind"] == "causal":
                visible = visible & (key <= row)
            elif term["kind"] == "window":
                visible = visible & ((row - key).abs() < term["size"])
            elif term["kind"] == "documents":
                of_row, of_key = self._documents()
                visible = visible & (of_row[:, :, None] == of_key[:, None, :]) & (of_row[:, :, None] >= 0)
            elif term["kind"] == "lengths" and self.call.lengths is not None:
                length = self.call.lengths.long()[:, None, None]
                visible = visible & (row < length) & (key < length)
        every = visible[:, None]
        return every if self.call.bias is None else every & (self.call.bias > -math.inf)

    def _documents(self) -> tuple[Tensor, Tensor]:
        """Of each row [B, R + Lq], and of each key [B, Lk]."""
        assert self.call.documents is not None
        of_key = self.call.documents.long()
        at = self.positions.clamp(0, self.keys - 1)
        # Rows beyond the keys are of no document.
        return torch.where(at == self.positions, of_key.gather(1, at), -1), of_key

    def compute(self) -> tuple[Tensor, Tensor]:
        """o, and lse."""
        scores = torch.matmul(self.q, self.k.transpose(-1, -2)) * self.pipeline["scale"]
        for stage in self.pipeline["scores"]:
            scores = self._stage(stage, self._seen(scores))
        if self.call.bias is not None:
            scores = scores + torch.where(self.call.bias > -math.inf, self.call.bias, 0.0).to(self.type)
        weights, lse = self._softmax(scores) if self.pipeline["normalize"] == "softmax" else self._sparsemax(scores)
        for stage in self.pipeline["weights"]:
            weights = self._seen(self._stage(stage, weights))
        # What nobody sees is padding, whatever it holds.
        seen = self.visible.any(dim=-2)[..., None]
        o = torch.matmul(weights[:, :, self.history :], torch.where(seen, self.v, 0.0))
        for last in self.pipeline["output"]:
            o = self._output(last, o)
        return o.to(self.call.q.dtype), lse

    def _seen(self, scores: Tensor) -> Tensor:
        return torch.where(self.visible, scores, 0.0)

    def _stage(self, stage: MapStage, x: Tensor) -> Tensor:
        if stage["kind"] == "conv":
            return self._conv(stage, x)
        if stage["kind"] == "mix":
            group = stage["group"]
            grouped = x.reshape(x.shape[0], -1, group, *x.shape[2:])
            return torch.einsum("gon,bgnij->bgoij", self.values[stage["weight"]], grouped).flatten(1, 2)
        if stage["kind"] == "dropout":
            return self._dropout(stage, x)
        if stage["kind"] == "softcap":
            return stage["limit"] * torch.tanh(x / stage["limit"])
        return torch.relu(x)

    def _dropout(self, stage: DropoutStage, x: Tensor) -> Tensor:
        seed, rate = self.call.dropout_seed, stage["rate"]
        if seed is None:
            return x
        heads = self.call.first_head + torch.arange(x.shape[1], device=x.device)
        return torch.where(dropped(seed, rate, self.positions, heads, self.keys), 0.0, x / (1 - rate))

    def _conv(self, stage: ConvStage, x: Tensor) -> Tensor:
        """The convolution of a map; taps that reach another document, or outside the map, count as 0."""
        heads, across = x.shape[1], stage["across"]
        repeat = heads // across if stage["shared"] else 1
        weight = self.values[stage["weight"]].repeat(repeat, 1, 1, 1)
        bias_name = stage["bias"]
        bias = None if bias_name is None else self.values[bias_name].repeat(repeat)
        kernel, origin, dilation = stage["kernel"], stage["origin"], stage["dilation"]
        above, left = origin["query"] * dilation["query"], origin["key"] * dilation["key"]
        below = (kernel["query"] - 1) * dilation["query"] - above
        right = (kernel["key"] - 1) * dilation["key"] - left
        padded = F.pad(x, (left, right, above, below))
        steps = (dilation["query"], dilation["key"])
        if not self.attention.masks("documents"):
            return F.conv2d(padded, weight, bias, dilation=steps, groups=heads // across)
        of_row, of_key = self._documents()
        rows = F.pad(of_row, (above, below), value=-2)
        keys = F.pad(of_key, (left, right), value=-2)
        result = torch.zeros_like(x) if bias is None else bias[None, :, None, None].expand(x.shape)
        for a in range(kernel["query"]):
            for b in range(kernel["key"]):
                down, along = a * steps[0], b * steps[1]
                same_row = rows[:, down : down + x.shape[2]] == of_row
                same_key = keys[:, along : along + x.shape[3]] == of_key
                same = (same_row[:, :, None] & same_key[:, None, :])[:, None]
                shifted = padded[:, :, down : down + x.shape[2], along : along + x.shape[3]]
                tap = torch.where(same, shifted, 0.0)
                result = result + F.conv2d(tap, weight[:, :, a : a + 1, b : b + 1], groups=heads // across)
        return result

    def _softmax(self, scores: Tensor) -> tuple[Tensor, Tensor]:
        some = self.visible.any(dim=-1, keepdim=True)
        hidden = torch.where(self.visible, scores, -math.inf)
        # A row that sees nothing would be 0 / 0.
        lse = torch.where(some, torch.logsumexp(torch.where(some, hidden, 0.0), dim=-1, keepdim=True), 0.0)
        weights = torch.where(self.visible, torch.exp(torch.where(self.visible, scores - lse, 0.0)), 0.0)
        shown = torch.where(some, lse, -math.inf).expand(*scores.shape[:3], 1)
        return weights, shown[:, :, self.history :, 0].detach().to(torch.float32)

    def _sparsemax(self, scores: Tensor) -> tuple[Tensor, Tensor]:
        """Sparsemax (Martins and Astudillo 2016, algorithm 1): scores less a threshold, where that is positive."""
        visible = self.visible.expand(scores.shape)
        hidden = torch.where(visible, scores, -math.inf)
        ordered = torch.sort(hidden, dim=-1, descending=True)[0]
        finite = torch.where(ordered > -math.inf, ordered, 0.0)
        sums = finite.cumsum(dim=-1)
        rank = torch.arange(1, self.keys + 1, device=scores.device, dtype=self.type)
        support = ((ordered > -math.inf) & (1 + rank * finite > sums)).sum(dim=-1, keepdim=True).clamp(min=1)
        threshold = (sums.gather(-1, support - 1) - 1) / support
        weights = torch.where(visible, torch.relu(torch.where(visible, scores, 0.0) - threshold), 0.0)
        return weights, scores.new_empty(0, dtype=torch.float32)

    def _output(self, stage: OutputStage, o: Tensor) -> Tensor:
        weight = self.values[stage["weight"]]
        if stage["kind"] == "norm":
            factor = depth_scale(self.call.layer or 0) if stage["depthScale"] else 1.0
            return o * torch.rsqrt((o * o).mean(dim=-1, keepdim=True) + stage["eps"]) * weight * factor
        return o * torch.sigmoid(o @ weight.transpose(0, 1) + self.values[stage["bias"]])
