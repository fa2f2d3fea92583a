"""Checks and times what mtac emitted on this machine: ``python3 run.py --minutes 8``."""

import sys
from pathlib import Path

if sys.version_info < (3, 10):  # noqa: UP036
    sys.exit("the kit needs Python 3.10 or newer")

from kit.orchestrate import main

main(Path(__file__).resolve().parent)
