"""Random calls of all attentions, against the plain formulas in float64."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from .calls import Call, check_backward, check_forward
from .context import Case, Context, Package
from .devices import TYPES
from .results import CaseResult

__all__ = ["cases"]

ROUNDS = 40
"""Of all attentions in all types; the step's time ends before."""

FAR = 2**31 + 4096
"""Elements: behind so many, offsets do not fit 32 bits."""


def cases(context: Context, _step: str) -> Iterator[Case]:
    """Attention after attention, type after type; far offsets first, where the device has memory for them."""
    if context.device.lacking is None:
        for package, name in context.attentions():
            yield Case(f"{name} bf16, offsets beyond 2^31", partial(_far, context, package, name))
    for turn in range(ROUNDS):
        for number, (package, name) in enumerate(context.attentions()):
            for place, (type_name, dtype) in enumerate(TYPES.items()):
                seed = context.seed + 1009 * turn + 31 * number + place
                yield Case(
                    f"{name} {type_name} seed {seed}",
                    partial(_check, context, package, name, dtype, seed),
                )


def _check(context: Context, package: Package, name: str, dtype: torch.dtype, seed: int) -> CaseResult:
    """Draws a call's size, layouts and masks, and compares o and gradients."""
    choice = random.Random(seed)
    function = package.function(name)
    size = _size(choice, causal=_is_causal(function))
    call = Call.of_example(package, function, size, dtype, seed)
    _draw_integers(choice, call, size)
    call = _laid_out(choice, call.on(context.device.kind))
    return _compared(call) | {"data": {"size": [*size], "integers": sorted(call.integers)}}


def _compared(call: Call) -> CaseResult:
    exact = call.exact()
    o, lse = exact.compute()
    expected = {"o": o, "lse": lse}
    forward = check_forward(call, expected)
    if forward["status"] != "passed":
        return forward
    backward = check_backward(call, exact.gradients(o))
    return backward | {"errors": forward["errors"] | backward.get("errors", {})}


def _is_causal(function: object) -> bool:
    return any(term["kind"] == "causal" for term in function.attention.pipeline["mask"])  # type: ignore[attr-defined]


def _size(choice: random.Random, causal: bool) -> tuple[int, int, int, int]:
    """Batch entries, query rows, keys, rows of history: one row as in decoding, odd lengths, many keys and few rows."""
    kind = choice.choice(("square", "decode", "history", "rectangle", "long"))
    batches = choice.randint(1, 3)
    if kind == "square":
        rows = choice.randint(1, 150)
        return batches, rows, rows, 0
    if kind == "decode":
        keys = choice.randint(1, 400)
        return batches, 1, keys, min(choice.choice((0, 5, 11)), keys - 1)
    if kind == "history":
        rows, history = choice.randint(1, 70), choice.randint(1, 30)
        return batches, rows, rows + history + choice.randint(0, 90), history
    if kind == "rectangle":
        rows = choice.randint(1, 90)
        return batches, rows, choice.randint(rows if causal else 1, rows + 160), 0
    rows = choice.choice((257, 383, 512))
    return 1, rows, rows, 0


def _draw_integers(choice: random.Random, call: Call, size: tuple[int, int, int, int]) -> None:
    """Documents of any length and keys of none, lengths down to 0, a position for each batch entry."""
    batches, rows, keys, history = size
    if "documents" in call.integers:
        drawn = []
        for _ in range(batches):
            ends = sorted(choice.sample(range(keys + 1), min(choice.randint(0, 4), keys + 1)))
            ids = torch.bucketize(torch.arange(keys), torch.tensor(ends, dtype=torch.int64), right=True)
            if choice.random() < 0.4:
                # Padding after the text: rows that see nothing.
                ids[keys - choice.randint(0, keys) // 2 :] = -1
            drawn.append(ids)
        call.integers["documents"] = torch.stack(drawn)
    if "lengths" in call.integers:
        call.integers["lengths"] = torch.tensor([choice.randint(0, keys) for _ in range(batches)])
    if choice.random() < 0.3 and keys >= rows + history:
        # Rows of history lie before row 0, and none before the first key.
        places = [choice.randint(history, keys - rows) for _ in range(batches)]
        call.integers["positions"] = torch.tensor(places)
    if "bias" in call.tensors and choice.random() < 0.5:
        bias = call.tensors["bias"].detach()
        hidden = torch.rand(bias.shape, generator=torch.Generator().manual_seed(choice.randrange(2**31))) < 0.2
        call.tensors["bias"] = bias.masked_fill(hidden, -torch.inf).requires_grad_()


def _laid_out(choice: random.Random, call: Call) -> Call:
    """Each tensor with strides of its own."""
    layouts: tuple[Callable[[Tensor], Tensor], ...] = (_as_is, _turned, _sliced, _spread, _shifted)

    def leaf(x: Tensor) -> Tensor:
        return choice.choice(layouts)(x.detach()).requires_grad_()

    tensors = {name: each if name == "bias" else leaf(each) for name, each in call.tensors.items()}
    d_o = choice.choice((_as_is, _turned, _broadcast))(call.d_o)
    return replace(call, tensors=tensors, d_o=d_o)


def _as_is(x: Tensor) -> Tensor:
    return x


def _turned(x: Tensor) -> Tensor:
    """A view of [batch, rows, heads, channels]."""
    return x.transpose(1, 2).contiguous().transpose(1, 2)


def _sliced(x: Tensor) -> Tensor:
    """A slice of rows that hold more."""
    return torch.cat([x, x + 1], dim=-1)[..., : x.shape[-1]]


def _spread(x: Tensor) -> Tensor:
    """Elements that are not neighbours."""
    return torch.stack([x, x], dim=-1)[..., 0]


def _shifted(x: Tensor) -> Tensor:
    """At an address that no vector access suits."""
    flat = torch.empty(x.numel() + 1, dtype=x.dtype, device=x.device)
    flat[1:] = x.reshape(-1)
    return flat[1:].view(x.shape)


def _broadcast(x: Tensor) -> Tensor:
    """As the sum's gradient comes: one number, with strides 0."""
    return x.reshape(-1)[:1].reshape(()).expand(x.shape) if x.numel() > 0 else x


def _far(context: Context, package: Package, name: str) -> CaseResult:
    """The second batch entry of q, k and v lies so far behind the first that its offset needs 64 bits."""
    free, _ = torch.cuda.mem_get_info()
    needed = 4 * (FAR + 2**24) * 2
    if free < needed:
        return {"status": "skipped", "reason": f"it needs {needed >> 30} GiB of memory, {free >> 30} are free"}
    function = package.function(name)
    call = Call.of_example(package, function, (2, 70, 70, 0), torch.bfloat16, context.seed).on(context.device.kind)

    def apart(x: Tensor) -> Tensor:
        one = x[0].numel()
        memory = torch.empty(FAR + one, dtype=x.dtype, device=x.device)
        far = memory.as_strided(x.shape, (FAR, *x.stride()[1:]))
        return far.copy_(x.detach()).requires_grad_()

    tensors = {key: apart(each) if key in ("q", "k", "v") else each for key, each in call.tensors.items()}
    return _compared(replace(call, tensors=tensors))
