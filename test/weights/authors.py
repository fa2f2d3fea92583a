"""The forward of the authors' MTA attention in plain numpy (float64), and small state dicts with its results.

    pip install numpy safetensors && python test/weights/authors.py

writes test/weights/fixtures, which the tests read. Written from the formulas of arXiv 2504.00927; tensors are named and stored as the
authors' model has them: convolutions [H, 1, cq, ck], linear heads as [out, in], `head_kernel` as [group, in, out].
"""

from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

FIXTURES = Path(__file__).parent / "fixtures"
HEADS, HEAD_DIM, ROWS = 4, 8, 12


def convolve(scores, kernel, hidden):
    """Rows see earlier rows only; keys on both sides."""
    scores = np.where(hidden, 0.0, scores)
    heads, _, cq, ck = kernel.shape
    half = (ck - 1) // 2
    padded = np.pad(scores, ((0, 0), (0, 0), (cq - 1, 0), (half, half)))
    result = np.zeros_like(scores)
    rows, keys = scores.shape[-2:]
    for a in range(cq):
        for b in range(ck):
            result += kernel[:, 0, a, b][None, :, None, None] * padded[:, :, a : a + rows, b : b + keys]
    return result


def linear(scores, weight):
    """nn.Linear over heads."""
    return np.einsum("on,bnij->boij", weight, scores)


def head_convolution(scores, kernel):
    """Each group's heads, multiplied from the right."""
    groups, size, _ = kernel.shape
    batch, heads, rows, keys = scores.shape
    grouped = scores.reshape(batch, groups, size, rows, keys)
    return np.einsum("bgnij,gno->bgoij", grouped, kernel).reshape(scores.shape)


def forward(state, prefix, q, k, v, rescale_layer):
    """o of one attention: [B, H, L, D]. `rescale_layer` is the layer's number where the norm is scaled by depth, else None."""
    state = {name[len(prefix) :]: value.astype(np.float64) for name, value in state.items() if name.startswith(prefix)}
    q, k, v = (each.astype(np.float64) for each in (q, k, v))
    hidden = np.triu(np.ones((q.shape[2], k.shape[2]), dtype=bool), 1)
    scores = q @ k.swapaxes(-1, -2) / np.sqrt(q.shape[-1])
    if "mta_kernel" in state:
        scores = convolve(scores, state["mta_kernel"], hidden)
    scores = linear(np.where(hidden, 0.0, scores), state["wpsm.weight"])
    scores = np.where(hidden, -np.inf, scores)
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    weights /= weights.sum(-1, keepdims=True)
    if "mta_kernel_after_sm" in state:
        weights = np.where(hidden, 0.0, convolve(weights, state["mta_kernel_after_sm"], hidden))
    if "head_kernel" in state:
        weights = head_convolution(weights, state["head_kernel"])
    else:
        weights = linear(weights, state["wposm.weight"])
    o = weights @ v
    o = o / np.sqrt((o**2).mean(-1, keepdims=True) + 1e-5) * state["subln.weight"]
    if rescale_layer is not None:
        o *= 1 - (0.8 - 0.6 * np.exp(-0.3 * rescale_layer))
    gate = o @ state["gate.weight"].T + state["gate.bias"]
    return o / (1 + np.exp(-gate))


def attention_state(draw, prefix, *, convolutions, head_kernel, gates):
    """The tensors of one attention, with projections that mtac has no use for."""
    tensors = {f"{name}.weight": draw(3, 3) for name in ("wq", "wk", "wv", "wo")}
    if convolutions:
        tensors["mta_kernel"] = draw(HEADS, 1, 3, 5)
        tensors["mta_kernel_after_sm"] = draw(HEADS, 1, 2, 3)
    tensors["wpsm.weight"] = draw(HEADS, HEADS)
    if head_kernel:
        tensors["head_kernel"] = draw(HEADS // 2, 2, 2)
    else:
        tensors["wposm.weight"] = draw(HEADS, HEADS)
    tensors["subln.weight"] = draw(HEAD_DIM)
    tensors["gate.weight"] = draw(gates, HEAD_DIM)
    tensors["gate.bias"] = draw(gates)
    return {prefix + name: value for name, value in tensors.items()}


def main():
    random = np.random.default_rng(2504)

    def draw(*shape):
        return random.normal(scale=0.5, size=shape).astype(np.float32)

    FIXTURES.mkdir(exist_ok=True)
    inputs = {name: draw(1, HEADS, ROWS, HEAD_DIM) for name in ("q", "k", "v")}
    save_file(inputs, FIXTURES / "inputs.safetensors")

    layer = attention_state(draw, "attention.", convolutions=True, head_kernel=True, gates=1)
    save_file(layer, FIXTURES / "layer.state.safetensors")
    o = forward(layer, "attention.", **inputs, rescale_layer=None)
    save_file({"o": o}, FIXTURES / "layer.expected.safetensors")

    model, expected = {"tok_embeddings.weight": draw(5, 3)}, {}
    for number in range(3):
        prefix = f"layers.{number}.attention."
        kinds = {"convolutions": number == 1, "head_kernel": False, "gates": HEAD_DIM}
        model |= attention_state(draw, prefix, **kinds)
        # A tensor of a type that mtac does not read, and one whose name ends like a gate's.
        model[f"layers.{number}.feed_forward.steps"] = np.array([number], dtype=np.uint8)
        model[f"layers.{number}.feed_forward.gate.weight"] = draw(3, 3)
        expected[f"o.{number}"] = forward(model, prefix, **inputs, rescale_layer=number)
    save_file(model, FIXTURES / "model.state.safetensors")
    save_file(expected, FIXTURES / "model.expected.safetensors")


if __name__ == "__main__":
    main()
