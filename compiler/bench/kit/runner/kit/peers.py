"""Other attention, to be timed beside ours.

PyTorch's flash attention and FlexAttention of the same heads without any stage of multi-token attention, and the plain
formulas, operator after operator, as the authors' model has them.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.compiler
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention

from .calls import Call
from .devices import Device

__all__ = ["COMPILED", "OWN", "SUBJECTS", "Subject", "unsuited"]


@dataclass(frozen=True)
class Subject:
    """Something that is timed.

    Attributes:
        compute: Gives o.
        leaves: What gradients are taken of.
    """

    compute: Callable[[], Tensor]
    leaves: list[Tensor]


def _mtac(call: Call, _device: Device) -> Subject:
    return Subject(lambda: call.compute()[0], [*call.tensors.values(), *call.parameters.values()])


def _flash(call: Call, device: Device) -> Subject:
    """Softmax attention of q, k and v. A GPU may take no other implementation in its place."""
    q, k, v = (call.tensors[name] for name in "qkv")
    pipeline = call.function.attention.pipeline
    causal = any(term["kind"] == "causal" for term in pipeline["mask"])
    grouped = pipeline["heads"] != pipeline["kvHeads"]
    rate = max(call.function.attention.dropouts, default=0.0)
    backends = [SDPBackend.FLASH_ATTENTION] + ([SDPBackend.MATH] if device.lacking is not None else [])

    # PyTorch does not type it.
    choose: Any = sdpa_kernel

    def compute() -> Tensor:
        with choose(backends):
            return scaled_dot_product_attention(
                q, k, v, dropout_p=rate, is_causal=causal, scale=pipeline["scale"], enable_gqa=grouped
            )

    return Subject(compute, [q, k, v])


def _flex(call: Call, _device: Device) -> Subject:
    """The same with masks of windows, too, compiled."""
    flex: Any = importlib.import_module("torch.nn.attention.flex_attention")
    q, k, v = (call.tensors[name] for name in "qkv")
    pipeline = call.function.attention.pipeline
    causal = any(term["kind"] == "causal" for term in pipeline["mask"])
    window = next((term["size"] for term in pipeline["mask"] if term["kind"] == "window"), None)

    def visible(_b: Tensor, _h: Tensor, row: Tensor, key: Tensor) -> Tensor:
        seen = row >= key if causal else row >= 0
        return seen if window is None else seen & (row - key < window) & (key - row < window)

    # PyTorch compiles a function for so many sizes only, and then takes formulas that keep every score.
    torch.compiler.reset()
    mask = flex.create_block_mask(visible, None, None, q.shape[2], k.shape[2], device=q.device)
    compiled: Any = torch.compile(flex.flex_attention, dynamic=False)
    grouped = pipeline["heads"] != pipeline["kvHeads"]

    def compute() -> Tensor:
        o: Tensor = compiled(q, k, v, block_mask=mask, scale=pipeline["scale"], enable_gqa=grouped)
        return o

    return Subject(compute, [q, k, v])


def _plain(call: Call, device: Device) -> Subject:
    """All stages, with every map in memory, in the call's type."""
    plain: Any = importlib.import_module(".plain", __package__)
    attention = call.function.attention
    storage = {torch.float32: "f32", torch.float16: "f16", torch.bfloat16: "bf16"}[call.dtype]
    pipeline = {
        **attention.pipeline,
        "storage": storage,
        "parameters": [{"name": p.name} for p in attention.parameters],
    }
    q, k = call.tensors["q"], call.tensors["k"]
    factor = 1.0
    if attention.uses_layer:
        # Of the package's runtime, where the function's class lives.
        runtime: Any = importlib.import_module(type(attention).__module__)
        factor = runtime.depth_scale(call.layer)
    sizes = {"Lq": q.shape[2], "Lk": k.shape[2], "R": 0, "depthFactor": factor, "dropout": True}
    given = {name: each.detach() for name, each in (call.tensors | call.parameters).items()} | call.integers
    threads = torch.get_num_threads() if device.lacking is not None else None
    one = plain.Attention(pipeline, sizes, threads, given)
    leaves = [one.q, one.k, one.v, *one.parameters.values()]
    for leaf in leaves:
        leaf.requires_grad_()
    return Subject(one.compute, leaves)


OWN = "mtac"

SUBJECTS: dict[str, Callable[[Call, Device], Subject]] = {
    OWN: _mtac,
    "sdpa flash": _flash,
    "flex_attention": _flex,
    "plain": _plain,
}
"""What is timed, ours first."""

COMPILED = ("flex_attention",)
"""What PyTorch compiles anew for each length."""


def unsuited(name: str, call: Call, device: Device) -> str | None:
    """Why a subject cannot be timed beside a call; None if it can."""
    pipeline = call.function.attention.pipeline
    kinds = {term["kind"] for term in pipeline["mask"]}
    if name in ("sdpa flash", "flex_attention") and pipeline["headDim"] != pipeline["valueDim"]:
        return "its keys and values have as many channels"
    if name == "flex_attention" and any(call.function.attention.dropouts):
        return "it has no dropout"
    if name == "sdpa flash" and device.lacking is None and call.dtype == torch.float32:
        return "there is no flash attention in float32"
    if name == "flex_attention" and device.lacking is not None:
        return "on the processor it has no backward pass"
    if name == "flex_attention" and importlib.util.find_spec("triton") is None:
        return "PyTorch has no Triton here"
    if name == "plain" and kinds & {"documents"} and call.tensors["q"].shape[2] > 4096:
        return "its convolutions take documents tap by tap"
    return None
