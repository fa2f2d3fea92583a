"""What a package says where CUDA's driver, a compiler or the package itself fails: prints the code of each case."""

import os
import struct
import sys
from pathlib import Path

import torch
from a._runtime import call, compilers, cuda, driver, plan
from a._runtime.errors import MtacError
from a.functional import A_ATTENTION
from driver_double import Double

ATTENTION = A_ATTENTION.attention
LIBRARY = os.environ["MTAC_LIBCUDA"]
OPTIONS = {"nvrtc": ["--std=c++17"], "nvcc": ["-std=c++17"]}


def case(name, work):
    try:
        found = work()
    except MtacError as error:
        found = error.code
    print(f"{name}: {found}")


def failing(function, result, work):
    """Work whose next call of one of the driver's functions fails."""
    double.library.double_fail(function.encode(), 1, result)
    return work()


# The driver's library.
case("no driver", lambda: driver.Driver("/no/libcuda.so"))
case("another library", lambda: driver.Driver("libm.so.6").launch)
the_driver = driver.the_driver()
the_driver.enter(0)
double = Double(LIBRARY)
case("no start", lambda: failing("cuInit", 100, lambda: driver.Driver(LIBRARY)))
case("no such device", lambda: the_driver.limits(7))
case("no name", lambda: failing("cuDeviceGetName", 1, lambda: the_driver.limits(0)))

# Plans, modules and kernels.
plans = plan.read(cuda.KERNELS / "a.f32.json")
limits = the_driver.limits(0)
old = plan.Limits("an old device", 75, 48 * 1024, 1024, limits.grid)
case("an old device", lambda: plan.choose("a", plans["passes"]["forward"], old))
case("no machine code", lambda: the_driver.load(b"garbage\0", "a.cu"))


def image(kernels):
    """Machine code of the stand-in."""
    lines = ["MTAC-DOUBLE"]
    for kernel in kernels:
        fields = 4 * len(kernel["launch"])
        types = ",".join(f"v{fields}" if each is None else "p" for each in kernel["arguments"])
        lines.append(f"kernel {kernel['entryPoint']} static=0 threads=1024 params={types}")
    return "\n".join([*lines, ""])


module = the_driver.load(image([]).encode() + b"\0", "a.cu")
case("no such kernel", lambda: module.function("a_attention", 0))
for passes in plans["passes"].values():
    for each in {kernel["file"] for data in passes for kernel in data["kernels"]}:
        source = (cuda.KERNELS / each).read_text()
        kernels = [kernel for data in passes for kernel in data["kernels"] if kernel["file"] == each]
        cuda.image_file(each, source, limits.compute_capability).write_text(image(kernels))


def run(rows=5):
    """A call."""
    shape = (1, 2, rows, 16)
    q, k, v = (double.empty(shape, torch.float32) for _ in range(3))
    inputs = call.Call(q, k, v, double.empty((ATTENTION.words,), torch.float32))
    o, lse = double.empty(shape, torch.float32), double.empty(shape[:-1], torch.float32)
    cuda.forward(ATTENTION, inputs, call.check(ATTENTION, inputs), o, lse, None, double)
    return "done"


kernels = plans["passes"]["forward"][0]["kernels"]
module = the_driver.load(image(kernels).encode() + b"\0", "a.cu")
entry = kernels[0]["entryPoint"]
case("shared memory", lambda: failing("cuFuncSetAttribute", 1, lambda: module.function(entry, 1 << 20)))
case("a call", run)
for name, result in {"no resources": 701, "a refusal": 1, "a fault before": 719}.items():
    print(f"{name}: {the_driver.launch_error(result, 'launching').code}")
loaded = cuda._LOADED[ATTENTION.namespace, "a", "f32", "forward", 0]
loaded._limits = plan.Limits(limits.name, 80, 0, 0, (1, 1, 1))
case("a grid", lambda: run(1000))
loaded._limits = limits

# What is read as it lies, and what is copied.
for name, tensor in {
    "strides": double.strided((1, 2, 5, 16), (160, 80, 16, 1), torch.float32),
    "strides that are no multiples": double.strided((1, 2, 5, 16), (170, 85, 17, 1), torch.float32),
    "columns apart": double.strided((1, 2, 5, 16), (320, 160, 32, 2), torch.float32),
    "an address between": double.empty((164,), torch.float32)[1:161].view(1, 2, 5, 16),
}.items():
    read = cuda._readable(tensor, 4, 16)
    print(f"{name}: {read is tensor} {read.is_contiguous()}")
for rows in range(1, cuda.MOST_SHAPES + 20):
    run(rows)
print(f"shapes that are kept: {len(loaded.prepared)} {run(3)}")
# Nothing works after it.
print(f"misuse of the driver: {double.text(1).strip() or 'none'}")
case("a fault", lambda: failing("cuLaunchKernel", 700, run))

# Compilers.
broken = 'extern "C" __global__ void k() { here is a fault; }'
fine = 'extern "C" __global__ void k(int *x) { x[0] = 1; }'
nvrtc = compilers.the_compiler()
if nvrtc is None or nvrtc.kind != "nvrtc":
    sys.exit("NVRTC is missing: python -m pip install nvidia-cuda-nvrtc")
case("a fault in a source", lambda: nvrtc.compile(broken, "a.cu", OPTIONS["nvrtc"], compilers.Goal(nvrtc, 80)))
case("another library for NVRTC", lambda: compilers.Nvrtc("libm.so.6"))
newer = compilers.Goal(nvrtc, 999)
ptx = nvrtc.compile(fine, "a.cu", OPTIONS["nvrtc"], newer)
print(f"a newer device: {newer.form} {b'.visible .entry k(' in ptx} {ptx.endswith(bytes(1))}")
os.environ["MTAC_LIBNVRTC"] = "/no/libnvrtc.so"
compilers.the_compiler.cache_clear()
case("NVRTC that is not there", compilers.the_compiler)
program = Path("nvcc")
VERSION = 'case $1 in --version) echo "V13.0.1";; --list-gpu-code) echo sm_80 sm_90;;'
program.write_text(f"#!/bin/sh\n{VERSION} *) echo \"$@\" > kernels.cubin; cp kernels.cubin kernels.ptx;; esac\n")
program.chmod(0o755)
nvcc = compilers.Nvcc(os.path.abspath("nvcc"))
for capability in (90, 100):
    made = nvcc.compile(fine, "a.cu", OPTIONS["nvcc"], compilers.Goal(nvcc, capability))
    print(f"nvcc: {made!r}")
program.write_text(f"#!/bin/sh\n{VERSION} *) echo 'a.cu(1): error'; exit 1;; esac\n")
case("nvcc that refuses", lambda: nvcc.compile(broken, "a.cu", OPTIONS["nvcc"], compilers.Goal(nvcc, 80)))
program.write_text("#!/bin/sh\nexit 3\n")
case("nvcc that fails", lambda: compilers.Nvcc(os.path.abspath("nvcc")))
