"""What every package that mtac writes shares: it checks calls, computes them, and makes them operators of PyTorch."""

from .attention import load
from .errors import MtacError
from .function import AttentionFunction
from .layer import AttentionLayer, AttentionStack
from .parallel import context_parallel
from .tensor_parallel import HeadParallel

__all__ = [
    "AttentionFunction",
    "AttentionLayer",
    "AttentionStack",
    "HeadParallel",
    "MtacError",
    "context_parallel",
    "load",
]
