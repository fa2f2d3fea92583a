"""Loads the packages' kernels, and compiles those that have no machine code for this device, on all processor cores."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from functools import partial
from typing import Any

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
    wanted: dict[str, dict[str, Any]] = {}
    options: dict[str, Any] = {}
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
                for kernel in chosen["kernels"]:
                    wanted.setdefault(kernel["file"], {})[kernel["entryPoint"]] = kernel["sharedBytes"]
                    options[kernel["file"]] = plans["options"]
    places = {file: cuda.built_image(file, limits.compute_capability) for file in wanted}
    built = {file: place for file, place in places.items() if place is not None}
    unloadable: list[str] = []
    driver.the_driver().enter(0)

    def load(file: str, code: bytes) -> None:
        module = driver.the_driver().load(code, file)
        for entry, shared in wanted[file].items():
            module.function(entry, shared)

    for file, place in built.items():
        try:
            load(file, place.read_bytes())
        except refused as problem:
            # A driver that is older than the compiler may not take its code: the machine's own compiler does better.
            place.rename(place.with_suffix(".unloadable"))
            unloadable.append(f"{problem}".splitlines()[0])
    rest = [file for file in wanted if file not in built or not built[file].exists()]
    # The compiler runs in the library's own code, where Python's lock is free.
    pool = ThreadPoolExecutor(os.cpu_count() or 1)
    futures = {pool.submit(cuda.image, file, options[file], limits.compute_capability): file for file in rest}
    done, others = wait(futures, timeout=max(min(context.left(), LIMIT), 1))
    # Those under way end with the process; what is done, the cache keeps.
    pool.shutdown(wait=False, cancel_futures=True)
    for each in done:
        load(futures[each], each.result())
    data = {"sources": len(wanted), "compiled": len(done), "unfit": unfit, "unloadable": unloadable}
    found: CaseResult = {"status": "passed", "data": data}
    if others:
        found |= {
            "status": "skipped",
            "reason": f"time for {len(done)} of {len(rest)} sources: calls compile the rest",
        }
    return found
