"""Compiles what the packages have no machine code of for this device, on all processor cores, into the cache."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from functools import partial

from .context import Case, Context, Package
from .devices import TYPES
from .results import CaseResult

__all__ = ["cases"]

LIMIT = 120
"""Seconds for the sources of one package."""


def cases(context: Context, _step: str) -> Iterator[Case]:
    """Package after package, in the manifest's order."""
    for package in context.packages.values():
        yield Case(package.name, partial(_compile, context, package))


def _compile(context: Context, package: Package) -> CaseResult:
    cuda, plan, driver = (package.module(f"_runtime.{name}") for name in ("cuda", "plan", "driver"))
    limits = driver.the_driver().limits(0)
    refused = package.module("_runtime").MtacError
    wanted: dict[str, tuple[str, ...]] = {}
    unfit: list[str] = []
    for name in package.attentions:
        for storage in TYPES:
            file = cuda.KERNELS / f"{name}.{storage}.json"
            if not file.exists():
                continue
            plans = plan.read(file)
            for candidates in plans["passes"].values():
                try:
                    chosen = plan.choose(name, candidates, limits)
                except refused as problem:
                    unfit.append(f"{problem}".splitlines()[0])
                    continue
                wanted |= {kernel["file"]: plans["options"] for kernel in chosen["kernels"]}
    # The compiler runs in the library's own code, where Python's lock is free.
    pool = ThreadPoolExecutor(os.cpu_count() or 1)
    futures = [pool.submit(cuda.image, file, options, limits.compute_capability) for file, options in wanted.items()]
    done, others = wait(futures, timeout=max(min(context.left(), LIMIT), 1))
    # Those under way end with the process; what is done, the cache keeps.
    pool.shutdown(wait=False, cancel_futures=True)
    for each in done:
        each.result()
    found: CaseResult = {"status": "passed", "data": {"sources": len(wanted), "unfit": unfit}}
    if others:
        found |= {
            "status": "skipped",
            "reason": f"time for {len(done)} of {len(wanted)} sources: calls compile the rest",
        }
    return found
