"""Small calls, for tools that watch them: ``python -m kit.small_call PACKAGE ATTENTION TYPE``."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from .calls import Call
from .context import Context
from .devices import TYPES


def main(package_name: str, attention: str, type_name: str) -> None:
    """Computes them, forward and backward."""
    context = Context(Path.cwd(), "auto", 1, time.monotonic() + 60)
    package = context.packages[package_name]
    for size in ((1, 70, 70, 0), (1, 1, 33, 5)):
        call = Call.of_example(package, package.function(attention), size, TYPES[type_name], 1).on(context.device.kind)
        call.gradients(call.compute()[0])
        context.device.synchronize()


if __name__ == "__main__":
    main(*sys.argv[1:])
