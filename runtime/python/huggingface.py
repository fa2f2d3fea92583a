"""Attentions in models of Hugging Face's transformers (5.0 or newer): their AttentionInterface and its masks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.masking_utils import causal_mask_function

from .attention import Attention
from .errors import MtacError
from .layer import AttentionLayer, AttentionStack

__all__ = ["attach", "register"]

CHILD = "mta"
"""An attention module's child that computes its attention: ``model.layers.0.self_attn.mta.scores.conv.weight``."""

SAMPLES = 3
"""How many rows of a mask are compared with the spec's."""


def register(name: str) -> None:
    """Makes ``attn_implementation=name`` known, with its masks: without those, transformers would leave padding out."""
    AttentionInterface.register(name, _attention_forward)
    AttentionMaskInterface.register(name, _mask)


def attach(model: PreTrainedModel, layers: AttentionStack | Sequence[AttentionLayer], name: str) -> None:
    """Gives each attention module of a model an attention of its own, and has the model use them.

    The attentions become children of the modules, so that they are trained, moved and saved with the model.

    Args:
        model: A model whose attention goes through ``AttentionInterface``.
        layers: As many as the model has layers, in their order.
        name: As it was registered.

    Raises:
        MtacError: MTA690 (another number of layers), MTA691 (heads, channels or a scale that the spec does not have).
    """
    modules = [each for each in model.modules() if hasattr(each, "layer_idx") and hasattr(each, "is_causal")]
    if len(modules) != len(layers):
        raise MtacError(
            "MTA690",
            f"{type(model).__name__} has {len(modules)} attention modules; {len(layers)} attentions are given",
            "give one for each layer: those of a stack, or a list",
        )
    for module, layer in zip(modules, layers, strict=True):
        _check_module(module, layer.function.attention)
    for module, layer in zip(modules, layers, strict=True):
        weight = next(module.parameters())
        # Parameters stay float32 beside weights of 16 bits: kernels compute with them in float32.
        module.add_module(CHILD, layer.to(device=weight.device))
    model.set_attn_implementation(name)


def _check_module(module: nn.Module, attention: Attention) -> None:
    """Whether a module has the spec's heads, channels and scale, as far as it says them."""
    config = getattr(module, "config", None)
    pipeline = attention.pipeline
    facts = {
        "heads": (getattr(config, "num_attention_heads", None), pipeline["heads"]),
        "kv_heads": (getattr(config, "num_key_value_heads", None), pipeline["kvHeads"]),
        "head_dim": (getattr(module, "head_dim", None), pipeline["headDim"]),
        "scale": (getattr(module, "scaling", None), pipeline["scale"]),
    }
    for fact, (found, wanted) in facts.items():
        if found is not None and abs(found - wanted) > 1e-6 * abs(wanted):
            raise _unlike(attention, f"the model has {fact} {found}, the spec {wanted}", f"write `{fact} {found}`")


def _attention_forward(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    **options: Any,
) -> tuple[Tensor, None]:
    """What AttentionInterface calls: query [B, H, Lq, D], key and value [B, Hkv, Lk, D]; gives o [B, Lq, H, D]."""
    layer = getattr(module, CHILD, None)
    if not isinstance(layer, AttentionLayer):
        raise MtacError(
            "MTA690",
            f"layer {getattr(module, 'layer_idx', '?')} of the model has no attention of mtac's",
            "call `attach` of this package's `huggingface` with the model before it runs",
        )
    attention = layer.function.attention
    _check_options(attention, scaling, dropout, options)
    rows, keys = query.shape[2], key.shape[2]
    if rows < keys and attention.past > 0:
        raise MtacError(
            "MTA692",
            f'"{attention.name}" reads {attention.past} query rows before its own, which the cache does not keep',
            "generate with `use_cache=False`",
        )
    if attention_mask is None:
        asked = options.get("is_causal")
        _check_plain(attention, getattr(module, "is_causal", True) if asked is None else asked, keys)
    inputs = _documents(attention, attention_mask, query.shape[0], keys, query.device)
    o: Tensor = layer(query, key, value, **inputs)
    return o.transpose(1, 2).contiguous(), None


def _check_options(attention: Attention, scaling: float | None, dropout: float, options: dict[str, Any]) -> None:
    """Refuses what a model asks of its attention and the spec does not say."""
    scale = attention.pipeline["scale"]
    if scaling is not None and abs(scaling - scale) > 1e-6 * abs(scale):
        problem = f"the model scales scores by {scaling}, the spec by {scale}"
        raise _unlike(attention, problem, f"write `scale {scaling}`")
    if dropout > 0 and attention.dropouts != [dropout]:
        raise _unlike(
            attention,
            f"the model drops weights ({dropout})",
            f"set its `attention_dropout` to 0, or write `weights {{ dropout {dropout} }}`",
        )
    for name in ("softcap", "s_aux", "head_mask", "position_bias"):
        if options.get(name) is not None:
            raise _unlike(attention, f"the model gives its attention `{name}`", "take a model without it")


def _documents(
    attention: Attention, mask: Tensor | None, batches: int, keys: int, device: torch.device
) -> dict[str, Tensor]:
    """The inputs of the layer that say which rows and keys belong together, from what `_mask` found."""
    for kind in ("lengths", "bias"):
        if attention.masks(kind):
            raise _unlike(attention, f"`mask {kind}` has no place in a model of transformers", "write `mask documents`")
    has_documents = attention.masks("documents")
    if mask is None:
        return {"documents": torch.zeros(batches, keys, dtype=torch.int32, device=device)} if has_documents else {}
    if mask.dim() != 3 or mask.dtype != torch.int32:
        raise _unlike(
            attention,
            f"the model was called with a mask of its own, {list(mask.shape)}",
            "pass what is padding as [B, L], and packed sequences by their `position_ids`",
        )
    documents, samples = mask[:, 0], mask[:, 1:]
    if not torch.compiler.is_compiling():
        _check_mask(attention, documents, samples, has_documents)
    return {"documents": documents.contiguous()} if has_documents else {}


def _check_plain(attention: Attention, causal: bool, keys: int) -> None:
    """Whether a spec's mask shows what a model without a mask of its own wants: the keys up to a row's, or all keys."""
    if keys > 1 and attention.masks("causal") != causal:
        problem = f"the model is {'' if causal else 'not '}causal, and the spec is {'not' if causal else 'causal'}"
        raise _unlike(attention, problem, "write `mask causal`" if causal else "leave `causal` out of the mask")
    for term in attention.pipeline["mask"]:
        if term["kind"] == "window" and term["size"] < keys:
            problem = f"the model has no window, and the spec one of {term['size']}"
            raise _unlike(attention, problem, "leave `window` out of the mask, or set the model's")


def _check_mask(attention: Attention, documents: Tensor, samples: Tensor, has_documents: bool) -> None:
    """Compares some rows of the mask that the model wants with those of the spec."""
    count = documents.shape[1]
    own = documents if has_documents else torch.zeros_like(documents)
    places = torch.arange(count, device=documents.device)
    for index, row in enumerate(_sampled(samples.shape[1], count)):
        visible = torch.ones_like(own, dtype=torch.bool)
        for term in attention.pipeline["mask"]:
            if term["kind"] == "causal":
                visible &= places <= row
            elif term["kind"] == "window":
                visible &= (places > row - term["size"]) & (places < row + term["size"])
        visible &= (own == own[:, row : row + 1]) & (own >= 0)
        # What padded rows see is nobody's concern.
        real = documents[:, row : row + 1] >= 0
        if bool((real & (visible != (samples[:, index] != 0))).any()):
            what = "padding or packed sequences" if not has_documents else "other keys than the spec's mask shows"
            raise _unlike(
                attention,
                f"the model's mask has {what} (row {row})",
                "write `mask documents` for padding and packed sequences, and the model's window, if it has one",
            )


def _sampled(count: int, rows: int) -> list[int]:
    """The rows of a mask that are compared: evenly spread, the last among them."""
    return [rows - 1 - index * rows // count for index in range(count)]


def _mask(
    batch_size: int,
    q_length: int,
    kv_length: int,
    q_offset: int | Tensor = 0,
    kv_offset: int = 0,
    mask_function: Callable[..., Any] | None = None,
    attention_mask: Tensor | None = None,
    device: torch.device | str = "cpu",
    **_options: Any,
) -> Tensor | None:
    """What AttentionMaskInterface calls for a forward pass: which document each key belongs to, in O(L) memory.

    Returns:
        int32 [B, 1 + samples, Lk]: the document of each key, -1 for padding, then some rows of the mask itself; None
        for a causal mask of sequences without padding.
    """
    if isinstance(q_offset, Tensor) or kv_offset != 0 or kv_length != q_offset + q_length:
        raise MtacError(
            "MTA692",
            "the cache has room for more keys than there are, or has dropped some",
            "use the default cache (`DynamicCache`), without a window of its own, or `use_cache=False`",
        )
    if mask_function is None or (mask_function is causal_mask_function and attention_mask is None):
        return None
    batches = torch.arange(batch_size, device=device)[:, None, None]
    keys = torch.arange(kv_length, device=device)
    real = torch.ones(batch_size, kv_length, dtype=torch.bool, device=device)
    if attention_mask is not None:
        real = attention_mask[:, :kv_length].to(device=device, dtype=torch.bool)
    head = torch.zeros((), dtype=torch.int64, device=device)

    def visible(rows: Tensor, columns: Tensor) -> Tensor:
        found: Tensor = mask_function(batches, head, rows, columns)
        return found

    # Where a row does not see the key just before its own, another document begins.
    begins = ~visible(keys[None, None, 1:], keys[None, None, :-1]).expand(batch_size, 1, kv_length - 1)[:, 0]
    documents = nn.functional.pad(begins.cumsum(1), (1, 0)).masked_fill(~real, -1)
    sampled = torch.tensor(_sampled(min(SAMPLES, kv_length), kv_length), device=device)
    rows = visible(sampled[None, :, None], keys[None, None, :]).expand(batch_size, len(sampled), kv_length)
    return torch.cat([documents[:, None], (rows & real[:, None]).long()], dim=1).to(torch.int32)


def _unlike(attention: Attention, problem: str, remedy: str) -> MtacError:
    return MtacError("MTA691", f'"{attention.name}" does not fit the model: {problem}', remedy)
