"""A stand-in for CUDA's driver as a device of emitted packages."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor


class Double:
    """The driver's stand-in, whose memory is this process's: tensors of PyTorch's lie in it."""

    index = 0

    def __init__(self, path: str) -> None:
        """Makes a stream, in the context that the package has made current."""
        self.library = ctypes.CDLL(path)
        stream = ctypes.c_uint64()
        assert self.library.cuStreamCreate(ctypes.byref(stream), 1) == 0
        self._stream = stream.value

    def guard(self) -> AbstractContextManager[object]:
        """There is one device."""
        return nullcontext()

    def stream(self) -> int:
        """Its only one."""
        return self._stream

    def empty(self, shape: Sequence[int], dtype: torch.dtype) -> Tensor:
        """A tensor in the driver's memory."""
        strides = torch.empty(shape, device="meta").stride()
        return self.strided(shape, strides, dtype)

    def strided(self, shape: Sequence[int], strides: Sequence[int], dtype: torch.dtype) -> Tensor:
        """A tensor with strides in the driver's memory."""
        last = 0 if 0 in shape else 1 + sum((size - 1) * step for size, step in zip(shape, strides, strict=True))
        size = last * dtype.itemsize
        address = ctypes.c_uint64()
        assert self.library.cuMemAlloc_v2(ctypes.byref(address), ctypes.c_uint64(max(size, 16))) == 0
        memory = (ctypes.c_uint8 * max(size, 16)).from_address(address.value)
        flat = torch.frombuffer(memory, dtype=torch.uint8)[:size].view(dtype)
        return flat.as_strided(shape, strides)

    def text(self, which: int) -> str:
        """0: what was called; 1: how it was misused."""
        out = ctypes.create_string_buffer(1 << 20)
        self.library.double_text(which, out, len(out))
        return out.value.decode()
