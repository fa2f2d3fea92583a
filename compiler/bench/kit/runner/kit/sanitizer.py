"""Small calls under NVIDIA's compute-sanitizer: accesses out of bounds, races in shared memory."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from .context import Case, Context
from .results import CaseResult

__all__ = ["cases", "lacking"]

TOOLS = ("memcheck", "racecheck")
FOUND = 99
"""The exit status that says that the tool found something."""

LIMIT = 80
"""Seconds for one call."""


def _tool() -> str | None:
    for folder in ("CUDA_HOME", "CUDA_PATH"):
        place = Path(os.environ.get(folder, "")) / "bin" / "compute-sanitizer"
        if os.environ.get(folder) and place.is_file():
            return str(place)
    usual = "/usr/local/cuda/bin/compute-sanitizer"
    return shutil.which("compute-sanitizer") or (usual if Path(usual).is_file() else None)


def lacking(_context: Context) -> str | None:
    """CUDA's toolkit has it."""
    return None if _tool() is not None else "compute-sanitizer"


def cases(context: Context, _step: str) -> Iterator[Case]:
    """Each attention with each tool, in bfloat16 and float32."""
    for tool in TOOLS:
        for type_name in ("bf16", "f32"):
            for package, name in context.attentions():
                yield Case(
                    f"{tool} {name} {type_name}",
                    partial(_check, tool, package.name, name, type_name),
                )


def _check(tool: str, package: str, name: str, type_name: str) -> CaseResult:
    program = _tool()
    assert program is not None
    command = [program, "--tool", tool, "--error-exitcode", str(FOUND), "--print-limit", "5"]
    command += [sys.executable, "-m", "kit.small_call", package, name, type_name]
    # Each tensor in memory of its own: in PyTorch's pool, accesses behind a tensor's end find another one.
    environment = {**os.environ, "PYTORCH_NO_CUDA_MEMORY_CACHING": "1"}
    try:
        ended = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT, env=environment)
    except subprocess.TimeoutExpired:
        return {"status": "skipped", "reason": f"not done within {LIMIT} s"}
    said = (ended.stdout + ended.stderr).strip().splitlines()
    if ended.returncode == 0:
        return {"status": "passed"}
    status = "wrong" if ended.returncode == FOUND else "failed"
    return {"status": status, "reason": "\n".join(said[:12] + said[-3:])}
