"""One step's process: ``python -m kit.worker STEP``. Computes case after case, and writes a line about each."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import sys
import time
import traceback
from pathlib import Path
from typing import Any, TextIO

from .results import CaseResult
from .steps import DONE, MISSING, OVER, POISONED, STEPS

MODULES = {
    "environment": "environment",
    "kernels": "kernels",
    "vectors_forward": "vectors",
    "vectors_backward": "vectors",
    "random": "random_calls",
    "determinism": "determinism",
    "timing": "timing",
    "timing_others": "timing",
    "sanitizer": "sanitizer",
    "schedules": "schedules",
    "graphs": "graphs",
}


def main() -> int:
    """Runs a step's cases until they or its time are over."""
    parser = argparse.ArgumentParser()
    parser.add_argument("step", choices=[*MODULES])
    parser.add_argument("--lines", required=True)
    parser.add_argument("--skip", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--device", required=True)
    arguments = parser.parse_args()
    end = time.monotonic() + arguments.seconds
    with Path(arguments.lines).open("a", encoding="utf-8") as lines:
        try:
            import torch
        except ImportError as problem:
            _say(lines, {"lacking": f"PyTorch: {problem}"})
            return MISSING
        from .context import Context

        context = Context(Path.cwd(), arguments.device, arguments.seed, end)
        step = next(each for each in STEPS if each.name == arguments.step)
        module = importlib.import_module(f".{MODULES[step.name]}", __package__)
        # A process that goes on with the cases of another one need not ask again.
        if arguments.skip == 0:
            lacking = context.device.lacking if step.gpu else None
            if lacking is None and hasattr(module, "lacking"):
                lacking = module.lacking(context)
            if lacking is not None:
                _say(lines, {"lacking": lacking})
                return MISSING
        for number, case in enumerate(module.cases(context, step.name)):
            if number < arguments.skip:
                continue
            if time.monotonic() >= end:
                return OVER
            _say(lines, {"begin": case.name})
            begin = time.monotonic()
            found: CaseResult = {"name": case.name}
            try:
                found |= case.run()
                context.device.synchronize()
            except (MemoryError, torch.OutOfMemoryError) as problem:
                found |= {"status": "skipped", "reason": f"no memory: {problem}".splitlines()[0]}
            except Exception as problem:
                trace = traceback.format_exc(limit=-4)
                found |= {"status": "failed", "reason": f"{type(problem).__name__}: {problem}\n{trace}"}
            found["seconds"] = time.monotonic() - begin
            _say(lines, {"case": found})
            if found["status"] == "failed" and not context.device.works():
                return POISONED
            context.device.tidy()
    return DONE


def _say(lines: TextIO, entry: dict[str, Any]) -> None:
    lines.write(json.dumps(entry) + "\n")
    lines.flush()


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    # Not by Python's end: after an error on the device, freeing its memory ends in another one.
    os._exit(code)
