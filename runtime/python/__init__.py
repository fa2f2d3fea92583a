"""What every package that mtac writes shares: it checks calls, computes them, and makes them operators of PyTorch."""

from .attention import load
from .errors import MtacError
from .function import AttentionFunction
from .layer import AttentionLayer, AttentionStack
from .parallel import context_parallel

__all__ = ["AttentionFunction", "AttentionLayer", "AttentionStack", "MtacError", "context_parallel", "load"]
