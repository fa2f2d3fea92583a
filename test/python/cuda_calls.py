"""Makes calls of emitted packages on a stand-in for CUDA's driver: answers each line of JSON on stdin with another."""

from __future__ import annotations

import ctypes
import importlib
import json
import os
import sys
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor

TYPES = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16, "i32": torch.int32}


class Double:
    """The driver's stand-in, whose memory is this process's: tensors of PyTorch's lie in it."""

    index = 0

    def __init__(self, path: str) -> None:
        """Makes a stream, in the context that the package has made current."""
        self.library = ctypes.CDLL(path)
        stream = ctypes.c_uint64()
        assert self.library.cuStreamCreate(ctypes.byref(stream), 1) == 0
        self._stream = stream.value

    def guard(self) -> AbstractContextManager[object]:
        """There is one device."""
        return nullcontext()

    def stream(self) -> int:
        """Its only one."""
        return self._stream

    def empty(self, shape: Sequence[int], dtype: torch.dtype) -> Tensor:
        """A tensor in the driver's memory."""
        strides = torch.empty(shape, device="meta").stride()
        return self.strided(shape, strides, dtype)

    def strided(self, shape: Sequence[int], strides: Sequence[int], dtype: torch.dtype) -> Tensor:
        """A tensor with strides in the driver's memory."""
        last = 0 if 0 in shape else 1 + sum((size - 1) * step for size, step in zip(shape, strides, strict=True))
        size = last * dtype.itemsize
        address = ctypes.c_uint64()
        assert self.library.cuMemAlloc_v2(ctypes.byref(address), ctypes.c_uint64(max(size, 16))) == 0
        memory = (ctypes.c_uint8 * max(size, 16)).from_address(address.value)
        flat = torch.frombuffer(memory, dtype=torch.uint8)[:size].view(dtype)
        return flat.as_strided(shape, strides)

    def text(self, which: int) -> str:
        """0: what was called; 1: how it was misused."""
        out = ctypes.create_string_buffer(1 << 20)
        self.library.double_text(which, out, len(out))
        return out.value.decode()


def answer(request: dict, state: dict) -> dict:
    """Makes one call."""
    if request["package"] not in sys.modules:
        sys.path.insert(0, request["folder"])
        importlib.import_module(request["package"])
    runtime = f"{request['package']}._runtime"
    cuda, calls, driver = (importlib.import_module(f"{runtime}.{name}") for name in ("cuda", "call", "driver"))
    functional = importlib.import_module(f"{request['package']}.functional")
    attention = getattr(functional, request["constant"]).attention
    for file, text in request["images"].items():
        source = (cuda.KERNELS / file).read_text()
        cuda.image_file(file, source, 80).write_text(text)
    driver.the_driver().enter(0)
    double = state.setdefault("double", Double(os.environ["MTAC_LIBCUDA"]))
    double.library.double_record(request["record"].encode())
    storage = TYPES[request["storage"]]
    tensors = {
        name: double.strided(each["shape"], each["strides"], TYPES[each["storage"]])
        for name, each in request["tensors"].items()
    }
    call = calls.Call(**{name: each for name, each in tensors.items() if name != "d_o"}, layer=request["layer"])
    size = calls.check(attention, call)
    pipeline = attention.pipeline
    o = double.empty((size.batches, pipeline["heads"], size.rows, pipeline["valueDim"]), storage)
    has_lse = pipeline["normalize"] == "softmax"
    lse = double.empty((size.batches, pipeline["heads"], size.rows), torch.float32) if has_lse else None
    cuda.forward(attention, call, size, o, lse, double)
    double.library.double_record(f"{request['record']}.backward".encode())
    cuda.backward(attention, call, size, tensors["d_o"], request["wanted"], double)
    double.library.double_record(b"")
    pieces = {}
    for direction in ("forward", "backward"):
        kernels = cuda._LOADED[attention.namespace, attention.name, request["storage"], call.kind(direction), 0]
        launches = [*kernels.prepared.values()][-1]
        pieces[direction] = {"bytes": launches.bytes, "pieces": launches.pieces}
    return {"violations": double.text(1), "workspace": pieces}


def measure(request: dict, state: dict) -> dict:
    """Microseconds of calls, and their launches: of the executor alone, and through PyTorch's operators."""
    cuda, calls, ops = (
        importlib.import_module(f"{request['package']}._runtime.{name}") for name in ("cuda", "call", "ops")
    )
    function = getattr(importlib.import_module(f"{request['package']}.functional"), request["constant"])
    attention, double = function.attention, state["double"]
    storage, rows, pipeline = TYPES[request["storage"]], request["rows"], function.attention.pipeline
    shapes = ((pipeline["heads"], pipeline["headDim"]), (pipeline["kvHeads"], pipeline["headDim"]))
    q, k, v = (
        double.empty((1, heads, rows, columns), storage)
        for heads, columns in (*shapes, (pipeline["kvHeads"], pipeline["valueDim"]))
    )
    inputs = {name: torch.zeros((1, rows), dtype=torch.int32) for name in ("documents",) if attention.masks(name)}
    call = calls.Call(q, k, v, double.empty((attention.words,), torch.float32), **inputs)
    size = calls.check(attention, call)
    o = double.empty((1, pipeline["heads"], rows, pipeline["valueDim"]), storage)
    lse = double.empty((1, pipeline["heads"], rows), torch.float32)
    wanted = [True, True, True, True, False, False]

    class OnDouble:
        """The executor, with memory of PyTorch's allocator for the processor."""

        index = 0
        guard = staticmethod(nullcontext)
        stream = staticmethod(double.stream)
        empty = staticmethod(lambda shape, dtype: torch.empty(shape, dtype=dtype))

        def forward(self, attention, call, size, o, lse) -> None:
            cuda.forward(attention, call, size, o, lse, self)

        def backward(self, attention, call, size, d_o, wanted) -> list:
            return cuda.backward(attention, call, size, d_o, wanted, self)

    place = OnDouble()
    fields = (q, k, v, call.parameters, None, None, inputs.get("documents"), *[None] * 4)
    runs = {
        "forward, executor": lambda: cuda.forward(attention, call, size, o, lse, place),
        "backward, executor": lambda: cuda.backward(attention, call, size, o, wanted, place),
        "forward, operator": lambda: function.operators.forward(*fields),
        "backward, operator": lambda: function.operators.backward(o, *fields, wanted),
    }
    before = ops.KERNELS["cpu"]
    ops.KERNELS["cpu"] = place
    figures = {}
    try:
        for name, run in runs.items():
            run()
            double.library.double_quick(1)
            times = []
            for _ in range(300):
                begin = time.perf_counter()
                run()
                times.append((time.perf_counter() - begin) * 1e6)
            launches = double.library.double_quick(0) // 300
            figures[name] = {"launches": launches, "microseconds": sorted(times)[150]}
    finally:
        ops.KERNELS["cpu"] = before
    return figures


def main() -> None:
    """Answers until stdin ends."""
    state: dict = {}
    for line in sys.stdin:
        try:
            request = json.loads(line)
            said = (measure if "rows" in request else answer)(request, state)
        except Exception as error:
            said = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(said), flush=True)


main()
