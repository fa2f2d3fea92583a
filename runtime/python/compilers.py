"""Compilers of CUDA kernels: NVRTC, which PyTorch's wheels bring, else nvcc; what they make is kept in a cache."""

from __future__ import annotations

import ctypes
import functools
import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from ctypes import byref, c_char_p, c_int, c_size_t, c_void_p
from pathlib import Path
from typing import Any, Protocol

from .cache import cache_folder, entry_name, find_entry, write_whole
from .errors import MtacError

__all__ = ["Compiler", "Nvcc", "Nvrtc", "compile_cached", "the_compiler"]

COMPILATION_FAILED = 6
"""nvrtcResult (NVRTC documentation, "Error Handling")."""

MOST_LINES = 40


class Compiler(Protocol):
    """A compiler of CUDA C++."""

    @property
    def kind(self) -> str:
        """``nvrtc`` or ``nvcc``: whose options it takes."""
        ...

    @property
    def description(self) -> str:
        """Its name and version: part of the cache's keys."""
        ...

    @property
    def capabilities(self) -> Sequence[int]:
        """Compute capabilities (times ten) that it compiles for, rising; none where it cannot tell."""
        ...

    def compile(self, text: str, name: str, options: Sequence[str], goal: Goal) -> bytes:
        """Machine code, or PTX.

        Raises:
            MtacError: MTA813 (the source does not compile), MTA817 (the compiler cannot be run).
        """
        ...


class Goal:
    """What is made: machine code for a device, or PTX of the newest architecture that a compiler knows."""

    def __init__(self, compiler: Compiler, capability: int) -> None:
        """``capability`` is the device's, times ten."""
        known = [each for each in compiler.capabilities if each <= capability]
        self.exact = not compiler.capabilities or capability in known or not known
        self.architecture = f"sm_{capability if self.exact else known[-1]}"
        self.form = "cubin" if self.exact else "ptx"


class Nvrtc:
    """NVRTC, a library."""

    kind = "nvrtc"

    def __init__(self, path: str) -> None:
        """Loads it.

        Raises:
            OSError: There is no such library.
        """
        self._library = ctypes.CDLL(path)
        major, minor = c_int(), c_int()
        self._check("nvrtcVersion", byref(major), byref(minor))
        self.description = f"NVRTC {major.value}.{minor.value} ({path})"
        count = c_int()
        self._check("nvrtcGetNumSupportedArchs", byref(count))
        found = (c_int * count.value)()
        self._check("nvrtcGetSupportedArchs", found)
        self.capabilities = sorted(found)

    def compile(self, text: str, name: str, options: Sequence[str], goal: Goal) -> bytes:
        """As ``Compiler.compile``."""
        program = c_void_p()
        self._check("nvrtcCreateProgram", byref(program), text.encode(), name.encode(), 0, None, None)
        try:
            given = [each.encode() for each in (*options, f"--gpu-architecture={goal.architecture}")]
            result: int = self._library.nvrtcCompileProgram(program, len(given), (c_char_p * len(given))(*given))
            if result == COMPILATION_FAILED:
                log = self._bytes(program, "nvrtcGetProgramLog").rstrip(b"\0").decode(errors="replace")
                raise _refused(name, goal, self.description, log)
            self._judge("nvrtcCompileProgram", result)
            return self._bytes(program, "nvrtcGetCUBIN" if goal.exact else "nvrtcGetPTX")
        finally:
            self._library.nvrtcDestroyProgram(byref(program))

    def _bytes(self, program: c_void_p, get: str) -> bytes:
        size = c_size_t()
        self._check(f"{get}Size", program, byref(size))
        made = ctypes.create_string_buffer(size.value)
        self._check(get, program, made)
        return made.raw

    def _check(self, name: str, *values: Any) -> None:
        function = getattr(self._library, name, None)
        if function is None:
            raise MtacError("MTA817", f"NVRTC has no function {name}", "install NVRTC 11.4 or later")
        self._judge(name, function(*values))

    def _judge(self, name: str, result: int) -> None:
        if result != 0:
            raise MtacError(
                "MTA817", f"{name} failed with nvrtcResult {result}", "install nvidia-cuda-nvrtc again, or set nvcc"
            )


class Nvcc:
    """nvcc, a program."""

    kind = "nvcc"

    def __init__(self, program: str) -> None:
        """Asks it for its version.

        Raises:
            MtacError: MTA817.
        """
        self._program = program
        version = re.search(r"\bV(\d+\.\d+\.\d+)\b", self._ask("--version"))
        if version is None:
            raise MtacError("MTA817", f"{program} does not tell its version", "put NVIDIA's nvcc on the path")
        self.description = f"nvcc {version[1]} ({program})"
        self.capabilities = sorted({int(each) for each in re.findall(r"\bsm_(\d+)\b", self._ask("--list-gpu-code"))})

    def compile(self, text: str, name: str, options: Sequence[str], goal: Goal) -> bytes:
        """As ``Compiler.compile``."""
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / name).write_text(text, encoding="utf-8")
            result = f"kernels.{goal.form}"
            arguments = [f"-{goal.form}", *options, f"-arch={goal.architecture}", "-o", result, name]
            done = subprocess.run([self._program, *arguments], cwd=folder, capture_output=True, text=True, check=False)
            if done.returncode != 0:
                raise _refused(name, goal, self.description, done.stderr + done.stdout)
            return (Path(folder) / result).read_bytes() + (b"" if goal.exact else b"\0")

    def _ask(self, question: str) -> str:
        try:
            return subprocess.run([self._program, question], capture_output=True, text=True, check=True).stdout
        except (OSError, subprocess.CalledProcessError) as error:
            raise MtacError(
                "MTA817", f"{self._program} cannot be run: {error}", "install the CUDA toolkit again"
            ) from error


def _refused(name: str, goal: Goal, compiler: str, log: str) -> MtacError:
    lines = log.strip().split("\n")
    more = [f"... {len(lines) - MOST_LINES} more lines"] if len(lines) > MOST_LINES else []
    said = "\n".join([*lines[:MOST_LINES], *more])
    return MtacError(
        "MTA813",
        f"{name} does not compile for {goal.architecture} ({compiler}):\n{said}",
        "use CUDA 11.4 or later; if that does not help, report it",
    )


@functools.cache
def the_compiler() -> Compiler | None:
    """NVRTC where there is one, else nvcc, else None.

    Raises:
        MtacError: MTA817: the library at MTAC_LIBNVRTC cannot be loaded, or the nvcc that was found not be run.
    """
    asked = os.environ.get("MTAC_LIBNVRTC", "")
    for path in [asked] if asked else _nvrtc_paths():
        try:
            return Nvrtc(path)
        except OSError as error:
            if asked:
                raise MtacError(
                    "MTA817", f"NVRTC cannot be loaded: {error}", "correct or remove MTAC_LIBNVRTC"
                ) from error
    homes = [os.environ.get(name, "") for name in ("CUDA_HOME", "CUDA_PATH")]
    folders = [os.environ.get("PATH", ""), *[str(Path(home) / "bin") for home in homes if home]]
    program = shutil.which("nvcc", path=os.pathsep.join(folders))
    return None if program is None else Nvcc(program)


def _nvrtc_paths() -> Iterator[str]:
    """Where NVRTC may be, newest first: in the wheels that PyTorch's CUDA builds depend on, then where loaders look."""
    names = (
        ("nvrtc64_130_0.dll", "nvrtc64_120_0.dll")
        if sys.platform == "win32"
        else ("libnvrtc.so.13", "libnvrtc.so.12", "libnvrtc.so")
    )
    wheels = importlib.util.find_spec("nvidia")
    for folder in (wheels.submodule_search_locations or []) if wheels is not None else []:
        for name in names:
            yield from (str(each) for each in sorted(Path(folder).glob(f"*/*/{name}")))
    yield from names
    for home in (os.environ.get("CUDA_HOME", ""), os.environ.get("CUDA_PATH", "")):
        if home:
            yield from (str(Path(home) / "lib64" / name) for name in names)


def compile_cached(text: str, name: str, options: Mapping[str, Sequence[str]], capability: int) -> bytes:
    """A source's machine code, from the cache or compiled into it.

    Args:
        text: The source.
        name: Of its file.
        options: By kind of compiler.
        capability: The device's compute capability, times ten.

    Raises:
        MtacError: MTA813, MTA815 (no compiler), MTA817, MTA882 (the cache cannot be written).
    """
    compiler = the_compiler()
    if compiler is None:
        raise MtacError(
            "MTA815",
            f"there is no way to compile {name} for sm_{capability}: no NVRTC, no nvcc, no image in the package",
            "pip install nvidia-cuda-nvrtc, or build the package's images on another machine, with "
            f"`python -m PACKAGE.build --cuda sm_{capability}`",
        )
    goal = Goal(compiler, capability)
    chosen = options[compiler.kind]
    made_of = repr((text, compiler.description, chosen, goal.architecture, goal.form))
    folder, ending = cache_folder() / "cuda", f".{goal.form}"
    key = hashlib.sha256(made_of.encode()).hexdigest()[:32]
    kept = find_entry(folder, key, ending)
    if kept is not None:
        return kept.read_bytes()
    made = compiler.compile(text, name, chosen, goal)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(folder / entry_name(key, made, ending), made)
    except OSError as error:
        raise MtacError(
            "MTA882",
            f"the folder {folder} for compiled kernels cannot be written",
            "set XDG_CACHE_HOME to a writable folder",
        ) from error
    return made
