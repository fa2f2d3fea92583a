"""Runs calls on CUDA devices: in PyTorch's context and on its current stream, with memory from its allocator.

Nothing waits for the device, and all that a call does is allocate and launch: calls can be captured in CUDA graphs,
once the kernels are loaded, which the first call of each kind does.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import struct
import threading
from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from .attention import Attention, depth_scale
from .call import INTEGERS, STORAGES, Call, Size
from .compilers import compile_cached
from .driver import Function, Module, the_driver
from .errors import MtacError
from .plan import Dispatch, Limits, Plan, Plans, choose, read

__all__ = ["Device", "Launches", "TorchDevice", "backward", "built_image", "forward", "image", "image_file"]

KERNELS = Path(__file__).absolute().parent.parent / "_cuda"
"""Sources and plans: a file of plans for each attention and type, and the sources that they name."""

PIECE = 512
"""Pieces of the workspace begin at multiples of it, as allocations of PyTorch's do."""

WIDEST_ACCESS = 16
"""Bytes that a kernel may read at once."""

STRIDED = ("q", "q_history", "k", "v", "o", "d_o", "bias")
"""Tensors of four axes that kernels take with strides, if these are multiples of what the plan says."""

MOST_STRIDE = 2**32 - 1

MOST_SHAPES = 256
"""Shapes and layouts of calls whose launches are kept, for each plan."""


class Device(Protocol):
    """What a call takes of a device: all that differs between PyTorch's and that of tests."""

    index: int

    def guard(self) -> AbstractContextManager[object]:
        """Makes it PyTorch's current device."""
        ...

    def stream(self) -> int:
        """The CUstream that is worked on."""
        ...

    def empty(self, shape: Sequence[int], dtype: torch.dtype) -> Tensor:
        """A tensor in new memory. When it is freed, work that follows on the stream may use the memory again."""
        ...


class TorchDevice:
    """A device as PyTorch has it."""

    def __init__(self, index: int) -> None:
        """``index`` is its number in ``torch.cuda``."""
        self.index = index
        self._device = torch.device("cuda", index)

    def guard(self) -> AbstractContextManager[object]:
        """Makes it PyTorch's current device."""
        return torch.cuda.device(self.index)

    def stream(self) -> int:
        """PyTorch's current stream."""
        stream: int = torch.cuda.current_stream(self.index).cuda_stream
        return stream

    def empty(self, shape: Sequence[int], dtype: torch.dtype) -> Tensor:
        """A tensor in memory of PyTorch's caching allocator."""
        return torch.empty(shape, dtype=dtype, device=self._device)


def forward(
    attention: Attention,
    call: Call,
    size: Size,
    o: Tensor,
    lse: Tensor | None,
    values: Tensor | None,
    device: Device | None = None,
) -> None:
    """Computes o [B, H, Lq, Dv], lse [B, H, Lq] and values, of o's shape and float32; all are contiguous."""
    results = {"o": o}
    if lse is not None:
        results["lse"] = lse
    if values is not None:
        results["values"] = values
    _run(attention, "forward", call, size, device or _device_of(call.q), results, {}, None, None)


def backward(
    attention: Attention,
    call: Call,
    size: Size,
    d_o: Tensor,
    values: Tensor | None,
    wanted: Sequence[bool],
    device: Device | None = None,
) -> list[Tensor | None]:
    """Gradients of ``call.differentiable``, float32 and contiguous; None where one is not wanted.

    Args:
        d_o: The gradient of o, of its type, with any strides.
        values: What the forward pass gave, contiguous; without it, that is computed again.
        wanted: Whether to compute each of them.
    """
    place = device or _device_of(call.q)
    results: list[Tensor | None] = []
    named: dict[str, Tensor] = {}
    # What kernels write though nobody wants it, and the bytes that it takes.
    unwanted: dict[str, int] = {}
    names = ("d_q", "d_k", "d_v", "d_parameters", "d_q_history", "d_bias")
    for name, tensor, wish in zip(names, call.differentiable, wanted, strict=True):
        if tensor is None or not wish:
            results.append(None)
            if tensor is not None and name != "d_bias" and (name != "d_parameters" or attention.words > 0):
                unwanted[name] = tensor.numel() * 4
            continue
        named[name] = place.empty(tensor.shape, torch.float32)
        results.append(named[name])
    _run(attention, "backward", call, size, place, named, unwanted, d_o, values)
    return results


@functools.cache
def _torch_device(index: int) -> TorchDevice:
    return TorchDevice(index)


def _device_of(tensor: Tensor) -> Device:
    return _torch_device(tensor.get_device())


def _run(
    attention: Attention,
    direction: str,
    call: Call,
    size: Size,
    device: Device,
    results: Mapping[str, Tensor],
    unwanted: Mapping[str, int],
    d_o: Tensor | None,
    values: Tensor | None,
) -> None:
    with device.guard():
        kernels = _kernels_of(attention, STORAGES[call.q.dtype], call.kind(direction), device.index)
        tensors = kernels.given(call, size, d_o, device)
        if values is not None:
            tensors["values"] = values
        tensors.update(results)
        strides = {name: tensors[name].stride() for name in STRIDED if name in tensors}
        bias = results.get("d_bias")
        batches, heads = (0, 0) if bias is None else (bias.shape[0], bias.shape[1])
        flags = (int("positions" in tensors), batches, heads, int("values" in tensors))
        sizes = (size.batches, size.rows, size.keys, size.history, *flags)
        # Which axes of a bias broadcast, its strides do not say.
        shared = None if call.bias is None else tuple(call.bias.shape[:2])
        key = (sizes, tuple(strides.items()), shared, call.layer, tuple(unwanted.items()))
        launches = kernels.prepared.get(key)
        if launches is None:
            shapes = {name: tensors[name].shape for name in strides}
            fields = _call_fields(attention, call, sizes, shapes, strides)
            launches = kernels.prepare(key, sizes, fields, tensors, unwanted)
        # What has no elements has no place.
        places = {name: each.data_ptr() for name, each in tensors.items() if each.numel() > 0}
        workspace = device.empty((launches.bytes,), torch.uint8) if launches.bytes > 0 else None
        launches.run(places, 0 if workspace is None else workspace.data_ptr(), device)


def _call_fields(
    attention: Attention,
    call: Call,
    sizes: Sequence[int],
    shapes: Mapping[str, Sequence[int]],
    strides: Mapping[str, Sequence[int]],
) -> dict[str, int | float]:
    """Fields of the launch block that describe the call."""
    _, rows, keys, history, positions, *_ = sizes
    fields: dict[str, int | float] = {
        "query_rows": rows,
        "key_rows": keys,
        "history_rows": history,
        "has_positions": positions,
        "depth_scale": depth_scale(call.layer) if attention.uses_layer and call.layer is not None else 1.0,
        # Integers have memory of their own, and none behind the parameters.
        **{f"{name}_at": 0 for name in INTEGERS},
    }
    for name in STRIDED:
        shape, own = shapes.get(name), strides.get(name)
        for axis, letter in enumerate("bhl"):
            # An axis of one element has no second one: what broadcasts along it must find 0.
            none = shape is None or own is None or shape[axis] == 1
            fields[f"{name}_stride_{letter}"] = 0 if none or own is None else own[axis]
    return fields


class Kernels:
    """The kernels of an attention, for a type, a pass and a device: the plan that the device can run, loaded.

    Attributes:
        prepared: The launches of calls, by what they depend on: sizes, strides, the bias's axes, layer, and what is not
            wanted.
    """

    def __init__(self, attention: Attention, plans: Plans, kind: str, device: int) -> None:
        """Chooses a plan, and compiles and loads its kernels.

        Raises:
            MtacError: MTA801 to MTA804 (driver), MTA810 (no plan fits), MTA812 to MTA817 (kernels), MTA831.
        """
        driver = the_driver()
        self._limits: Limits = driver.limits(device)
        self._name = attention.name
        self._plan = Plan(choose(attention.name, plans["passes"][kind], self._limits))
        driver.enter(device)
        modules: dict[str, Module] = {}
        self._functions: list[Function] = []
        for kernel in self._plan.kernels:
            file = kernel["file"]
            if file not in modules:
                code = image(file, plans["options"], self._limits.compute_capability)
                modules[file] = driver.load(code, file)
            self._functions.append(modules[file].function(kernel["entryPoint"], kernel["sharedBytes"]))
        self.prepared: dict[object, Launches] = {}
        self._changing = threading.Lock()

    def given(self, call: Call, size: Size, d_o: Tensor | None, device: Device) -> dict[str, Tensor]:
        """What kernels read, by name, as they can read it: copied where strides or addresses do not suit them."""
        data = self._plan.data
        alignment, addresses = data["alignment"], data["addresses"]
        given: dict[str, Tensor] = {}
        history = call.q_history if size.history > 0 else None
        tensors = (("q", call.q), ("q_history", history), ("k", call.k), ("v", call.v), ("d_o", d_o))
        for name, tensor in tensors:
            if tensor is not None:
                given[name] = _readable(tensor, alignment[name], addresses[name])
        if call.bias is not None:
            given["bias"] = _readable(call.bias, 1, 4)
        for name in INTEGERS:
            integers: Tensor | None = getattr(call, name)
            if integers is not None:
                given[name] = integers.to(torch.int32).contiguous()
        if call.dropout_seed is not None:
            given["dropout_seed"] = call.dropout_seed.contiguous()
        given["parameters"] = _parameters(call.parameters, data["parameterBytes"], device)
        return given

    def prepare(
        self,
        key: object,
        sizes: Sequence[int],
        fields: dict[str, int | float],
        tensors: Collection[str],
        unwanted: Mapping[str, int],
    ) -> Launches:
        """What calls launch, kept for the next ones.

        Args:
            key: What they depend on.
            sizes: Values of ``SIZES``.
            fields: Fields of the launch block that describe the call.
            tensors: Names of the call's tensors. Buffers of the plan that they are need no workspace.
            unwanted: Results that nobody wants, and their bytes.

        Raises:
            MtacError: MTA830: a launch has more blocks than the device takes.
        """
        workspace, dispatches = self._plan.expand(sizes, fields)
        for place, *grid, _ in dispatches:
            if any(count > most for count, most in zip(grid, self._limits.grid, strict=True)):
                raise MtacError(
                    "MTA830",
                    f'the kernel "{self._plan.kernels[place]["name"]}" of "{self._name}" needs {grid} blocks, '
                    f"the device takes {[*self._limits.grid]}",
                    "split the batch or the rows",
                )
        own = [(name, size) for name, size in workspace if name not in tensors]
        launches = Launches(self._plan, self._functions, [*own, *unwanted.items()], dispatches)
        with self._changing:
            if len(self.prepared) >= MOST_SHAPES:
                # The one that was made first.
                del self.prepared[next(iter(self.prepared))]
            self.prepared[key] = launches
        return launches


class Launches:
    """The launches of calls that differ in nothing but where their tensors lie.

    Attributes:
        pieces: What the workspace holds: names, places and sizes in bytes.
        bytes: Of the whole workspace.
    """

    def __init__(
        self,
        plan: Plan,
        functions: Sequence[Function],
        workspace: Sequence[tuple[str, int]],
        dispatches: Sequence[Dispatch],
    ) -> None:
        """Writes all arguments but addresses, which every launch reads in one table."""
        self.pieces: list[tuple[str, int, int]] = []
        self.bytes = 0
        for name, size in workspace:
            self.pieces.append((name, self.bytes, size))
            self.bytes += -(-max(size, 1) // PIECE) * PIECE
        offsets = {name: offset for name, offset, _ in self.pieces}
        kernels = plan.kernels
        resources = [*dict.fromkeys(each for kernel in kernels for each in kernel["arguments"] if each is not None)]
        # A piece of the workspace by its place, a tensor of the call by its name.
        self._sources: list[int | str] = [offsets.get(name, name) for name in resources]
        self._names = [kernels[place]["name"] for place, *_ in dispatches]
        self._lock = threading.Lock()
        self._table = struct.Struct(f"={len(resources)}Q")
        self._addresses = ctypes.create_string_buffer(max(self._table.size, 8))
        slots = {name: ctypes.addressof(self._addresses) + 8 * slot for slot, name in enumerate(resources)}
        formats = [
            struct.Struct("=" + "".join("f" if type == "f32" else "I" for _, type, _ in each["launch"]))
            for each in kernels
        ]
        self._blocks = ctypes.create_string_buffer(max(sum(formats[place].size for place, *_ in dispatches), 1))
        pointers = [len(kernels[place]["arguments"]) for place, *_ in dispatches]
        self._arguments = (ctypes.c_uint64 * max(sum(pointers), 1))()
        self._launches: list[tuple[int, ...]] = []
        block, argument = 0, 0
        for place, x, y, z, words in dispatches:
            kernel = kernels[place]
            packed = [word if isinstance(word, float) else word & 0xFFFFFFFF for word in words]
            formats[place].pack_into(self._blocks, block, *packed)
            here = ctypes.addressof(self._blocks) + block
            own = [here if name is None else slots[name] for name in kernel["arguments"]]
            for number, address in enumerate(own, argument):
                self._arguments[number] = address
            begin = ctypes.addressof(self._arguments) + 8 * argument
            handle, threads, shared = functions[place].handle, kernel["threads"], kernel["sharedBytes"]
            self._launches.append((handle, x, y, z, threads, 1, 1, shared, begin))
            block += formats[place].size
            argument += len(own)

    def run(self, places: Mapping[str, int], workspace: int, device: Device) -> None:
        """Queues them on the device's stream.

        Args:
            places: Addresses of the call's tensors; what is not there is a null pointer.
            workspace: The address of ``bytes`` bytes.

        Raises:
            MtacError: MTA831, MTA833, MTA834.
        """
        driver = the_driver()
        driver.enter(device.index)
        launch, stream = driver.launch, device.stream()
        found = [workspace + source if isinstance(source, int) else places.get(source, 0) for source in self._sources]
        # The driver copies arguments while it queues a launch: the table is another call's after the last one.
        with self._lock:
            self._table.pack_into(self._addresses, 0, *found)
            for number, (function, x, y, z, a, b, c, shared, arguments) in enumerate(self._launches):
                result = launch(function, x, y, z, a, b, c, shared, stream, arguments, None)
                if result != 0:
                    doing = f'launching {x} x {y} x {z} blocks of {a} threads of the kernel "{self._names[number]}"'
                    raise driver.launch_error(result, doing)


_LOADED: dict[tuple[str, str, str, str, int], Kernels] = {}
_LOADING = threading.Lock()


def _kernels_of(attention: Attention, storage: str, kind: str, device: int) -> Kernels:
    """Loaded once in a process for each device."""
    key = (attention.namespace, attention.name, storage, kind, device)
    loaded = _LOADED.get(key)
    if loaded is None:
        with _LOADING:
            loaded = _LOADED.get(key)
            if loaded is None:
                loaded = Kernels(attention, _plans_of(attention.name, storage), kind, device)
                _LOADED[key] = loaded
    return loaded


@functools.cache
def _plans_of(name: str, storage: str) -> Plans:
    """The plans of an attention for a type of q, k and v."""
    return read(KERNELS / f"{name}.{storage}.json")


def image(file: str, options: Mapping[str, Sequence[str]], capability: int) -> bytes:
    """A source's machine code: one that was built beforehand, else compiled."""
    built = built_image(file, capability)
    return compile_cached(_source(file), file, options, capability) if built is None else built.read_bytes()


def built_image(file: str, capability: int) -> Path | None:
    """Where a source's machine code lies that was built beforehand and runs on a device; None if there is none."""
    text = _source(file)
    # Machine code runs on later minor versions of its major one (CUDA C++ Programming Guide, "Binary Compatibility").
    places = (image_file(file, text, older) for older in range(capability, capability // 10 * 10 - 1, -1))
    return next((each for each in places if each.exists()), None)


def _source(file: str) -> str:
    try:
        return (KERNELS / file).read_text(encoding="utf-8")
    except OSError as error:
        raise MtacError("MTA812", f"the package lacks the source {file}", "write the whole package again") from error


def image_file(file: str, text: str, capability: int) -> Path:
    """Where a source's machine code lies that was built beforehand (``python -m PACKAGE.build --cuda``).

    Its name says which source it was made of: it is not taken for others.
    """
    digest = hashlib.sha256(text.encode()).hexdigest()[:8]
    return KERNELS / f"{file.removesuffix('.cu')}-{digest}.sm_{capability}.cubin"


def _readable(tensor: Tensor, alignment: int, address: int) -> Tensor:
    """A tensor [B, H, L, D] as kernels read it: rows of neighbouring elements, strides and address aligned."""
    *strides, last = tensor.stride()
    *sizes, columns = tensor.shape
    fits = (last == 1 or columns == 1) and tensor.data_ptr() % address == 0
    for stride, length in zip(strides, sizes, strict=True):
        fits = fits and (length == 1 or (stride % alignment == 0 and stride <= MOST_STRIDE))
    return tensor if fits else tensor.clone(memory_format=torch.contiguous_format)


def _parameters(packed: Tensor, size: int, device: Device) -> Tensor:
    """All parameters, with as many bytes as kernels may read."""
    if packed.numel() * 4 < size:
        padded = device.empty((size // 4,), torch.float32)
        if packed.numel() > 0:
            padded[: packed.numel()] = packed
        return padded
    ready = packed.contiguous()
    return ready if ready.data_ptr() % WIDEST_ACCESS == 0 else ready.clone()
