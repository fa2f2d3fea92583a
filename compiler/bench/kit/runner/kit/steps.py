"""The steps of a run, what matters most first. Nothing here needs PyTorch."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["DONE", "MISSING", "OVER", "POISONED", "STEPS", "Step"]

DONE, MISSING, OVER, POISONED = 0, 3, 4, 70
"""How a step's process ends: after all cases, after none, as the machine lacks something, at the end of its time, after
an error that CUDA does not forget. Any other end is a crash."""


@dataclass(frozen=True)
class Step:
    """One step.

    Attributes:
        name: In results, and for ``--only``.
        title: For people.
        share: Of the time that is left, beside the shares of the steps that follow; what a step leaves, these have.
        gpu: Whether it is nothing without a GPU.
        case_limit: Seconds after which a case hangs.
        least: Seconds that it has in any case.
    """

    name: str
    title: str
    share: float
    gpu: bool
    case_limit: float = 60
    least: float = 0


STEPS = (
    Step("environment", "device, driver, PyTorch, clocks", 2, gpu=False, least=60),
    Step("kernels", "kernels that are not compiled beforehand", 14, gpu=True, case_limit=150),
    Step("vectors_forward", "test vectors, forward", 8, gpu=False),
    Step("vectors_backward", "test vectors, backward", 10, gpu=False),
    Step("random", "random calls against float64", 14, gpu=False),
    Step("determinism", "the same bits, run after run", 4, gpu=False),
    Step("timing", "times and memory beside other attention", 20, gpu=False, case_limit=120),
    Step("timing_others", "times of other specs", 10, gpu=False, case_limit=120),
    Step("sanitizer", "compute-sanitizer: memory and races", 8, gpu=True, case_limit=100),
    Step("schedules", "other plans of the planner", 8, gpu=True),
    Step("graphs", "calls captured in CUDA graphs", 2, gpu=True),
)
