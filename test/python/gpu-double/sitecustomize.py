"""Makes processes believe in a GPU: what a kit asks of ``torch.cuda`` is answered here, and tensors stay on the processor.

Python loads this before all else where its folder is in PYTHONPATH. The driver's part is the double in MTAC_LIBCUDA.
"""

import sys
import time
from contextlib import nullcontext
from types import SimpleNamespace


class Event:
    """A moment on the clock."""

    def __init__(self, enable_timing):
        assert enable_timing
        self.at = 0.0

    def record(self):
        self.at = time.perf_counter()

    def synchronize(self):
        pass

    def elapsed_time(self, other):
        return (other.at - self.at) * 1e3


class Graph:
    """Replays nothing: a test expects to be told so."""

    def replay(self):
        pass


def install():
    import torch

    properties = SimpleNamespace(name="Double", major=8, minor=6, multi_processor_count=1, total_memory=2**33)
    stream = SimpleNamespace(wait_stream=lambda other: None)
    answers = {
        "is_available": lambda: True,
        "get_device_capability": lambda: (8, 6),
        "get_device_properties": lambda index: properties,
        "device_count": lambda: 1,
        "synchronize": lambda: None,
        "empty_cache": lambda: None,
        "memory_allocated": lambda: 1000,
        "max_memory_allocated": lambda: 5000,
        "reset_peak_memory_stats": lambda: None,
        "mem_get_info": lambda: (2**40, 2**40),
        "Event": Event,
        "Stream": lambda: stream,
        "current_stream": lambda: stream,
        "stream": lambda given: nullcontext(),
        "CUDAGraph": Graph,
        "graph": lambda given: nullcontext(),
    }
    for name, answer in answers.items():
        setattr(torch.cuda, name, answer)
    devices = __import__("kit.devices", fromlist=["Gpu"])
    devices.Gpu.kind = "cpu"
    timing = __import__("kit.timing", fromlist=["TOKENS"])
    timing.TOKENS = 64
    plain = __import__("kit.plain", fromlist=["choose_device"])
    plain.choose_device = lambda storage, on_processor: ("cpu", plain.STORAGE[storage])


if sys.argv[:1] == ["-m"] or "kit.worker" in sys.orig_argv or "kit.small_call" in sys.orig_argv:
    sys.path.insert(0, ".")
    install()
