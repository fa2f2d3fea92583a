"""The C library that computes attentions on the processor: compiled once, kept in a cache, called through ctypes."""

from __future__ import annotations

import ctypes
import functools
import hashlib
import os
import platform
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from .cache import cache_folder, entry_name, find_entry
from .errors import MtacError

__all__ = ["Pass", "compile_library", "prebuilt", "the_pass"]

SOURCES = Path(__file__).absolute().parent.parent / "_native"
"""The library's sources: ``native.c`` computes, ``backward.c`` gradients; both include the headers beside them."""

PROGRAMS = {"forward": "native.c", "backward": "backward.c"}
SYMBOLS = {
    "forward": ("mtac_workspace_bytes", "mtac_forward"),
    "backward": ("mtac_backward_workspace_bytes", "mtac_backward"),
}

# A product and a sum are one rounded operation where the processor has it, a square root is one instruction. Nothing
# that changes what NaN and infinities do.
FLAGS = (
    "-std=c11",
    "-O3",
    "-ffp-contract=fast",
    "-fno-math-errno",
    "-fvisibility=hidden",
    "-fPIC",
    "-shared",
    "-pthread",
)

THIS_PROCESSOR = "-march=native"

UNWRITABLE = ("Permission denied", "No space left", "Read-only file system", "cannot open output file")


class Pass:
    """The forward pass, or the backward pass, of every attention: what to compute is data, 64-bit words."""

    def __init__(self, direction: str, file: Path) -> None:
        """Loads a compiled library.

        Raises:
            MtacError: MTA884: it cannot be loaded.
        """
        try:
            library = ctypes.CDLL(str(file))
        except OSError as error:
            raise MtacError(
                "MTA884",
                f"the compiled library cannot be loaded: {error}",
                f"delete {file}, or point XDG_CACHE_HOME to another folder",
            ) from error
        size, compute = SYMBOLS[direction]
        self._size = getattr(library, size)
        self._size.argtypes = [ctypes.c_uint64, ctypes.c_int, ctypes.POINTER(ctypes.c_int64)]
        self._compute = getattr(library, compute)
        self._compute.argtypes = [ctypes.c_uint64, ctypes.c_uint64, ctypes.c_int]

    def workspace_bytes(self, words: int, parts: int) -> int:
        """Bytes of workspace, aligned to 64, that a call in so many parts needs; its words lie at an address."""
        size = ctypes.c_int64()
        self._size(words, parts, ctypes.byref(size))
        return size.value

    def compute(self, words: int, workspace: int, parts: int) -> None:
        """Computes a call, each part on a thread of its own; Python's other threads go on meanwhile."""
        self._compute(words, workspace, parts)


@functools.cache
def the_pass(direction: str) -> Pass:
    """The pass of a direction: one that was built beforehand, else compiled when it is first asked for.

    Args:
        direction: ``forward`` or ``backward``.

    Raises:
        MtacError: MTA880 (no C compiler), MTA882 (the cache cannot be written), MTA883 (the compiler fails), MTA884
            (the library cannot be loaded).
    """
    built = prebuilt(direction)
    return Pass(direction, built if built.exists() else compile_library(direction, cache_folder()))


def prebuilt(direction: str) -> Path:
    """Where a library lies that was built beforehand, for machines without a compiler (``python -m PACKAGE.build``).

    Its name says which sources it was made of: it is not taken for others.
    """
    sources = hashlib.sha256()
    _add_sources(sources)
    machine = f"{sys.platform}-{platform.machine().lower()}"
    return SOURCES / f"{direction}-{machine}-{sources.hexdigest()[:8]}{_ending()}"


def compile_library(direction: str, folder: Path, processor: str = THIS_PROCESSOR) -> Path:
    """The library of a direction in a folder: as it lies there, or compiled into it.

    Another source, compiler, processor or set of flags is another entry.

    Args:
        direction: ``forward`` or ``backward``.
        folder: Made where it does not exist.
        processor: The flag that says what the processor has.

    Raises:
        MtacError: MTA880, MTA882, MTA883.
    """
    compiler, version = _compiler()
    flags = (*FLAGS, processor)
    key = _key(direction, version, flags)
    kept = find_entry(folder, key, _ending())
    if kept is not None:
        return kept
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as beside:
            result = Path(beside) / f"library{_ending()}"
            _run(compiler, [*flags, str(SOURCES / PROGRAMS[direction]), "-o", str(result), "-lm"], folder)
            # Compiled beside its place and renamed: processes that compile at once never load half a library.
            target = folder / entry_name(key, result.read_bytes(), _ending())
            os.replace(result, target)
            return target
    except OSError as error:
        raise _unwritable(folder) from error


def _run(compiler: Sequence[str], arguments: Sequence[str], folder: Path) -> None:
    done = subprocess.run([*compiler, *arguments], capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return
    said = done.stderr.strip()
    if any(each in said for each in UNWRITABLE):
        raise _unwritable(folder)
    raise MtacError(
        "MTA883",
        f"{shlex.join(compiler)} does not compile mtac's C library:\n{said}",
        "set CC to GCC (12 or newer) or Clang (14 or newer)",
    )


def _unwritable(folder: Path) -> MtacError:
    return MtacError(
        "MTA882",
        f"the folder {folder} for compiled libraries cannot be written",
        "set XDG_CACHE_HOME to a writable folder",
    )


def _compiler() -> tuple[list[str], str]:
    """The compiler that CC names, else the first of cc, gcc and clang that runs; and its version, in a line."""
    named = shlex.split(os.environ.get("CC", ""))
    for program in [named] if named else [["cc"], ["gcc"], ["clang"]]:
        if shutil.which(program[0]) is None:
            continue
        done = subprocess.run([*program, "--version"], capture_output=True, text=True, check=False)
        if done.returncode == 0:
            return program, done.stdout.split("\n", 1)[0].strip()
    missing = f"CC is {shlex.join(named)}, which does not run" if named else "neither cc, gcc nor clang runs"
    raise MtacError(
        "MTA880",
        f"there is no C compiler: {missing}",
        "install gcc or clang, or build the package's libraries on another machine, with `python -m PACKAGE.build`",
    )


def _key(direction: str, version: str, flags: Sequence[str]) -> str:
    """What the library is made of, and what -march=native means: home directories go from machine to machine."""
    digest = hashlib.sha256(repr((version, direction, flags, platform.machine(), sys.platform, _processor())).encode())
    _add_sources(digest)
    return digest.hexdigest()[:32]


def _add_sources(digest: hashlib._Hash) -> None:
    for file in sorted(SOURCES.glob("*.[ch]")):
        digest.update(file.name.encode())
        digest.update(file.read_bytes())


def _processor() -> str:
    """The processor's model, as far as the system says."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").split("\n")
    except OSError:
        return platform.processor()
    kept = ("model name", "flags", "Features", "CPU part")
    return "\n".join(sorted({line for line in lines if line.startswith(kept)}))


def _ending() -> str:
    return ".dylib" if sys.platform == "darwin" else ".so"
