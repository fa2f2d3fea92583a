"""Where calls are computed: a GPU, or the processor where there is none."""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Protocol

import torch

__all__ = ["TYPES", "Device", "device_of"]

TYPES: Mapping[str, torch.dtype] = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16}

LEAST_CAPABILITY = (8, 0)
MOST_SAMPLES = 30

WARM_UP = 0.15
"""Seconds of runs that are not counted: a GPU that had nothing to do takes so long to its full clock."""

SLOW = 8
"""Times as long as its samples should take: what takes longer still has fewer samples."""


class Device(Protocol):
    """What steps ask of a device.

    Attributes:
        lacking: What the machine lacks for steps on a GPU; None where it has one.
        kind: PyTorch's name of it.
        clock: ``device`` or ``wall``: what times are taken with.
    """

    lacking: str | None
    kind: str
    clock: str

    def synchronize(self) -> None:
        """Waits for all that was queued; raises what went wrong there."""
        ...

    def works(self) -> bool:
        """Whether it can be used after an error."""
        ...

    def tidy(self) -> None:
        """Frees memory that nobody has."""
        ...

    def samples(self, run: Callable[[], object], seconds: float) -> list[float]:
        """Nanoseconds of runs, after some that are not counted."""
        ...

    def peak(self, run: Callable[[], object]) -> int | None:
        """Bytes that a run holds at its peak beside what was there before; None where nothing tells."""
        ...


class Processor:
    """This machine's processor."""

    kind = "cpu"
    clock = "wall"

    def __init__(self, lacking: str) -> None:
        """``lacking``: why it is not a GPU."""
        self.lacking: str | None = lacking

    def synchronize(self) -> None:
        """Nothing is queued."""

    def works(self) -> bool:
        """Always."""
        return True

    def tidy(self) -> None:
        """Frees memory that nobody has."""
        gc.collect()

    def samples(self, run: Callable[[], object], seconds: float) -> list[float]:
        """Nanoseconds of runs, by the clock."""

        def once() -> float:
            begin = time.perf_counter_ns()
            run()
            return time.perf_counter_ns() - begin

        run()
        return _samples(once, seconds)

    def peak(self, run: Callable[[], object]) -> int | None:
        """Not known."""
        return None


class Gpu:
    """PyTorch's current CUDA device."""

    kind = "cuda"
    clock = "device"
    lacking: str | None = None

    def __init__(self) -> None:
        """Has PyTorch map memory as it is needed, where that works: then large calls leave no gaps."""
        settings: Any = getattr(torch._C, "_accelerator_setAllocatorSettings", None)
        if settings is None or "PYTORCH_CUDA_ALLOC_CONF" in os.environ or "PYTORCH_ALLOC_CONF" in os.environ:
            return
        try:
            settings("expandable_segments:True")
            torch.empty(2**25, dtype=torch.uint8, device=self.kind)
            self.synchronize()
        except Exception:
            # Some containers' drivers map none, and some builds have no such setting.
            with suppress(Exception):
                settings("expandable_segments:False")

    def synchronize(self) -> None:
        """Waits for all that was queued; raises what went wrong there."""
        torch.cuda.synchronize()

    def works(self) -> bool:
        """Not after an error that CUDA remembers."""
        try:
            torch.cuda.synchronize()
            return bool(torch.ones(1, device=self.kind).item() == 1)
        except Exception:
            return False

    def tidy(self) -> None:
        """Frees memory that nobody has."""
        gc.collect()
        torch.cuda.empty_cache()

    def samples(self, run: Callable[[], object], seconds: float) -> list[float]:
        """Nanoseconds of runs, by events on the stream."""
        # PyTorch does not type it.
        events: Any = torch.cuda

        def once() -> float:
            before, after = events.Event(enable_timing=True), events.Event(enable_timing=True)
            before.record()
            run()
            after.record()
            after.synchronize()
            milliseconds: float = before.elapsed_time(after)
            return milliseconds * 1e6

        # The first run compiles and loads kernels.
        run()
        self.synchronize()
        end = time.monotonic() + WARM_UP
        while True:
            run()
            self.synchronize()
            if time.monotonic() >= end:
                return _samples(once, seconds)

    def peak(self, run: Callable[[], object]) -> int | None:
        """Of PyTorch's allocator."""
        self.tidy()
        self.synchronize()
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        kept = run()
        self.synchronize()
        found = torch.cuda.max_memory_allocated() - before
        del kept
        return found


def _samples(once: Callable[[], float], seconds: float) -> list[float]:
    """Nanoseconds of runs: at least three, but of what takes long fewer."""
    times: list[float] = []
    begin = time.monotonic()
    while True:
        times.append(once())
        took = time.monotonic() - begin
        if len(times) >= MOST_SAMPLES or took >= (seconds if len(times) >= 3 else SLOW * seconds):
            return times


def device_of(wanted: str) -> Device:
    """The GPU, where there is one and ``wanted`` is not ``cpu``."""
    lacking = "the processor was asked for" if wanted == "cpu" else _lacking()
    return Gpu() if lacking is None else Processor(lacking)


def _lacking() -> str | None:
    if not torch.cuda.is_available():
        built = "built for CUDA" if torch.version.cuda is not None else "built without CUDA"
        return f"a CUDA device: PyTorch {torch.__version__}, {built}, finds none"
    try:
        found = torch.cuda.get_device_capability()
        torch.ones(1, device=Gpu.kind).item()
    except Exception as problem:
        return f"a CUDA device that works: {type(problem).__name__}: {problem}".splitlines()[0]
    if found < LEAST_CAPABILITY:
        return f"a device of compute capability 8.0 or newer: this one has {found[0]}.{found[1]}"
    return None
