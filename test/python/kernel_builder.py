"""Does with a layout what kernel-builder does with a kernel without compiled parts, and loads it as ``kernels`` does.

``kernel_builder.py LAYOUT NAME``: builds twice, as of two commits, into files that are links into a store, as the Hub's
cache keeps them; loads both, computes with both, and prints what was found.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import sys
import tomllib
from pathlib import Path
from types import ModuleType

import torch

OPS = '''import torch

ops = torch.ops.{id}


def add_op_namespace_prefix(op_name: str) -> str:
    return f"{id}::{{op_name}}"
'''


def build(layout: Path, commit: str) -> Path:
    """Copies what ``build.toml`` names from ``torch-ext``, and adds what each build has."""
    config = tomllib.loads((layout / "build.toml").read_text())
    name = config["general"]["name"]
    module = name.replace("-", "_")
    kernel = f"_{module}_cpu_{commit}"
    target, store = layout / f"build-{commit}/torch-cpu", layout / "blobs"
    source = layout / "torch-ext" / module
    endings = {f".{each}" for each in config["torch-noarch"]["pyext"]}
    files = {each.relative_to(source): each.read_bytes() for each in source.rglob("*") if each.suffix in endings}
    files[Path("_ops.py")] = OPS.format(id=kernel).encode()
    files[Path("metadata.json")] = json.dumps({"id": kernel, "name": name}).encode()
    for path, content in files.items():
        blob = store / hashlib.sha256(content).hexdigest()
        blob.parent.mkdir(exist_ok=True)
        blob.write_bytes(content)
        place = target / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(blob)
    return target


def load(variant: Path) -> ModuleType:
    """Imports a build under the name that its metadata says."""
    name = json.loads((variant / "metadata.json").read_text())["id"]
    spec = importlib.util.spec_from_file_location(name, variant / "__init__.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def main(layout: Path, class_name: str) -> None:
    kernels = [load(build(layout, commit)) for commit in ("1a2b3c4", "5d6e7f8")]
    layers = [getattr(each.layers, class_name)() for each in kernels]
    attention = layers[0].function.attention
    heads, kv_heads = attention.pipeline["heads"], attention.pipeline["kvHeads"]
    q = torch.randn(1, heads, 20, attention.pipeline["headDim"], requires_grad=True)
    k = torch.randn(1, kv_heads, 20, attention.pipeline["headDim"])
    v = torch.randn(1, kv_heads, 20, attention.pipeline["valueDim"])
    results = [layer(q, k, v) for layer in layers]
    gradients = [torch.autograd.grad(o.sum(), q)[0] for o in results]
    print(
        json.dumps(
            {
                "namespaces": [layer.function.attention.namespace for layer in layers],
                "same": torch.equal(*results) and torch.equal(*gradients),
                "exported": [name for name in kernels[0].__all__ if not hasattr(kernels[0], name)],
                "ownNames": sorted(name for name in sys.modules if name.partition(".")[0] == kernels[0].__name__),
                "others": sorted(name for name in sys.modules if name.startswith(class_name.lower())),
            }
        )
    )


main(Path(sys.argv[1]).absolute(), sys.argv[2])
