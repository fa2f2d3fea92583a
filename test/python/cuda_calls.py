"""Makes calls of emitted packages on a stand-in for CUDA's driver: answers each line of JSON on stdin with another."""

from __future__ import annotations

import importlib
import json
import os
import sys

import torch
from driver_double import Double

TYPES = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16, "i32": torch.int32}


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
    shape = (size.batches, pipeline["heads"], size.rows, pipeline["valueDim"])
    o = double.empty(shape, storage)
    has_lse = pipeline["normalize"] == "softmax"
    lse = double.empty((size.batches, pipeline["heads"], size.rows), torch.float32) if has_lse else None
    values = double.empty(shape, torch.float32) if attention.keeps_values and request["keep"] else None
    cuda.forward(attention, call, size, o, lse, values, double)
    double.library.double_record(f"{request['record']}.backward".encode())
    cuda.backward(attention, call, size, tensors["d_o"], values, request["wanted"], double)
    double.library.double_record(b"")
    pieces = {}
    for direction in ("forward", "backward"):
        kernels = cuda._LOADED[attention.namespace, attention.name, request["storage"], call.kind(direction), 0]
        launches = [*kernels.prepared.values()][-1]
        pieces[direction] = {"bytes": launches.bytes, "pieces": launches.pieces}
    return {"violations": double.text(1), "workspace": pieces}


def main() -> None:
    """Answers until stdin ends."""
    state: dict = {}
    for line in sys.stdin:
        try:
            request = json.loads(line)
            said = answer(request, state)
        except Exception as error:
            said = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(said), flush=True)


main()
