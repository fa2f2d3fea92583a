"""Plans of CUDA kernels, as mtac wrote them: which of them a device can run, and what a call of a size launches."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypedDict, cast

from .errors import MtacError

__all__ = ["Dispatch", "Limits", "Plan", "Plans", "choose", "read"]

Expression = int | str | list[Any]
"""A number, the name of a variable, or an operator with its operands."""


class Requirements(TypedDict):
    """What a plan needs of a device."""

    sharedBytes: int
    threads: int
    computeCapability: int


class Kernel(TypedDict):
    """A kernel: where it is, and what it takes.

    An argument without a name is the launch block, by value. Of its fields those of the call are the same in all
    launches of a call; those of a dispatch are what its step says, else 0.
    """

    name: str
    line: int | None
    file: str
    entryPoint: str
    threads: int
    sharedBytes: int
    arguments: list[str | None]
    launch: list[tuple[str, Literal["i32", "u32", "f32"], Literal["call", "dispatch"]]]


class Named(TypedDict):
    """A value with a name."""

    name: str
    value: Expression


class Buffer(TypedDict):
    """Memory that a call needs between its kernels."""

    name: str
    bytes: Expression


class DispatchStep(TypedDict):
    """A launch; one with an empty grid is left out."""

    kind: Literal["dispatch"]
    kernel: str
    grid: list[Expression]
    launch: dict[str, Expression]


class LoopStep(TypedDict):
    """Steps that are repeated; ``to`` is exclusive."""

    kind: Literal["loop"]
    variable: str
    # "from" is no name in Python: it is read as step["from"] of a dictionary.
    to: Expression
    by: Expression
    body: list[Any]


class Data(TypedDict):
    """A plan in the file."""

    schedule: str
    heads: int
    requires: Requirements
    alignment: dict[str, int]
    addresses: dict[str, int]
    parameterBytes: int
    definitions: list[Named]
    workspace: list[Buffer]
    kernels: list[Kernel]
    steps: list[DispatchStep | LoopStep]


class Plans(TypedDict):
    """The whole file: plans by pass (``Call.kind``), the most preferred first, and how their sources are compiled."""

    options: dict[str, list[str]]
    passes: dict[str, list[Data]]


@dataclass(frozen=True)
class Limits:
    """What plans need to know of a device.

    Attributes:
        name: For people.
        compute_capability: Times ten: 80 for 8.0.
        shared_bytes: Shared memory that one block may ask for.
        threads: Of a block.
        grid: Blocks along x, y and z.
    """

    name: str
    compute_capability: int
    shared_bytes: int
    threads: int
    grid: tuple[int, int, int]


Dispatch = tuple[int, int, int, int, tuple[int | float, ...]]
"""A kernel by its place in the plan, its grid, and the words of its launch block."""

SIZES = ("B", "Lq", "Lk", "R", "positions", "d_bias_batches", "d_bias_heads", "values_kept")
"""What expressions see of a call, beside H."""

NAME = re.compile(r"[A-Za-z_][A-Za-z_0-9]*")

OPERATORS: dict[str, Callable[[Sequence[str]], str]] = {
    "add": lambda x: f"({' + '.join(x)})",
    "sub": lambda x: f"({x[0]} - {x[1]})",
    "mul": lambda x: f"({' * '.join(x)})",
    "floorDiv": lambda x: f"({x[0]} // {x[1]})",
    "ceilDiv": lambda x: f"-(-{x[0]} // {x[1]})",
    "min": lambda x: f"min({', '.join([*x, x[0]])})",
    "max": lambda x: f"max({', '.join([*x, x[0]])})",
    "select": lambda x: f"({x[1]} if {x[0]} != 0 else {x[2]})",
}


class Plan:
    """A plan that can be applied to calls.

    Its arithmetic is translated to Python once: a cache that grows has another size at each token, and a long call has
    thousands of launches.
    """

    def __init__(self, data: Data) -> None:
        """Translates the arithmetic.

        Raises:
            ValueError: The plan has a name or an operator that is none: a defect of mtac.
        """
        self.data = data
        self.kernels = data["kernels"]
        self._places = {kernel["name"]: place for place, kernel in enumerate(self.kernels)}
        lines = [
            "def expand(sizes, call, found):",
            f"    {', '.join(SIZES)} = sizes",
            f"    H = {data['heads']}",
            *[f"    {_name(each['name'])} = {_text(each['value'])}" for each in data["definitions"]],
            *[f"    call_{name} = call[{name!r}]" for name in self._call_fields()],
            *self._steps(data["steps"], "    "),
            f"    return [{', '.join(_text(each['bytes']) for each in data['workspace'])}]",
        ]
        names: dict[str, Any] = {}
        exec(compile("\n".join(lines), "<plan>", "exec"), names)
        self._expand: Callable[..., list[int]] = names["expand"]

    def expand(
        self, sizes: Sequence[int], call: dict[str, int | float]
    ) -> tuple[list[tuple[str, int]], list[Dispatch]]:
        """What a call needs and launches.

        Args:
            sizes: Values of ``SIZES``.
            call: Fields of the launch block that all launches of the call share.

        Returns:
            Buffers of the workspace with their bytes, and the launches in their order.
        """
        found: list[Dispatch] = []
        sizes_of_buffers = self._expand(sizes, call, found.append)
        names = [each["name"] for each in self.data["workspace"]]
        return [*zip(names, sizes_of_buffers, strict=True)], found

    def _call_fields(self) -> list[str]:
        fields = [each for kernel in self.kernels for each in kernel["launch"]]
        return [*dict.fromkeys(_field(name) for name, _, owner in fields if owner == "call")]

    def _steps(self, steps: Sequence[DispatchStep | LoopStep], indent: str) -> list[str]:
        lines: list[str] = []
        for step in steps:
            if step["kind"] == "loop":
                begin = cast(dict[str, Expression], step)["from"]
                limits = ", ".join(_text(each) for each in (begin, step["to"], step["by"]))
                lines.append(f"{indent}for {_name(step['variable'])} in range({limits}):")
                lines += self._steps(step["body"], f"{indent}    ")
                continue
            place = self._places[step["kernel"]]
            own = step["launch"]
            words = [
                f"call_{field}" if owner == "call" else _text(own.get(field, 0))
                for field, _, owner in self.kernels[place]["launch"]
            ]
            x, y, z = (_text(each) for each in step["grid"])
            lines += [
                f"{indent}x, y, z = {x}, {y}, {z}",
                f"{indent}if x > 0 and y > 0 and z > 0:",
                f"{indent}    found(({place}, x, y, z, ({''.join(f'{word}, ' for word in words)})))",
            ]
        return lines or [f"{indent}pass"]


def _text(expression: Expression) -> str:
    if isinstance(expression, int):
        return str(expression) if expression >= 0 else f"({expression})"
    if isinstance(expression, str):
        return _name(expression)
    operator, *operands = expression
    if operator not in OPERATORS:
        raise ValueError(f"plans have no operator {operator}")
    return f"({OPERATORS[operator]([_text(each) for each in operands])})"


def _name(name: str) -> str:
    """A variable's name in Python: names of plans never meet those of the translation."""
    return name if name in (*SIZES, "H") else f"v_{_field(name)}"


def _field(name: str) -> str:
    """A name that can be nothing else in Python."""
    if NAME.fullmatch(name) is None:
        raise ValueError(f"plans have no name {name}")
    return name


def read(file: Path) -> Plans:
    """Plans of an attention.

    Raises:
        MtacError: MTA812: there is no such file, or it is damaged, or another version's.
    """
    try:
        plans = json.loads(file.read_text(encoding="utf-8"))
        if not isinstance(plans, dict) or "passes" not in plans:
            raise ValueError("there are no passes in it")
    except (OSError, ValueError) as error:
        raise MtacError(
            "MTA812", f"the package's plans {file.name} cannot be read: {error}", "write the whole package again"
        ) from error
    return cast(Plans, plans)


def choose(name: str, plans: Sequence[Data], limits: Limits) -> Data:
    """The first plan that a device can run.

    Raises:
        MtacError: MTA810: none; the message says what each of them lacks.
    """
    reasons = []
    for plan in plans:
        lacks = _shortfalls(plan["requires"], limits)
        if not lacks:
            return plan
        reasons.append(f"{plan['schedule']}: {'; '.join(lacks)}")
    raise MtacError(
        "MTA810",
        f'attention "{name}": none of {len(plans)} plans fits {limits.name}:\n  ' + "\n  ".join(reasons),
        "use a device of compute capability 8.0 or newer, or compute on the processor",
    )


def _shortfalls(requires: Requirements, limits: Limits) -> list[str]:
    needs = (
        (requires["computeCapability"], limits.compute_capability, "compute capability (times ten)"),
        (requires["sharedBytes"], limits.shared_bytes, "bytes of shared memory"),
        (requires["threads"], limits.threads, "threads a block"),
    )
    return [
        f"needs {needed} {what}, the device has {available}" for needed, available, what in needs if needed > available
    ]
