"""What a run found, as the file that ``mtac bench --import`` reads."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, TypedDict

__all__ = ["FORMAT", "VERSION", "CaseResult", "Results", "StepResult", "text_of", "write"]

FORMAT = "mtac gpu kit"
VERSION = 1


class CaseResult(TypedDict, total=False):
    """One case of a step.

    Attributes:
        status: ``passed``; ``wrong``: a result is not what it should be; ``failed``: an error; ``crashed``: the process
            ended; ``hung``: it was stopped; ``skipped``: not for this machine, or its memory.
        reason: Why it did not pass.
        errors: By tensor: the norm of the error, relative to the result's, and what it may be.
    """

    name: str
    status: str
    reason: str
    seconds: float
    errors: dict[str, dict[str, float]]
    data: dict[str, Any]


class StepResult(TypedDict):
    """One step.

    Attributes:
        status: ``passed``; ``wrong``, ``failed``, ``crashed`` and ``hung``, where a case is; ``unfinished``: its time
            was over; ``missing``: the machine lacks what ``lacking`` says.
        limit: Seconds that it was given.
    """

    name: str
    title: str
    status: str
    lacking: str | None
    seconds: float
    limit: float
    cases: list[CaseResult]


class Results(TypedDict):
    """All of a run."""

    format: str
    version: int
    kit: dict[str, Any]
    began: str
    minutes: float
    seed: int
    finished: bool
    steps: list[StepResult]


def write(file: Path, results: Results) -> None:
    """Writes the whole file or leaves the old one: what was found so far survives everything that follows."""
    beside = file.with_name(f"{file.name}.new")
    with beside.open("w", encoding="utf-8") as text:
        text.write(text_of(results))
        text.write("\n")
        text.flush()
        os.fsync(text.fileno())
    os.replace(beside, file)


def text_of(results: Results) -> str:
    """Results as JSON."""
    return json.dumps(results, indent=1)
