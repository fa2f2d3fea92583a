"""Where calls are computed: a GPU, or the processor where there is none."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import torch

__all__ = ["TYPES", "Device", "device_of"]

TYPES: Mapping[str, torch.dtype] = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16}

LEAST_CAPABILITY = (8, 0)
MOST_SAMPLES = 30


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
        run()
        times: list[float] = []
        end = time.monotonic() + seconds
        while len(times) < 3 or (len(times) < MOST_SAMPLES and time.monotonic() < end):
            begin = time.perf_counter_ns()
            run()
            times.append(time.perf_counter_ns() - begin)
        return times

    def peak(self, run: Callable[[], object]) -> int | None:
        """Not known."""
        return None


class Gpu:
    """PyTorch's current CUDA device."""

    kind = "cuda"
    clock = "device"
    lacking: str | None = None

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
        for _ in range(2):
            run()
        self.synchronize()
        times: list[float] = []
        end = time.monotonic() + seconds
        while len(times) < 3 or (len(times) < MOST_SAMPLES and time.monotonic() < end):
            before, after = events.Event(enable_timing=True), events.Event(enable_timing=True)
            before.record()
            run()
            after.record()
            after.synchronize()
            times.append(before.elapsed_time(after) * 1e6)
        return times

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


def device_of(wanted: str) -> Device:
    """The GPU, where there is one and ``wanted`` is not ``cpu``."""
    lacking = "the processor was asked for" if wanted == "cpu" else _lacking()
    return Gpu() if lacking is None else Processor(lacking)


def _lacking() -> str | None:
    if not torch.cuda.is_available():
        built = "built for CUDA" if torch.version.cuda is not None else "built without CUDA"
        return f"a CUDA device: PyTorch {torch.__version__}, {built}, finds none"
    found = torch.cuda.get_device_capability()
    if found < LEAST_CAPABILITY:
        return f"a device of compute capability 8.0 or newer: this one has {found[0]}.{found[1]}"
    return None
