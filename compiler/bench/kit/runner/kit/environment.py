"""What the run was made on."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import subprocess
from collections.abc import Iterator
from typing import Any

import torch

from .context import Case, Context
from .results import CaseResult

__all__ = ["cases"]

QUERY = (
    "name,driver_version,memory.total,clocks.sm,clocks.max.sm,clocks.mem,power.limit,temperature.gpu,mig.mode.current"
)


def cases(context: Context, _step: str) -> Iterator[Case]:
    """The machine, and its device."""
    yield Case("machine", lambda: {"status": "passed", "data": _machine()})
    yield Case("device", lambda: _device(context))


def _machine() -> dict[str, Any]:
    return {
        "platform": platform.platform(),
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "compiler": os.environ.get("CC") or shutil.which("cc"),
        "nvcc": shutil.which("nvcc"),
        "triton": importlib.util.find_spec("triton") is not None,
        "sanitizer": shutil.which("compute-sanitizer"),
    }


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def _device(context: Context) -> CaseResult:
    if context.device.lacking is not None:
        return {"status": "skipped", "reason": f"the machine lacks {context.device.lacking}"}
    found = torch.cuda.get_device_properties(0)
    return {
        "status": "passed",
        "data": {
            "name": found.name,
            "capability": f"sm_{found.major}{found.minor}",
            "multiprocessors": found.multi_processor_count,
            "memory": found.total_memory,
            "devices": torch.cuda.device_count(),
            "kernelCompiler": _kernel_compiler(context),
            "nvidiaSmi": _nvidia_smi(),
        },
    }


def _kernel_compiler(context: Context) -> str | None:
    package = next(iter(context.packages.values()))
    try:
        compiler = package.module("_runtime.compilers").the_compiler()
        return None if compiler is None else str(compiler.description)
    except Exception as problem:
        return f"none that works: {problem}"


def _nvidia_smi() -> dict[str, str] | None:
    """Driver and clocks, as they are before the run; None where the tool does not tell."""
    command = ["nvidia-smi", f"--query-gpu={QUERY}", "--format=csv,noheader", "--id=0"]
    try:
        said = subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace", timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return None
    values = [each.strip() for each in said.stdout.split(",")]
    names = QUERY.split(",")
    return dict(zip(names, values, strict=True)) if said.returncode == 0 and len(values) == len(names) else None
