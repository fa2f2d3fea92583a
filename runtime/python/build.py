"""Compiles a package's kernels into it, for machines without a compiler."""

from __future__ import annotations

import argparse
import os
import re
import shutil
import tempfile
from pathlib import Path

from .cache import write_whole
from .compilers import Goal, the_compiler
from .cuda import KERNELS, image_file
from .errors import MtacError
from .library import PROGRAMS, THIS_PROCESSOR, compile_library, prebuilt
from .plan import read

__all__ = ["compile_cuda", "main"]


def main() -> None:
    """``python -m PACKAGE.build``: compiles both libraries, and CUDA kernels, and puts them beside their sources."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--processor",
        default=THIS_PROCESSOR,
        metavar="FLAG",
        help="what is compiled for: -march=x86-64-v3 runs on every x86-64 processor since 2015 (default: this one)",
    )
    parser.add_argument(
        "--cuda",
        default="",
        metavar="SM,SM",
        help="architectures to compile the CUDA kernels for, sm_80,sm_90 for example, by NVRTC or nvcc (default: none)",
    )
    arguments = parser.parse_args()
    processor: str = arguments.processor
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
        for architecture in filter(None, arguments.cuda.split(",")):
            compile_cuda(architecture)
    except MtacError as error:
        parser.exit(1, f"{error}\n")
    except OSError as error:
        parser.exit(1, f"MTA882: {error}\n  install the package where it can be written\n")


def compile_cuda(architecture: str) -> None:
    """Machine code of all CUDA sources for an architecture.

    Raises:
        MtacError: MTA808 (no such architecture), MTA812 (damaged plans), MTA813, MTA815 (no compiler for it), MTA817.
    """
    match = re.fullmatch(r"sm_(\d{2,3})", architecture)
    if match is None:
        raise MtacError("MTA808", f"there is no GPU architecture {architecture}", "give one as sm_80")
    capability = int(match[1])
    compiler = the_compiler()
    goal = None if compiler is None else Goal(compiler, capability)
    if compiler is None or goal is None or not goal.exact:
        known = "there is no NVRTC and no nvcc" if compiler is None else f"{compiler.description} does not know it"
        raise MtacError(
            "MTA815", f"nothing compiles for {architecture}: {known}", "pip install a newer nvidia-cuda-nvrtc"
        )
    options = {file.name: read(file)["options"] for file in sorted(KERNELS.glob("*.json"))}
    for source in sorted(KERNELS.glob("*.cu")):
        text = source.read_text(encoding="utf-8")
        # A source is called as the plans that launch it: attention.type.cu, attention.type.backward.cu.
        plans = next(each for each in options if source.name.startswith(each.removesuffix("json")))
        target = image_file(source.name, text, capability)
        write_whole(target, compiler.compile(text, source.name, options[plans][compiler.kind], goal))
        target.chmod(0o644)
        for old in KERNELS.glob(f"{source.name.removesuffix('.cu')}-*.{architecture}.cubin"):
            if old != target:
                old.unlink()
        print(target)
