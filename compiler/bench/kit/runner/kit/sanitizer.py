"""Small calls under NVIDIA's compute-sanitizer: accesses out of bounds, races in shared memory."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path

from .context import Case, Context
from .results import CaseResult

__all__ = ["cases", "lacking"]

TOOLS = {
    # Calls of the driver that fail as they may, in PyTorch's start, are no errors of kernels.
    "memcheck": ("--report-api-errors", "no"),
    "racecheck": (),
}
"""With options of their own."""

FOUND = 99
"""The exit status that says that the tool found something."""

LIMIT = 70
"""Seconds for one call."""

MOST_AT_ONCE = 6

SLACK = 10
"""Seconds that the tool has to end behind the program that it watches, which ends itself at the limit."""


def _tool() -> str | None:
    for folder in ("CUDA_HOME", "CUDA_PATH"):
        place = Path(os.environ.get(folder, "")) / "bin" / "compute-sanitizer"
        if os.environ.get(folder) and place.is_file():
            return str(place)
    usual = "/usr/local/cuda/bin/compute-sanitizer"
    return shutil.which("compute-sanitizer") or (usual if Path(usual).is_file() else None)


def lacking(_context: Context) -> str | None:
    """CUDA's toolkit has it; some containers and drivers do not let it watch the device."""
    if _tool() is None:
        return "compute-sanitizer"
    code, said = _run("memcheck", [])
    return None if code == 0 else f"a compute-sanitizer that works: {'; '.join(said[:4])}"


def cases(context: Context, _step: str) -> Iterator[Case]:
    """Each attention with both tools, in bfloat16 and float32; several at once: most of a call is PyTorch's start."""
    calls = [
        (tool, package.name, name, type_name)
        for type_name in ("bf16", "f32")
        for package, name in context.attentions()
        for tool in TOOLS
    ]
    at_once = max(1, min(MOST_AT_ONCE, (os.cpu_count() or 1) // 2))
    pool = ThreadPoolExecutor(at_once)
    under_way: dict[int, Future[CaseResult]] = {}

    def result(number: int) -> CaseResult:
        # Only those that follow soon: what nobody waits for ends with the step.
        for each in range(number, min(number + at_once, len(calls))):
            if each not in under_way:
                under_way[each] = pool.submit(_check, *calls[each])
        return under_way.pop(number).result()

    for number, (tool, _, name, type_name) in enumerate(calls):
        yield Case(f"{tool} {name} {type_name}", partial(result, number))


def _check(tool: str, package: str, name: str, type_name: str) -> CaseResult:
    begin = time.monotonic()
    code, said = _run(tool, [package, name, type_name])
    if code == 0:
        return {"status": "passed"}
    if time.monotonic() - begin >= LIMIT and code != FOUND:
        return {"status": "skipped", "reason": f"not done within {LIMIT} s"}
    status = "wrong" if code == FOUND else "failed"
    return {"status": status, "reason": "\n".join(said[:12] + said[-3:])}


def _run(tool: str, call: Sequence[str]) -> tuple[int | None, list[str]]:
    """The exit status of a small call under a tool, None where it did not end, and what both said."""
    found = _tool()
    assert found is not None
    command = [found, "--tool", tool, *TOOLS[tool], "--error-exitcode", str(FOUND), "--print-limit", "5"]
    command += [sys.executable, "-m", "kit.small_call", str(LIMIT), *call]
    # Each tensor in memory of its own: in PyTorch's pool, accesses behind a tensor's end find another one.
    environment = {**os.environ, "PYTORCH_NO_CUDA_MEMORY_CACHING": "1"}
    code: int | None = None
    # A file: pipes stay open as long as the watched program, which the tool's end may leave behind.
    with tempfile.TemporaryFile() as log:
        try:
            code = subprocess.run(command, stdout=log, stderr=log, timeout=LIMIT + SLACK, env=environment).returncode
        except subprocess.TimeoutExpired:
            pass
        except OSError as problem:
            return None, [str(problem)]
        log.seek(0)
        said = log.read().decode("utf-8", errors="replace").strip().splitlines()
    return code, said or [f"it ends with {code} and says nothing"]
