"""Compiles the C library into a package, for machines without a compiler."""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
from pathlib import Path

from .errors import MtacError
from .library import PROGRAMS, THIS_PROCESSOR, compile_library, prebuilt

__all__ = ["main"]


def main() -> None:
    """``python -m PACKAGE.build``: compiles both libraries and puts them beside their sources."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--processor",
        default=THIS_PROCESSOR,
        metavar="FLAG",
        help="what is compiled for: -march=x86-64-v3 runs on every x86-64 processor since 2015 (default: this one)",
    )
    processor: str = parser.parse_args().processor
    try:
        for direction in PROGRAMS:
            with tempfile.TemporaryDirectory() as folder:
                made = compile_library(direction, Path(folder), processor)
                target = prebuilt(direction)
                # Copied beside its place and renamed: processes that have loaded the old one keep it.
                beside = target.with_suffix(".new")
                shutil.copyfile(made, beside)
                for old in target.parent.glob(f"{direction}-*{target.suffix}"):
                    old.unlink()
                os.replace(beside, target)
            print(target)
    except MtacError as error:
        parser.exit(1, f"{error}\n")
    except OSError as error:
        parser.exit(1, f"MTA882: {error}\n  install the package where it can be written\n")
