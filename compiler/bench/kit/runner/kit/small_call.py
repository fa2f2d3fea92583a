"""Small calls, for tools that watch them: ``python -m kit.small_call SECONDS PACKAGE ATTENTION TYPE``."""

from __future__ import annotations

import signal
import sys
import time
from pathlib import Path


def main(seconds: str, package_name: str = "", attention: str = "", type_name: str = "") -> None:
    """Computes them, forward and backward; without a package, something of PyTorch's only.

    After so many seconds the process ends, whatever it is doing.
    """
    # The signal's usual effect ends a process that waits for a kernel, too.
    if hasattr(signal, "alarm"):
        signal.alarm(int(seconds))
    import torch

    from .calls import Call
    from .context import Context
    from .devices import TYPES

    context = Context(Path.cwd(), "auto", 1, time.monotonic() + 60)
    if package_name == "":
        torch.ones(8, device=context.device.kind).sum().item()
        return
    package = context.packages[package_name]
    for size in ((1, 70, 70, 0), (1, 1, 33, 5)):
        call = Call.of_example(package, package.function(attention), size, TYPES[type_name], 1).on(context.device.kind)
        call.gradients(call.compute()[0])
        context.device.synchronize()


if __name__ == "__main__":
    main(*sys.argv[1:])
