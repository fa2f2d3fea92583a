"""NVIDIA's driver (CUDA Driver API) through ctypes: modules and launches, in the context that PyTorch uses."""

from __future__ import annotations

import ctypes
import functools
import os
import sys
from ctypes import POINTER, byref, c_char_p, c_int, c_uint, c_uint64, c_void_p
from typing import Any

from .errors import MtacError
from .plan import Limits

__all__ = ["Driver", "Function", "Module", "the_driver"]

# CUresult (CUDA Driver API, "Data types used by CUDA driver").
NOT_FOUND = 500
LAUNCH_OUT_OF_RESOURCES = 701
STICKY = frozenset({214, 220, 700, 702, 709, 710, 714, 715, 716, 717, 718, 719})
"""Errors of kernels: they arrive at any later call, and leave the context unusable."""

# CUdevice_attribute.
THREADS, GRID_X, GRID_Y, GRID_Z, SHARED, MAJOR, MINOR, SHARED_OPT_IN = 1, 5, 6, 7, 8, 75, 76, 97

# CUfunction_attribute.
STATIC_SHARED, MOST_DYNAMIC_SHARED = 1, 8

# CUjit_option.
JIT_LOG, JIT_LOG_BYTES = 5, 6

LOG_BYTES = 16384

DEFAULT_SHARED_BYTES = 48 * 1024
"""Dynamic shared memory above which a kernel must ask for more (CUDA C++ Programming Guide, "Shared Memory")."""

FUNCTIONS: dict[str, list[Any]] = {
    "cuInit": [c_uint],
    "cuGetErrorName": [c_int, POINTER(c_char_p)],
    "cuGetErrorString": [c_int, POINTER(c_char_p)],
    "cuDeviceGet": [POINTER(c_int), c_int],
    "cuDeviceGetName": [c_char_p, c_int, c_int],
    "cuDeviceGetAttribute": [POINTER(c_int), c_int, c_int],
    "cuDevicePrimaryCtxRetain": [POINTER(c_uint64), c_int],
    "cuCtxSetCurrent": [c_uint64],
    "cuModuleLoadDataEx": [POINTER(c_uint64), c_char_p, c_uint, POINTER(c_int), POINTER(c_uint64)],
    "cuModuleGetFunction": [POINTER(c_uint64), c_uint64, c_char_p],
    "cuFuncGetAttribute": [POINTER(c_int), c_int, c_uint64],
    "cuFuncSetAttribute": [c_uint64, c_int, c_int],
    "cuLaunchKernel": [c_uint64, *[c_uint] * 7, c_uint64, c_void_p, c_void_p],
}
"""The functions that are used, with their parameters: handles and addresses are 64-bit integers."""


class Function:
    """A kernel of a loaded module."""

    def __init__(self, handle: int) -> None:
        """``handle`` is a CUfunction."""
        self.handle = handle


class Module:
    """A loaded module, which stays loaded as long as the process."""

    def __init__(self, driver: Driver, handle: int, name: str) -> None:
        """``handle`` is a CUmodule."""
        self._driver = driver
        self._handle = handle
        self._name = name

    def function(self, entry: str, shared_bytes: int) -> Function:
        """The kernel of a name, allowed to use so much dynamic shared memory.

        Raises:
            MtacError: MTA816 (there is no such kernel), MTA831 (the device has less shared memory), MTA833.
        """
        handle = c_uint64()
        doing = f"finding the kernel {entry} in {self._name}"
        result = self._driver.call("cuModuleGetFunction", byref(handle), self._handle, entry.encode())
        if result == NOT_FOUND:
            raise self._driver.error("MTA816", result, doing, "write the whole package again: files were mixed")
        self._driver.check(result, doing)
        if shared_bytes > DEFAULT_SHARED_BYTES:
            self._allow(handle.value, shared_bytes)
        return Function(handle.value)

    def _allow(self, function: int, shared_bytes: int) -> None:
        result = self._driver.call("cuFuncSetAttribute", function, MOST_DYNAMIC_SHARED, shared_bytes)
        if result == 0:
            return
        own = c_int()
        self._driver.call("cuFuncGetAttribute", byref(own), STATIC_SHARED, function)
        raise self._driver.error(
            "MTA831",
            result,
            f"asking for {shared_bytes} bytes of dynamic shared memory beside {own.value} static ones",
            "use a device with more shared memory",
        )


class Driver:
    """The driver's library."""

    def __init__(self, path: str) -> None:
        """Loads and starts it.

        Raises:
            MtacError: MTA801 (no driver), MTA804 (it does not start).
        """
        try:
            self._library = ctypes.CDLL(path)
        except OSError as error:
            raise MtacError(
                "MTA801",
                f"no CUDA driver on this machine ({error})",
                "install NVIDIA's driver; in containers, pass the GPU through",
            ) from error
        self._bound: dict[str, Any] = {}
        self._contexts: dict[int, int] = {}
        result = self.call("cuInit", 0)
        if result != 0:
            raise self.error("MTA804", result, "the CUDA driver could not be initialised", "restart the machine")
        self.launch: Any = self._bind("cuLaunchKernel")
        self._enter: Any = self._bind("cuCtxSetCurrent")

    def call(self, name: str, *values: Any) -> int:
        """The CUresult of a function."""
        result: int = self._bind(name)(*values)
        return result

    def enter(self, device: int) -> None:
        """Makes the primary context of a device current on this thread, which PyTorch works in, too.

        Threads of autograd have no context before PyTorch's first kernel on them.

        Raises:
            MtacError: MTA803 (no such device), MTA833, MTA834.
        """
        context = self._contexts.get(device)
        if context is None:
            made = c_uint64()
            doing = f"retaining the primary context of device {device}"
            self.check(self.call("cuDevicePrimaryCtxRetain", byref(made), self._device(device)), doing)
            context = self._contexts[device] = made.value
        result: int = self._enter(context)
        if result != 0:
            self.check(result, "making the context current")

    def limits(self, device: int) -> Limits:
        """What plans need to know of a device.

        Raises:
            MtacError: MTA803, MTA833.
        """
        handle = self._device(device)
        name = ctypes.create_string_buffer(256)
        self.check(self.call("cuDeviceGetName", name, len(name), handle), "reading a device's name")

        def attribute(which: int) -> int:
            value = c_int()
            doing = f"reading attribute {which} of a device"
            self.check(self.call("cuDeviceGetAttribute", byref(value), which, handle), doing)
            return value.value

        return Limits(
            name=name.value.decode(errors="replace"),
            compute_capability=attribute(MAJOR) * 10 + attribute(MINOR),
            shared_bytes=max(attribute(SHARED), attribute(SHARED_OPT_IN)),
            threads=attribute(THREADS),
            grid=(attribute(GRID_X), attribute(GRID_Y), attribute(GRID_Z)),
        )

    def load(self, image: bytes, name: str) -> Module:
        """Loads machine code or PTX into the current context.

        Raises:
            MtacError: MTA814, with the driver's log.
        """
        log = ctypes.create_string_buffer(LOG_BYTES)
        options = (c_int * 2)(JIT_LOG, JIT_LOG_BYTES)
        values = (c_uint64 * 2)(ctypes.addressof(log), LOG_BYTES)
        handle = c_uint64()
        result = self.call("cuModuleLoadDataEx", byref(handle), image, 2, options, values)
        if result != 0:
            said = log.value.decode(errors="replace").strip()
            raise self.error(
                "MTA814",
                result,
                f"loading {name}" + (f" ({said})" if said else ""),
                "update the driver, or delete the folder mtac in the user's cache and build the package's images again",
            )
        return Module(self, handle.value, name)

    def check(self, result: int, doing: str) -> None:
        """Refuses what is not success.

        Raises:
            MtacError: MTA833 (the driver refused), MTA834 (a kernel failed).
        """
        if result == 0:
            return
        if result in STICKY:
            raise self.error(
                "MTA834",
                result,
                f"a kernel failed, as {doing} showed",
                "set CUDA_LAUNCH_BLOCKING=1 to find which; without a fault of the program's it is a defect of mtac",
            )
        raise self.error("MTA833", result, doing, "update the driver; if that does not help, report it")

    def launch_error(self, result: int, doing: str) -> MtacError:
        """The error of a launch."""
        if result == LAUNCH_OUT_OF_RESOURCES:
            return self.error("MTA831", result, doing, "compute on a device with more registers and shared memory")
        try:
            self.check(result, doing)
        except MtacError as error:
            return error
        raise ValueError("a launch that succeeded has no error")

    def error(self, code: str, result: int, doing: str, remedy: str) -> MtacError:
        """The error for a result: what was being done, and the driver's own words."""
        name, text = (self._words(each, result) for each in ("cuGetErrorName", "cuGetErrorString"))
        return MtacError(code, f"{doing}: {name or f'CUresult {result}'}{f' ({text})' if text else ''}", remedy)

    def _words(self, function: str, result: int) -> str:
        words = c_char_p()
        self.call(function, result, byref(words))
        return words.value.decode() if words.value is not None else ""

    def _device(self, index: int) -> int:
        device = c_int()
        result = self.call("cuDeviceGet", byref(device), index)
        if result != 0:
            raise self.error("MTA803", result, f"there is no CUDA device {index}", "choose one of torch.cuda's")
        return device.value

    def _bind(self, name: str) -> Any:
        bound = self._bound.get(name)
        if bound is None:
            try:
                bound = getattr(self._library, name)
            except AttributeError as error:
                raise MtacError("MTA804", f"the CUDA driver has no function {name}", "update the driver") from error
            bound.argtypes = FUNCTIONS[name]
            bound.restype = c_int
            self._bound[name] = bound
        return bound


@functools.cache
def the_driver() -> Driver:
    """The machine's driver, or the one at MTAC_LIBCUDA.

    Raises:
        MtacError: MTA801, MTA804.
    """
    usual = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
    return Driver(os.environ.get("MTAC_LIBCUDA") or usual)
