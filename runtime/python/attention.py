"""What a package knows of its attentions: ``attention.json``, as mtac wrote it."""

from __future__ import annotations

import importlib.util
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, TypedDict, cast

from .errors import MtacError

__all__ = ["Attention", "Parameter", "Pipeline", "depth_scale", "load"]

FORMAT = 3
"""What files of this version look like; those of others are refused."""


class Taps(TypedDict):
    """Something along the query rows, and along the keys."""

    query: int
    key: int


class ConvStage(TypedDict):
    """A convolution of the map."""

    kind: Literal["conv"]
    weight: str
    bias: str | None
    kernel: Taps
    origin: Taps
    dilation: Taps
    across: int
    shared: bool


class MixStage(TypedDict):
    """A mix across the heads of each group."""

    kind: Literal["mix"]
    weight: str
    group: int


class SoftcapStage(TypedDict):
    """limit * tanh(x / limit)."""

    kind: Literal["softcap"]
    limit: float


class ReluStage(TypedDict):
    """max(0, x)."""

    kind: Literal["relu"]


class DropoutStage(TypedDict):
    """In calls with a seed: 0 with a probability, else divided by what is left of 1."""

    kind: Literal["dropout"]
    rate: float


class NormStage(TypedDict):
    """RMS norm of each row of o."""

    kind: Literal["norm"]
    weight: str
    eps: float
    depthScale: bool


class GateStage(TypedDict):
    """o times the sigmoid of a product with it."""

    kind: Literal["gate"]
    weight: str
    bias: str


MapStage = ConvStage | MixStage | SoftcapStage | ReluStage | DropoutStage
OutputStage = NormStage | GateStage


class WindowTerm(TypedDict):
    """Keys nearer than ``size`` are visible."""

    kind: Literal["window"]
    size: int


class PlainTerm(TypedDict):
    """Another term of a mask."""

    kind: Literal["causal", "documents", "lengths", "bias"]


MaskTerm = WindowTerm | PlainTerm


class Identity(TypedDict):
    """1 at some places, 0 elsewhere."""

    kind: Literal["identity"]
    ones: list[int]


class Normal(TypedDict):
    """Normal values around 0."""

    kind: Literal["normal"]
    std: float


class Constant(TypedDict):
    """0 or 1 everywhere."""

    kind: Literal["zeros", "ones"]


InitialValue = Identity | Normal | Constant


class Pipeline(TypedDict):
    """What an attention computes, every default filled in."""

    name: str
    heads: int
    kvHeads: int
    headDim: int
    valueDim: int
    scale: float
    storage: str
    mask: list[MaskTerm]
    normalize: str
    scores: list[MapStage]
    weights: list[MapStage]
    output: list[OutputStage]


class ParameterData(TypedDict):
    """A parameter in the file."""

    name: str
    shape: list[int]
    init: InitialValue
    official: list[str]
    transposed: list[str]
    byHeads: bool


class Words(TypedDict):
    """An attention as the C library reads it: 32-bit words."""

    attention: list[int]
    stages: list[int]


class CpuData(TypedDict):
    """How the C library computes an attention, by pass (``Call.kind``) and storage type."""

    group: int
    tileRows: int
    mostParts: int
    passes: dict[str, dict[str, Words]]


class PartData(TypedDict):
    """An attention with a share of the heads."""

    cpu: CpuData


class AttentionData(TypedDict):
    """An attention in the file."""

    pipeline: Pipeline
    parameters: list[ParameterData]
    cpu: CpuData
    parts: dict[str, PartData]


class PackageData(TypedDict):
    """The whole file."""

    format: int
    mtac: str
    spec: str
    namespace: str
    attentions: dict[str, AttentionData]


@dataclass(frozen=True)
class Parameter:
    """A parameter tensor, float32.

    Attributes:
        name: As the spec's language names it, for example ``scores.conv.weight``.
        shape: Its shape.
        init: What it holds before training.
        official: Names that it may have in state dicts of the authors' implementation.
        transposed: Those of them whose last two axes change places.
        by_heads: Whether the first axis goes along the heads, or groups of them; all heads share others.
    """

    name: str
    shape: tuple[int, ...]
    init: InitialValue
    official: tuple[str, ...]
    transposed: frozenset[str]
    by_heads: bool

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)


@dataclass(frozen=True)
class Attention:
    """One attention of a spec.

    Attributes:
        name: As the spec calls it.
        namespace: Of its operators in ``torch.ops``; it holds a hash of the spec: two versions live side by side.
        pipeline: What it computes.
        parameters: In the order in which operators take their values.
        cpu: How the C library computes it.
        parts: The same with a share of the heads, by how many processes the heads can be spread over.
    """

    name: str
    namespace: str
    pipeline: Pipeline
    parameters: tuple[Parameter, ...]
    cpu: CpuData
    parts: Mapping[int, PartData]

    @property
    def words(self) -> int:
        """Elements of all parameters together."""
        return sum(parameter.size for parameter in self.parameters)

    @property
    def uses_layer(self) -> bool:
        """Whether results depend on the layer's number."""
        return any(stage["kind"] == "norm" and stage["depthScale"] for stage in self.pipeline["output"])

    @property
    def keeps_values(self) -> bool:
        """Whether a forward pass can keep what the backward pass else computes again: where ``output`` has stages."""
        return len(self.pipeline["output"]) > 0

    @property
    def dropouts(self) -> list[float]:
        """The rates of its dropouts: calls that give a seed drop weights."""
        return [stage["rate"] for stage in self.pipeline["weights"] if stage["kind"] == "dropout"]

    @property
    def past(self) -> int:
        """How many query rows before its own a row's result depends on: those of ``q_history``."""
        return sum(_reach(stage)[0] for stage in self._maps)

    @property
    def later(self) -> int:
        """How many query rows after its own a row's result depends on."""
        return sum(_reach(stage)[1] for stage in self._maps)

    @property
    def _maps(self) -> list[MapStage]:
        return [*self.pipeline["scores"], *self.pipeline["weights"]]

    def masks(self, kind: str) -> bool:
        """Whether the mask has a term of this kind."""
        return any(term["kind"] == kind for term in self.pipeline["mask"])

    def part(self, count: int) -> Attention:
        """What one of ``count`` processes computes, 1 or a key of ``parts``: its share of the heads."""
        if count == 1:
            return self
        pipeline = self.pipeline.copy()
        pipeline["heads"] //= count
        pipeline["kvHeads"] //= count
        parameters = [
            replace(each, shape=(each.shape[0] // count, *each.shape[1:])) if each.by_heads else each
            for each in self.parameters
        ]
        # No spec's name has capital letters.
        name = f"{self.name}_TP{count}"
        return Attention(name, self.namespace, pipeline, tuple(parameters), self.parts[count]["cpu"], {})


def depth_scale(layer: int) -> float:
    """The factor 1 - lambda of ``norm depth_scale``, layers counted from 0 (arXiv 2410.05258, section 3.1)."""
    return 1 - (0.8 - 0.6 * math.exp(-0.3 * layer))


def _reach(stage: MapStage) -> tuple[int, int]:
    """How many rows a stage reads before its own, and after it."""
    if stage["kind"] != "conv":
        return 0, 0
    size, origin, step = stage["kernel"]["query"], stage["origin"]["query"], stage["dilation"]["query"]
    return origin * step, (size - 1 - origin) * step


def load(file: Path) -> dict[str, Attention]:
    """Reads a package's attentions, by name.

    Raises:
        MtacError: MTA672: the file is of another version of mtac than this runtime, or damaged.
    """
    remedy = "write the whole package again, with `mtac compile --python`: runtime and data belong together"
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        if not isinstance(found, dict):
            raise ValueError("it is no object")
    except ValueError as error:
        raise MtacError("MTA672", f"{file.name} is damaged: {error}", remedy) from error
    if found.get("format") != FORMAT:
        raise MtacError(
            "MTA672",
            f"{file.name} was written by mtac {found.get('mtac', 'of unknown version')} in format "
            f"{found.get('format')}; this runtime reads format {FORMAT}",
            remedy,
        )
    data = cast(PackageData, found)
    namespace = _built_namespace() or data["namespace"]
    return {name: _attention(name, each, namespace) for name, each in data["attentions"].items()}


def _built_namespace() -> str | None:
    """The namespace of operators that Hugging Face's kernel-builder gives each build, by a module that it adds."""
    module = f"{__name__.rsplit('.', 2)[0]}._ops"
    if __name__.count(".") < 2 or importlib.util.find_spec(module) is None:
        return None
    prefix: str = importlib.import_module(module).add_op_namespace_prefix("")
    return prefix.removesuffix("::")


def _attention(name: str, data: AttentionData, namespace: str) -> Attention:
    return Attention(
        name=name,
        namespace=namespace,
        pipeline=data["pipeline"],
        parameters=tuple(_parameters(data["parameters"])),
        cpu=data["cpu"],
        parts={int(count): part for count, part in data["parts"].items()},
    )


def _parameters(data: Sequence[ParameterData]) -> Sequence[Parameter]:
    return [
        Parameter(
            name=each["name"],
            shape=tuple(each["shape"]),
            init=each["init"],
            official=tuple(each["official"]),
            transposed=frozenset(each["transposed"]),
            by_heads=each["byHeads"],
        )
        for each in data
    ]
