"""What all steps compute with: the device, the emitted packages, and the manifest ``kit.json``."""

from __future__ import annotations

import importlib
import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from .devices import Device, device_of
from .results import CaseResult

__all__ = ["Case", "Context", "Package"]


@dataclass(frozen=True)
class Case:
    """Something to compute, whose result says by ``status`` how it went."""

    name: str
    run: Callable[[], CaseResult]


class Package:
    """An emitted package.

    Attributes:
        name: Of its folder.
        attentions: Names of its attentions.
    """

    def __init__(self, folder: Path, data: dict[str, Any]) -> None:
        """``data`` is its entry in the manifest."""
        self.name: str = data["name"]
        self.attentions: list[str] = data["attentions"]
        self._folder = folder / "packages" / self.name

    def module(self, name: str) -> Any:
        """One of its modules."""
        place = str(self._folder)
        if place not in sys.path:
            sys.path.insert(0, place)
        return importlib.import_module(f"{self.name}.{name}")

    def function(self, attention: str) -> Any:
        """What computes an attention: its ``AttentionFunction``."""
        functional = self.module("functional")
        values = vars(functional).values()
        kind = self.module("_runtime").AttentionFunction
        return next(each for each in values if isinstance(each, kind) and each.attention.name == attention)


class Context:
    """A step's surroundings."""

    def __init__(self, folder: Path, wanted: str, seed: int, end: float) -> None:
        """``end``: of the step's time, on the monotonic clock."""
        self.folder, self.seed, self.end = folder, seed, end
        self.device: Device = device_of(wanted)

    @cached_property
    def manifest(self) -> dict[str, Any]:
        """The kit's."""
        data: dict[str, Any] = json.loads((self.folder / "kit.json").read_text(encoding="utf-8"))
        return data

    @cached_property
    def packages(self) -> dict[str, Package]:
        """By name."""
        return {each["name"]: Package(self.folder, each) for each in self.manifest["packages"]}

    def attentions(self) -> Iterator[tuple[Package, str]]:
        """Of all packages that a spec was compiled to."""
        for entry in self.manifest["packages"]:
            if entry["role"] == "spec":
                yield from ((self.packages[entry["name"]], name) for name in entry["attentions"])

    def left(self) -> float:
        """Seconds of the step's time."""
        return self.end - time.monotonic()
