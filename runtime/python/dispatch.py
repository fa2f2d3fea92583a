"""Operators of PyTorch's dispatcher, with as little Python in each call as they can have.

``torch.library.custom_op`` defines the same, with more of it: there the way to a kernel and back takes as long as all
that this package does in a call.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

import torch
from torch import Tensor, autograd
from torch._ops import OpOverload

from .errors import MtacError

__all__ = ["PullBack", "define"]

_C: Any = torch._C

BACKENDS = (_C.DispatchKey.CPU, _C.DispatchKey.CUDA)
"""Where nothing but the kernel is left to be asked: no mode, no transform, no subclass of Tensor."""

TENSOR_TYPES = ("Tensor", "Optional[Tensor]")
"""What schemas call tensors."""

LIBRARIES: list[Any] = []
"""What is defined is so as long as these are."""

Kernel = Callable[..., Any]

PullBack = Callable[[Sequence[bool], Sequence[Any], Tensor], Sequence[Tensor | None]]
"""(which inputs need gradients, the inputs and kept results, the first one's gradient) -> gradients of the inputs."""


def define(
    namespace: str,
    name: str,
    schema: str,
    kernel: Kernel,
    fake: Kernel,
    pull_back: PullBack | None = None,
    kept: Sequence[int] = (),
) -> OpOverload:
    """An operator ``torch.ops.<namespace>.<name>``; what another copy of the package has defined, if there is one.

    Args:
        namespace: Of ``torch.ops``.
        name: Without the namespace.
        schema: What it takes and gives; it takes tensors first.
        kernel: Computes it, on every device.
        fake: Gives results without values.
        pull_back: Its gradient, of which all but the first result have none. Without it there is no gradient.
        kept: Places of the results that ``pull_back`` is given behind the inputs.
    """
    found = getattr(torch.ops, namespace)
    if hasattr(found, name):
        # The namespace holds the spec's hash and mtac's version: it computes the same.
        return cast(OpOverload, getattr(found, name).default)
    make: Any = torch.library.Library
    library = make(namespace, "FRAGMENT")
    LIBRARIES.append(library)
    library.define(f"{name}{schema}", tags=(torch.Tag.pt2_compliant_tag,))
    library.impl(name, kernel, "CompositeExplicitAutograd")
    torch.library.register_fake(f"{namespace}::{name}", fake, lib=library)
    operator = cast(OpOverload, getattr(found, name).default)
    with_gradient = _differentiable(f"{namespace}::{name}", operator, kernel, pull_back, kept)
    library.impl(name, with_gradient, "Autograd", with_keyset=True)
    return operator


def _differentiable(
    name: str, operator: OpOverload, kernel: Kernel, pull_back: PullBack | None, kept: Sequence[int]
) -> Kernel:
    """What the dispatcher calls for autograd."""
    after: Any = _C._after_autograd_keyset
    below_autograd: Any = _C._AutoDispatchBelowAutograd
    needs_gradients: Any = _C._any_requires_grad
    tensors = sum(str(each.type) in TENSOR_TYPES for each in operator._schema.arguments)

    def compute(keys: Any, inputs: tuple[Any, ...]) -> Any:
        rest = keys & after
        with below_autograd():
            return kernel(*inputs) if rest.highestPriorityTypeId() in BACKENDS else operator.redispatch(rest, *inputs)

    def forward(ctx: Any, keys: Any, *inputs: Any) -> tuple[Tensor, ...]:
        results = tuple(compute(keys, inputs))
        # Tensors are saved as autograd wants them; the rest is as it is.
        ctx.save_for_backward(*inputs[:tensors], *[results[place] for place in kept])
        ctx.others = inputs[tensors:]
        ctx.mark_non_differentiable(*results[1:])
        ctx.set_materialize_grads(False)
        return results

    def backward(ctx: Any, gradient: Tensor | None, *_: Any) -> tuple[Tensor | None, ...]:
        if pull_back is None:
            raise MtacError(
                "MTA675",
                f"{name} is not differentiated: kernels have no gradients of gradients",
                "take the plain formulas with `reference=True`",
            )
        needed = ctx.needs_input_grad[1:]
        if gradient is None:
            return (None, *[None] * len(needed))
        saved = ctx.saved_tensors
        return (None, *pull_back(needed, (*saved[:tensors], *ctx.others, *saved[tensors:]), gradient))

    # Graphs of autograd and profiles show this name.
    methods = {"forward": staticmethod(forward), "backward": staticmethod(backward)}
    function: Any = type(name.replace("::", "_"), (autograd.Function,), methods)

    def call(keys: Any, *inputs: Any) -> Any:
        if not (torch.is_grad_enabled() and needs_gradients(*inputs)):
            return compute(keys, inputs)
        results: tuple[Tensor, ...] = function.apply(keys, *inputs)
        return results

    return call
