"""What a call of an emitted package takes beside its kernels, of several packages in turns.

python overhead.py DOUBLE STORAGE ROWS ROUNDS FOLDER... prints a line of JSON: for each kind of call its launches, and for
each package the median of microseconds of the calling thread. FOLDER is a package's, with one attention.

On the stand-in for CUDA's driver launches return at once; on the processor the C library is left out. So what remains
is Python's and PyTorch's part of a call.
"""

from __future__ import annotations

import importlib
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from types import ModuleType

import torch
from driver_double import Double
from torch import Tensor

TYPES = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16}
CALLS = 20


def renamed(folder: Path, scratch: Path, number: int) -> str:
    """A copy of a package with another name and namespace: two versions of one spec in a process."""
    name = f"package{number}"
    shutil.copytree(folder, scratch / name)
    file = scratch / name / "attention.json"
    data = json.loads(file.read_text())
    data["namespace"] = f"mtac_overhead_{number}"
    file.write_text(json.dumps(data))
    return name


class OnDouble:
    """The executor of CUDA plans on the stand-in, with memory of PyTorch's allocator for the processor."""

    index = 0

    def __init__(self, cuda: ModuleType, double: Double) -> None:
        self.cuda, self.double = cuda, double

    def guard(self) -> nullcontext:
        return nullcontext()

    def stream(self) -> int:
        return self.double.stream()

    def empty(self, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        return torch.empty(shape, dtype=dtype)

    # What they are given differs between versions.
    def forward(self, *given) -> None:
        self.cuda.forward(*given, self)

    def backward(self, *given) -> list:
        return self.cuda.backward(*given, self)


class Subject:
    """A package, with tensors of a call."""

    def __init__(self, name: str, double: Double, storage: str, rows: int) -> None:
        runtime = [importlib.import_module(f"{name}._runtime.{each}") for each in ("ops", "cuda", "cpu", "library")]
        self.ops, self.cuda, self.cpu, self.library = runtime
        layers = importlib.import_module(f"{name}.layers")
        self.layer = getattr(layers, layers.__all__[0])
        self.layer = self.layer(**({"layer": 3} if "layer" in self.layer.__init__.__kwdefaults__ else {}))
        function = self.layer.function
        self.function, self.attention = function, function.attention
        self.place = OnDouble(self.cuda, double)
        self._write_images(storage)
        pipeline = self.attention.pipeline
        shapes = [(pipeline["heads"], pipeline["headDim"])]
        shapes += [(pipeline["kvHeads"], pipeline["headDim"]), (pipeline["kvHeads"], pipeline["valueDim"])]
        self.leaves = [
            torch.zeros((1, heads, rows, dim), dtype=TYPES[storage], requires_grad=True) for heads, dim in shapes
        ]
        masks = self.attention.masks
        self.inputs = {"documents": torch.zeros((1, rows), dtype=torch.int32)} if masks("documents") else {}
        self.d_o = torch.zeros((1, pipeline["heads"], rows, pipeline["valueDim"]), dtype=TYPES[storage])

    def _write_images(self, storage: str) -> None:
        """Modules as the stand-in reads them."""
        plans = json.loads((self.cuda.KERNELS / f"{self.attention.name}.{storage}.json").read_text())
        passes = plans.get("passes") or {each: plans[each] for each in ("forward", "backward")}
        for plan in sum(passes.values(), []):
            lines = ["MTAC-DOUBLE"]
            for kernel in plan["kernels"]:
                block = f"v{4 * len(kernel['launch'])}"
                parameters = ",".join(block if each is None else "p" for each in kernel["arguments"])
                lines.append(f"kernel {kernel['entryPoint']} static=0 threads=1024 params={parameters}")
            file = plan["kernels"][0]["file"]
            source = (self.cuda.KERNELS / file).read_text()
            self.cuda.image_file(file, source, 80).write_text("\n".join(lines))

    def calls(self) -> dict[str, Callable[[], object]]:
        """Forward passes without gradients, steps of training, and operators as they are."""
        leaves = [*self.leaves, *self.layer.parameters()]
        q, k, v = self.leaves
        plain = [each.detach() for each in self.leaves]

        def forward() -> object:
            with torch.no_grad():
                return self.layer(*plain, **self.inputs)

        def step() -> object:
            o = self.layer(q, k, v, **self.inputs)
            return torch.autograd.grad(o, leaves, self.d_o)

        return {"forward": forward, "step": step}


def on_double(subject: Subject) -> Callable[[], None]:
    """Calls of tensors on the processor go to the stand-in; gives what undoes it."""
    before = subject.ops.KERNELS["cpu"]
    subject.ops.KERNELS["cpu"] = subject.place
    return lambda: subject.ops.KERNELS.__setitem__("cpu", before)


def on_processor(subject: Subject) -> Callable[[], None]:
    """The C library computes nothing; gives what undoes it."""
    passes = [subject.library.the_pass(each) for each in ("forward", "backward")]
    before = [each._compute for each in passes]
    for each in passes:
        each._compute = lambda *_: None

    def undo() -> None:
        for each, compute in zip(passes, before, strict=True):
            each._compute = compute

    return undo


def measure(subjects: list[Subject], double: Double, rounds: int) -> dict:
    """Medians of rounds in which the packages take turns."""
    results = {}
    for place, prepare in (("driver's stand-in", on_double), ("processor", on_processor)):
        undone = [prepare(each) for each in subjects]
        for kind in ("forward", "step"):
            runs = [each.calls()[kind] for each in subjects]
            times: list[list[float]] = [[] for _ in subjects]
            launches = []
            for run in runs:
                run()
                double.library.double_quick(1)
                run()
                launches.append(double.library.double_quick(0))
            double.library.double_quick(1)
            for _ in range(rounds):
                for run, own in zip(runs, times, strict=True):
                    for _ in range(CALLS):
                        begin = time.thread_time_ns()
                        run()
                        own.append((time.thread_time_ns() - begin) / 1000)
            double.library.double_quick(0)
            results[f"{kind}, {place}"] = {"launches": launches, "microseconds": [*map(statistics.median, times)]}
        for undo in undone:
            undo()
    return results


def main() -> None:
    """Measures the packages that the arguments name."""
    library, storage, rows, rounds, *folders = sys.argv[1:]
    os.environ["MTAC_LIBCUDA"] = library
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as scratch:
        sys.path.insert(0, scratch)
        names = [renamed(Path(folder), Path(scratch), number) for number, folder in enumerate(folders)]
        driver = importlib.import_module(f"{names[0]}._runtime.driver")
        driver.the_driver().enter(0)
        double = Double(library)
        subjects = [Subject(name, double, storage, int(rows)) for name in names]
        print(json.dumps(measure(subjects, double, int(rounds))))


main()
