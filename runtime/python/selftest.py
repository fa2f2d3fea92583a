"""What an attention must do on this machine: the tests of a package hold these for each of its attentions."""

from __future__ import annotations

import copy
import functools
import itertools
import pickle
import unittest
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar
from unittest import mock

import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.utils.checkpoint import CheckpointPolicy, checkpoint, create_selective_checkpoint_contexts

from .attention import Parameter
from .dropout import seed_of
from .errors import MtacError
from .function import AttentionFunction
from .layer import AttentionLayer

__all__ = ["AttentionTests", "Example"]

TOLERANCES = {torch.float32: (5e-6, 2e-5), torch.float16: (2e-3, 5e-3), torch.bfloat16: (1e-2, 2e-2)}
"""Of o and of gradients: the norm of the error, relative to that of the result."""

if TYPE_CHECKING:
    Base = unittest.TestCase
else:
    Base = object


class Example:
    """A call with random values, small enough for the plain formulas."""

    def __init__(
        self, function: AttentionFunction, size: tuple[int, int, int, int], dtype: torch.dtype, seed: int
    ) -> None:
        """Draws the inputs.

        Args:
            function: What computes the attention.
            size: Batch entries, query rows, keys, rows of history.
            dtype: Of q, k and v.
            seed: The same seed gives the same values.
        """
        self.function = function
        attention, pipeline = function.attention, function.attention.pipeline
        batches, rows, keys, history = size
        heads, kv_heads = pipeline["heads"], pipeline["kvHeads"]
        generator = torch.Generator().manual_seed(seed)
        exact = torch.float64 if dtype == torch.float64 else torch.float32

        def draw(*shape: int) -> Tensor:
            return torch.randn(shape, generator=generator, dtype=exact).to(dtype).requires_grad_()

        self.q = draw(batches, heads, rows, pipeline["headDim"])
        self.k = draw(batches, kv_heads, keys, pipeline["headDim"])
        self.v = draw(batches, kv_heads, keys, pipeline["valueDim"])
        self.q_history = draw(batches, heads, history, pipeline["headDim"]) if history > 0 else None
        self.d_o = torch.randn((batches, heads, rows, pipeline["valueDim"]), generator=generator, dtype=exact).to(dtype)
        self.parameters = {each.name: _parameter(each, generator, exact) for each in attention.parameters}
        self.inputs: dict[str, Tensor] = {}
        if attention.masks("bias"):
            bias = torch.randn((batches, heads, history + rows, keys), generator=generator)
            self.inputs["bias"] = bias.requires_grad_()
        if attention.masks("documents"):
            self.inputs["documents"] = (torch.arange(keys) * 3 // max(keys, 1)).expand(batches, keys).contiguous()
        if attention.masks("lengths"):
            self.inputs["lengths"] = keys - torch.arange(batches) % max(keys, 1)
        # Calls with it drop weights.
        self.seed: int | None = seed if attention.dropouts else None
        self.layer = 2 if attention.uses_layer else None

    def leaves(self) -> list[Tensor]:
        """What has gradients."""
        return [*self.named_leaves().values()]

    def named_leaves(self) -> dict[str, Tensor]:
        """What has gradients, by name: q, k, v, history and bias where there are any, and the parameters."""
        optional = {"q_history": self.q_history, "bias": self.inputs.get("bias")}
        given = {name: each for name, each in optional.items() if each is not None}
        return {"q": self.q, "k": self.k, "v": self.v} | given | self.parameters

    def compute(self, *, reference: bool = False) -> Tensor:
        """Gives o."""
        return self.on(self.q, self.k, self.v, reference=reference)

    def on(self, q: Tensor, k: Tensor, v: Tensor, *, reference: bool = False) -> Tensor:
        """Gives o of other q, k and v."""
        return self.function(
            q,
            k,
            v,
            self.parameters,
            q_history=self.q_history,
            bias=self.inputs.get("bias"),
            documents=self.inputs.get("documents"),
            lengths=self.inputs.get("lengths"),
            dropout_seed=self.seed,
            layer=self.layer,
            reference=reference,
        )[0]

    def operands(self) -> list[Any]:
        """What operators take, the parameters as one tensor: leaves of their own."""
        packed = torch.cat([torch.zeros(0), *(each.reshape(-1) for each in self.parameters.values())])
        tensors = (self.q, self.k, self.v, packed, self.q_history, self.inputs.get("bias"))
        integers = [self.inputs.get(name) for name in ("documents", "lengths", "positions")]
        leaves = [None if each is None else each.detach().requires_grad_() for each in tensors]
        return [*leaves, *integers, seed_of(self.seed, self.q.device), self.layer, 0]

    def gradients(self, o: Tensor, d_o: Tensor | None = None) -> list[Tensor]:
        """Gradients of the leaves; zeros where there are none."""
        found = torch.autograd.grad(o, self.leaves(), self.d_o if d_o is None else d_o, materialize_grads=True)
        return [*found]


def _parameter(parameter: Parameter, generator: torch.Generator, dtype: torch.dtype) -> Tensor:
    """Random values by fan-in, so that maps stay of the order of their inputs."""
    fan_in = max(parameter.size // max(parameter.shape[0], 1), 1)
    value = torch.randn(parameter.shape, generator=generator, dtype=dtype).div(fan_in**0.5)
    return (value + 1 if "norm" in parameter.name else value).requires_grad_()


class AttentionTests(Base):
    """Tests of one attention; ``function`` is what computes it."""

    function: ClassVar[AttentionFunction]

    def example(
        self, size: tuple[int, int, int, int] = (2, 37, 37, 0), dtype: torch.dtype = torch.float32, seed: int = 1
    ) -> Example:
        """A call with random values."""
        return Example(self.function, size, dtype, seed)

    def assert_near(self, x: Tensor, expected: Tensor, tolerance: float, what: str, scale: float = 0) -> None:
        """Fails where the norm of the error is too large; ``scale`` is that of what a result near 0 is the sum of."""
        self.assertEqual(x.shape, expected.shape, what)
        error = torch.linalg.vector_norm((x - expected).detach().double().flatten())
        bound = tolerance * max(float(torch.linalg.vector_norm(expected.detach().double().flatten())), scale)
        self.assertLessEqual(float(error), bound + 1e-12, what)

    def assert_agrees(self, example: Example, dtype: torch.dtype = torch.float32) -> None:
        """Fails where o or a gradient is not what the plain formulas give."""
        tolerance, gradient_tolerance = TOLERANCES[dtype]
        o, expected = example.compute(), example.compute(reference=True)
        self.assertEqual(o.dtype, dtype)
        self.assert_near(o, expected, tolerance, "o")
        gradients = example.gradients(expected)
        # A small rest of large terms is as exact as these are.
        scale = sum(float(each.double().square().sum()) for each in gradients) ** 0.5
        for name, x, wanted in zip(example.named_leaves(), example.gradients(o), gradients, strict=True):
            self.assert_near(x, wanted, gradient_tolerance, f"the gradient of {name}", scale)

    def test_agrees_with_the_plain_formulas(self) -> None:
        """At sizes that no tile divides, one row, and more keys than rows."""
        for size in ((2, 37, 37, 0), (1, 1, 5, 0), (1, 130, 130, 0), (1, 9, 70, 0)):
            with self.subTest(size=size):
                self.assert_agrees(self.example(size))

    def test_history(self) -> None:
        """Query rows before row 0 have gradients, too."""
        self.assert_agrees(self.example((2, 5, 40, 7)))

    def test_half_types(self) -> None:
        """float16 and bfloat16, with parameters in float32."""
        for dtype in (torch.float16, torch.bfloat16):
            example = self.example((1, 33, 33, 0), dtype)
            with self.subTest(dtype=dtype):
                o, expected = example.compute(), example.compute(reference=True)
                self.assert_near(o, expected, 2 * TOLERANCES[dtype][0], "o")
                for x, leaf in zip(example.gradients(o), example.leaves(), strict=True):
                    self.assertEqual(x.dtype, leaf.dtype)
                    self.assertTrue(torch.isfinite(x).all())

    def test_opcheck(self) -> None:
        """Schema, fake kernels, autograd registration and AOT dispatch, as PyTorch checks them."""
        operators = self.function.operators
        for history in (0, 4):
            example = self.example((1, 12, 20, history))
            given = example.inputs
            wanted = [True, True, True, True, history > 0, "bias" in given]
            for keep in (False, True):
                inputs = example.operands()
                torch.library.opcheck(operators.forward, (*inputs, keep))
                plain = [each.detach() if isinstance(each, Tensor) else each for each in inputs]
                values = operators.forward(*plain, keep)[2]
                torch.library.opcheck(operators.backward, (example.d_o, values, *plain, wanted))

    def test_gradcheck(self) -> None:
        """float64 takes the plain formulas, whose gradients agree with finite differences."""
        example = self.example((1, 4, 5, 0), torch.float64)
        few = [example.q, example.k, example.v]

        def compute(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
            return example.on(q, k, v)

        self.assertEqual(example.compute().dtype, torch.float64)
        self.assertTrue(torch.autograd.gradcheck(compute, few, fast_mode=True, atol=1e-4))

    def test_compile(self) -> None:
        """torch.compile without graph breaks, at two lengths by one dynamic graph, with gradients."""
        compiled = torch.compile(
            lambda example, q, k, v: example.on(q * 1, k, v), fullgraph=True, dynamic=True, backend="aot_eager"
        )
        for rows in (12, 21):
            example = self.example((1, rows, rows, 0))
            o, expected = compiled(example, example.q, example.k, example.v), example.compute()
            self.assertTrue(torch.equal(o, expected))
            for x, wanted in zip(example.gradients(o), example.gradients(expected), strict=True):
                self.assert_near(x, wanted, 1e-6, "a gradient")

    def test_checkpointing(self) -> None:
        """Activation checkpointing computes the attention again, and gives the same gradients."""
        example = self.example()
        o = checkpoint(example.on, example.q, example.k, example.v, use_reentrant=False)
        self.assertIsInstance(o, Tensor)
        for x, wanted in zip(example.gradients(o), example.gradients(example.compute()), strict=True):
            self.assertTrue(torch.equal(x, wanted))

    def test_selective_checkpointing(self) -> None:
        """Checkpointing that knows operators by their names saves what the forward pass gave."""
        example = self.example()
        forward = self.function.operators.forward
        seen: list[bool] = []

        def policy(context: Any, operator: object, *_: object, **__: object) -> CheckpointPolicy:
            if operator is not forward:
                return CheckpointPolicy.PREFER_RECOMPUTE
            seen.append(context.is_recompute)
            return CheckpointPolicy.MUST_SAVE

        contexts = functools.partial(create_selective_checkpoint_contexts, policy)
        o = checkpoint(example.on, example.q, example.k, example.v, use_reentrant=False, context_fn=contexts)
        self.assertIsInstance(o, Tensor)
        for x, wanted in zip(example.gradients(o), example.gradients(example.compute()), strict=True):
            self.assertTrue(torch.equal(x, wanted))
        self.assertEqual(seen, [False])

    def test_other_derivatives(self) -> None:
        """Gradients of gradients, and forward-mode differentiation, are refused; the plain formulas have them."""
        example = self.example((1, 5, 7, 0))

        def twice(*, reference: bool = False) -> Tensor:
            o = example.compute(reference=reference)
            (d_q,) = torch.autograd.grad(o.square().sum(), [example.q], create_graph=True)
            return torch.autograd.grad(d_q.sum(), [example.k])[0]

        def forward() -> Tensor:
            with forward_ad.dual_level():
                dual: Callable[[Tensor, Tensor], Tensor] = forward_ad.make_dual
                return example.on(dual(example.q.detach(), example.q.detach()), example.k, example.v)

        for refused in (twice, forward):
            with self.assertRaises(MtacError) as caught:
                refused()
            self.assertEqual(caught.exception.code, "MTA675")
        self.assertEqual(twice(reference=True).shape, example.k.shape)

    def test_autocast(self) -> None:
        """Under autocast q, k and v are converted, and gradients come back in their own types."""
        example = self.example()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            o = example.compute()
        self.assertEqual(o.dtype, torch.bfloat16)
        for x, leaf in zip(example.gradients(o, example.d_o.bfloat16()), example.leaves(), strict=True):
            self.assertEqual(x.dtype, leaf.dtype)

    def test_layouts(self) -> None:
        """Views of [B, L, H, D], slices of q, k and v in one tensor, and a second call with other strides."""
        example = self.example()
        expected = example.compute()

        def turned(x: Tensor) -> Tensor:
            return x.transpose(1, 2).contiguous().transpose(1, 2)

        def sliced(x: Tensor) -> Tensor:
            return torch.cat([x, x + 1], dim=-1)[..., : x.shape[-1]]

        def spread(x: Tensor) -> Tensor:
            return torch.stack([x, x], dim=-1)[..., 0]

        for q, k, v in itertools.product((turned, sliced), (turned, spread), (sliced, spread)):
            o = example.on(q(example.q), k(example.k), v(example.v))
            self.assertTrue(torch.equal(o, expected))
            for x, wanted in zip(example.gradients(o), example.gradients(expected), strict=True):
                self.assert_near(x, wanted, 1e-6, "a gradient")
            expected = example.compute()

    def test_gradients_of_any_layout(self) -> None:
        """d_o with stride 0, as ``sum().backward()`` gives it, and transposed."""
        example = self.example()
        ones = torch.ones_like(example.d_o)
        turned = example.d_o.transpose(2, 3).contiguous().transpose(2, 3)
        for d_o, same in ((torch.ones(()).expand(ones.shape), ones), (turned, example.d_o)):
            given = example.gradients(example.compute(), d_o)
            for x, wanted in zip(given, example.gradients(example.compute(), same), strict=True):
                self.assertTrue(torch.equal(x, wanted))

    def test_two_backward_passes(self) -> None:
        """retain_graph keeps what the second one needs; inputs are not written."""
        example = self.example()
        before = [leaf.detach().clone() for leaf in example.leaves()]
        o = example.compute()
        first = torch.autograd.grad(o, example.leaves(), example.d_o, retain_graph=True)
        second = torch.autograd.grad(o, example.leaves(), example.d_o)
        for x, wanted in zip(first, second, strict=True):
            self.assertTrue(torch.equal(x, wanted))
        for leaf, was in zip(example.leaves(), before, strict=True):
            self.assertTrue(torch.equal(leaf, was))

    def test_kept_values(self) -> None:
        """The backward pass gives the same with what the forward pass has kept, and where it computes that again."""
        forward, backward = self.function.operators.forward, self.function.operators.backward
        keeps_values = self.function.attention.keeps_values
        for dtype in TOLERANCES:
            example = self.example((2, 21, 33, 5), dtype)
            inputs = [each.detach() if isinstance(each, Tensor) else each for each in example.operands()]
            wanted = [True] * 5 + ["bias" in example.inputs]
            results, again = forward(*inputs, True), forward(*inputs, False)
            for x, expected in zip(results[:2], again, strict=False):
                self.assertTrue(torch.equal(x, expected))
            self.assertEqual(results[2].shape, example.d_o.shape if keeps_values else (0,))
            self.assertEqual([values.dtype for values in (results[2], again[2])], [torch.float32] * 2)
            self.assertEqual(again[2].shape, (0,))
            found = backward(example.d_o, results[2], *inputs, wanted)
            scale = sum(float(each.double().square().sum()) for each in found) ** 0.5
            for x, expected in zip(found, backward(example.d_o, again[2], *inputs, wanted), strict=True):
                self.assert_near(x, expected, TOLERANCES[dtype][1], "a gradient", scale)
            if keeps_values:
                other = backward(example.d_o, results[2] * 2, *inputs, wanted)
                self.assertFalse(all(torch.equal(x, expected) for x, expected in zip(other, found, strict=True)))
            of_type = "MTA670" if keeps_values else "MTA603"
            for wrong, code in ((torch.ones(3), "MTA603"), (results[0].double(), of_type)):
                with self.assertRaises(MtacError) as caught:
                    backward(example.d_o, wrong, *inputs, wanted)
                self.assertEqual(caught.exception.code, code)

    def test_saved_tensors(self) -> None:
        """What the stages of the output are given is saved for gradients only, and hooks may lay it out otherwise."""
        example = self.example((2, 21, 33, 0))
        keeps_values = self.function.attention.keeps_values
        saved: list[Tensor] = []

        def pack(x: Tensor) -> Tensor:
            saved.append(x)
            return x.clone()

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda x: torch.stack([x, x], dim=-1)[..., 0]):
            o = example.compute()
        self.assertEqual(saved[-1].shape, o.shape if keeps_values else (0,))
        for x, expected in zip(example.gradients(o), example.gradients(example.compute()), strict=True):
            self.assertTrue(torch.equal(x, expected))
        forward = mock.Mock(wraps=self.function.operators.forward)
        with mock.patch.object(self.function, "operators", replace(self.function.operators, forward=forward)):
            example.compute()
            with torch.no_grad():
                example.compute()
            for leaf in example.leaves():
                leaf.requires_grad_(False)
            example.compute()
            example.v.requires_grad_()
            example.compute()
        self.assertEqual([each.args[-1] for each in forward.mock_calls], [keeps_values, False, False, keeps_values])

    def test_some_gradients(self) -> None:
        """What nobody asks for is not computed."""
        example = self.example()
        expected = example.gradients(example.compute())
        (d_k,) = torch.autograd.grad(
            example.on(example.q.detach(), example.k, example.v.detach()), [example.k], example.d_o
        )
        self.assertTrue(torch.equal(d_k, expected[1]))

    def test_deterministic(self) -> None:
        """The same bits run after run, for every number of threads, also where PyTorch insists on it."""
        example = self.example((2, 67, 67, 0))
        with _threads(1):
            expected = [example.compute(), *example.gradients(example.compute())]
        torch.use_deterministic_algorithms(True)
        try:
            for threads in (2, 3):
                with _threads(threads):
                    found = [example.compute(), *example.gradients(example.compute())]
                    for x, wanted in zip(found, expected, strict=True):
                        self.assertTrue(torch.equal(x, wanted))
        finally:
            torch.use_deterministic_algorithms(False)

    def test_nothing_to_compute(self) -> None:
        """No batch entries, or no rows."""
        for size in ((0, 5, 5, 0), (2, 0, 4, 0)):
            example = self.example(size)
            o = example.compute()
            self.assertEqual(o.shape, example.d_o.shape)
            for x, leaf in zip(example.gradients(o), example.leaves(), strict=True):
                self.assertEqual(x.shape, leaf.shape)
                self.assertFalse(x.any())

    def test_copies(self) -> None:
        """Models with it are copied, pickled and called with other parameters."""
        function = copy.deepcopy(self.function)
        self.assertIs(pickle.loads(pickle.dumps(function)), function)
        layer = AttentionLayer(self.function, self.example().layer, None, None)
        twin = pickle.loads(pickle.dumps(copy.deepcopy(layer)))
        self.assertEqual([*twin.state_dict()], [*layer.state_dict()])
        values = {name: each.detach() for name, each in layer.named_values().items()}
        self.assertEqual([*values], [each.name for each in self.function.attention.parameters])

    def test_dropout(self) -> None:
        """Calls with a seed drop what it says, those without it nothing; training draws seeds of its own."""
        attention = self.function.attention
        example = self.example()
        layer = AttentionLayer(self.function, example.layer, None, None)

        def trained(seed: Tensor | int | None = None) -> Tensor:
            given = example.inputs
            return layer.compute(
                example.q,
                example.k,
                example.v,
                bias=given.get("bias"),
                documents=given.get("documents"),
                lengths=given.get("lengths"),
                dropout_seed=seed,
            )

        if not attention.dropouts:
            with self.assertRaises(MtacError) as caught:
                trained(1)
            self.assertEqual(caught.exception.code, "MTA602")
            return
        kept, example.seed = example.compute(), None
        whole = example.compute()
        self.assert_agrees(example)
        drops = max(attention.dropouts) > 0
        self.assertEqual(torch.equal(kept, whole), not drops)
        torch.manual_seed(5)
        first, second = trained(), trained()
        self.assertEqual(torch.equal(first, second), not drops)
        torch.manual_seed(5)
        self.assertTrue(torch.equal(torch.compile(trained, fullgraph=True, backend="aot_eager")(), first))
        again = checkpoint(trained, use_reentrant=False)
        self.assertIsInstance(again, Tensor)
        self.assertTrue(torch.equal(again, second))
        torch.autograd.grad(again, [example.q], example.d_o)
        for seed in (-(2**63), 2**64 - 1, torch.tensor([3, -4], dtype=torch.int32), torch.tensor(2**40 + 1)):
            self.assertTrue(torch.equal(trained(seed), trained(seed_of(seed, example.q.device))))
        unlike: list[Any] = ["7", 0.5, 2**64]
        for seed in unlike:
            with self.assertRaises(MtacError) as caught:
                trained(seed)
            self.assertEqual(caught.exception.code, "MTA608")
        layer.eval()
        self.assertTrue(torch.equal(trained(), trained(1)))

    def test_errors(self) -> None:
        """What does not fit is refused, by its code."""
        example = self.example()

        def refused(code: str, q: Tensor, k: Tensor, v: Tensor) -> None:
            with self.assertRaises(MtacError) as caught:
                example.on(q, k, v)
            self.assertEqual(caught.exception.code, code)
            self.assertIn(code, str(caught.exception))

        refused("MTA603", example.q[..., :-1], example.k, example.v)
        refused("MTA603", example.q, example.k[:, :, :-1], example.v)
        refused("MTA670", example.q.half(), example.k, example.v)
        refused("MTA670", example.q.to(torch.complex64), example.k, example.v)
        refused("MTA671", example.q, example.k.to("meta"), example.v)
        if self.function.attention.pipeline["mask"]:
            refused("MTA605" if not example.inputs else "MTA603", example.q, example.k[:, :, :9], example.v[:, :, :9])
        forward, parameters = self.function.operators.forward, torch.zeros(self.function.attention.words + 1)
        with self.assertRaises(MtacError):
            forward(example.q, example.k, example.v, parameters, *[None] * 7, 0, False)
        for name in example.inputs.keys() & {"documents", "lengths"}:
            kept, example.inputs[name] = example.inputs[name], example.inputs[name] + 2**32
            refused("MTA608", example.q, example.k, example.v)
            example.inputs[name] = kept
        if example.parameters:
            name = next(iter(example.parameters))
            whole = example.parameters.pop(name)
            refused("MTA611", example.q, example.k, example.v)
            example.parameters[name] = whole.reshape(-1)[:-1]
            refused("MTA613", example.q, example.k, example.v)


@contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
