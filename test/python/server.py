"""Computes attentions of emitted packages: answers each line of JSON on stdin with one on stdout."""

from __future__ import annotations

import importlib
import json
import struct
import sys
from pathlib import Path

import torch
from torch import Tensor

TYPES = {"F32": torch.float32, "F64": torch.float64, "I32": torch.int32}


def read(file: str) -> dict[str, Tensor]:
    """Tensors of a safetensors file."""
    data = Path(file).read_bytes()
    (length,) = struct.unpack_from("<Q", data)
    header = json.loads(data[8 : 8 + length])
    tensors = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        start, end = (8 + length + each for each in entry["data_offsets"])
        kind = TYPES[entry["dtype"]]
        flat = torch.frombuffer(bytearray(data[start:end]), dtype=kind) if end > start else torch.empty(0, dtype=kind)
        tensors[name] = flat.reshape(entry["shape"])
    return tensors


def write(file: str, tensors: dict[str, Tensor]) -> None:
    """A safetensors file of float32 tensors."""
    header, parts, place = {}, [], 0
    for name, tensor in tensors.items():
        values = tensor.detach().to(torch.float32).flatten().tolist()
        part = struct.pack(f"<{len(values)}f", *values)
        header[name] = {"dtype": "F32", "shape": list(tensor.shape), "data_offsets": [place, place + len(part)]}
        parts.append(part)
        place += len(part)
    text = json.dumps(header).encode()
    Path(file).write_bytes(struct.pack("<Q", len(text)) + text + b"".join(parts))


def compute(request: dict) -> None:
    """Writes o, lse and gradients of a call."""
    sys.path.insert(0, request["folder"])
    functional = importlib.import_module(f"{request['package']}.functional")
    sys.path.pop(0)
    function = getattr(functional, request["constant"])
    kind = getattr(torch, request["type"])
    tensors = read(request["inputs"])

    def leaf(tensor: Tensor) -> Tensor:
        return tensor.to(kind).requires_grad_()

    inputs = {name: leaf(tensors[name]) for name in ("q", "k", "v", "q_history") if name in tensors}
    parameters = {each.name: leaf(tensors[each.name]) for each in function.attention.parameters}
    others = {name: tensors[name] for name in ("documents", "lengths", "positions", "dropout_seed") if name in tensors}
    if "bias" in tensors:
        inputs["bias"] = tensors["bias"].to(torch.float32).requires_grad_()
    o, lse = function(**inputs, parameters=parameters, **others, layer=request["layer"])
    leaves = inputs | parameters
    found = torch.autograd.grad(o, [*leaves.values()], tensors["d_o"].to(kind), materialize_grads=True)
    results = {"o": o, "lse": lse} | {f"d_{name}": each for name, each in zip(leaves, found, strict=True)}
    write(request["results"], results)


def main() -> None:
    """Answers until stdin ends."""
    torch.set_num_threads(2)
    for line in sys.stdin:
        try:
            compute(json.loads(line))
            answer = {}
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)


main()
