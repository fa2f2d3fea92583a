"""Several processes against one: context parallelism and FSDP2, forward and gradients, with gloo."""

from __future__ import annotations

import importlib
import os
import sys
from datetime import timedelta

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import Replicate, Shard, distribute_module, distribute_tensor
from torch.distributed.tensor.parallel import ColwiseParallel, RowwiseParallel, parallelize_module

ROWS = 24
SEED = 5


def data(layer, batches=2):
    """The same random call in every process, with documents where the mask has them."""
    pipeline = layer.function.attention.pipeline
    generator = torch.Generator().manual_seed(3)

    def draw(heads, dim):
        return torch.randn((batches, heads, ROWS, dim), generator=generator)

    q = draw(pipeline["heads"], pipeline["headDim"])
    k = draw(pipeline["kvHeads"], pipeline["headDim"])
    v = draw(pipeline["kvHeads"], pipeline["valueDim"])
    d_o = draw(pipeline["heads"], pipeline["valueDim"])
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter += torch.randn(parameter.shape, generator=generator) * 0.3
    masked = {}
    if layer.function.attention.masks("documents"):
        masked["documents"] = (torch.arange(ROWS) // 7).expand(batches, ROWS).contiguous()
    return (q, k, v), d_o, masked


def near(name, x, expected):
    """Fails where results differ by more than 1e-5 of their norm."""
    error = float((x - expected).norm() / expected.norm())
    assert error <= 1e-5, f"{name}: {error}"


def whole(layer):
    """What one process computes."""
    inputs, d_o, masked = data(layer)
    leaves = [each.requires_grad_() for each in inputs]
    torch.manual_seed(SEED)
    o = layer(*leaves, **masked)
    o.backward(d_o)
    return o.detach(), [each.grad for each in leaves], [each.grad for each in layer.parameters()], d_o, masked


def by_rows(rank, count, package, name):
    """Each process has some of the rows."""
    layer = getattr(package, name)()
    o, gradients, of_parameters, d_o, masked = whole(layer)
    fresh = getattr(package, name)()
    inputs, _, _ = data(fresh)
    mine = slice(rank * ROWS // count, (rank + 1) * ROWS // count)
    leaves = [each[:, :, mine].clone().requires_grad_() for each in inputs]
    own = {key: value[:, mine] for key, value in masked.items()}
    # What is dropped is what the first process draws.
    torch.manual_seed(SEED + rank)
    found = package.context_parallel(fresh, *leaves, **own, rows=torch.arange(ROWS)[mine])
    found.backward(d_o[:, :, mine])
    near("o", found.detach(), o[:, :, mine])
    for tensor, leaf, expected in zip("qkv", leaves, gradients, strict=True):
        near(f"the gradient of {tensor}", leaf.grad, expected[:, :, mine])
    for parameter, expected in zip(fresh.parameters(), of_parameters, strict=True):
        dist.all_reduce(parameter.grad)
        near("the gradient of a parameter", parameter.grad, expected)
    q, k, v = leaves
    short = k[:, :, rank:]
    permuted = torch.arange(ROWS).flip(0)[mine]
    faults = (((q, k, v), permuted, "MTA674"), ((q, short, v), None, "MTA674"), ((q, k, v[:1]), None, "MTA603"))
    for tensors, rows, code in faults:
        try:
            package.context_parallel(fresh, *tensors, **own, rows=rows)
        except package.MtacError as error:
            assert error.code == code, error
        else:
            raise AssertionError("rows that do not fit are not refused")


def sharded(rank, count, package, name):
    """FSDP2: each process has a part of the parameters, and batch entries of its own."""
    layer = getattr(package, name)()
    inputs, d_o, masked = data(layer, count)
    o = layer(*inputs, **masked)
    o.backward(d_o / count)
    expected = [each.grad for each in layer.parameters()]
    fresh = getattr(package, name)()
    data(fresh, count)
    fully_shard(fresh)
    with torch.device("meta"):
        late = getattr(package, name)()
    fully_shard(late)
    late.to_empty(device="cpu")
    late.reset_parameters()
    for parameter, wanted in zip(late.parameters(), getattr(package, name)().parameters(), strict=True):
        assert torch.equal(parameter.full_tensor(), wanted)
    found = fresh(*(each[rank : rank + 1] for each in inputs), **{key: each[:1] for key, each in masked.items()})
    found.backward(d_o[rank : rank + 1])
    near("o", found.detach(), o[rank : rank + 1].detach())
    for parameter, wanted in zip(fresh.parameters(), expected, strict=True):
        near("the gradient of a parameter", parameter.grad.full_tensor(), wanted)


class Block(torch.nn.Module):
    """Projections, an attention, and the projection of its results, as models have them."""

    def __init__(self, layer, width=32):
        super().__init__()
        pipeline = layer.function.attention.pipeline
        self.dims = [pipeline["headDim"], pipeline["headDim"], pipeline["valueDim"]]
        heads = [pipeline["heads"], pipeline["kvHeads"], pipeline["kvHeads"]]
        self.wq, self.wk, self.wv = (
            torch.nn.Linear(width, count * dim, bias=False) for count, dim in zip(heads, self.dims, strict=True)
        )
        self.wo = torch.nn.Linear(heads[0] * self.dims[2], width, bias=False)
        self.attention = layer

    def forward(self, x, **masked):
        projections = (self.wq, self.wk, self.wv)
        q, k, v = (
            each(x).unflatten(2, (-1, dim)).transpose(1, 2) for each, dim in zip(projections, self.dims, strict=True)
        )
        return self.wo(self.attention(q, k, v, **masked).transpose(1, 2).flatten(2))


def by_heads(rank, count, package, name):
    """Each process has some of the heads: tensors of its own, DTensors, and projections that are spread."""
    layer = getattr(package, name)()
    o, gradients, of_parameters, d_o, masked = whole(layer)
    mesh = init_device_mesh("cpu", (count,), mesh_dim_names=("tp",))
    fresh = getattr(package, name)()
    inputs, _, _ = data(fresh)
    style = package.HeadParallel()
    parallelize_module(fresh, mesh, style)
    leaves = [each.chunk(count, dim=1)[rank].clone().requires_grad_() for each in inputs]
    torch.manual_seed(SEED + rank)
    found = fresh(*leaves, **masked)
    found.backward(d_o.chunk(count, dim=1)[rank])
    near("o", found.detach(), o.chunk(count, dim=1)[rank])
    for tensor, leaf, expected in zip("qkv", leaves, gradients, strict=True):
        near(f"the gradient of {tensor}", leaf.grad, expected.chunk(count, dim=1)[rank])
    for (each, parameter), expected in zip(fresh.named_parameters(), of_parameters, strict=True):
        assert parameter.shape == expected.shape, each
        near(f"the gradient of {each}", parameter.grad.full_tensor(), expected)

    spread = [distribute_tensor(each.detach(), mesh, [Shard(1)]) for each in inputs]
    torch.manual_seed(SEED + rank)
    near("o of DTensors", fresh(*spread, **masked).full_tensor().detach(), o)
    try:
        fresh(*inputs, **masked)
    except package.MtacError as error:
        assert error.code == "MTA686", error
    else:
        raise AssertionError("all heads are taken where a process has some")

    torch.manual_seed(7)
    model = Block(layer)
    torch.manual_seed(7)
    other = Block(getattr(package, name)())
    data(other.attention)
    x = torch.randn(2, ROWS, 32)
    layer.zero_grad()
    torch.manual_seed(SEED)
    expected = model(x, **masked)
    expected.square().sum().backward()
    columns = {each: ColwiseParallel() for each in ("wq", "wk", "wv")}
    parallelize_module(other, mesh, columns | {"attention": style, "wo": RowwiseParallel()})
    torch.manual_seed(SEED + rank)
    y = other(x, **masked)
    near("a model's results", y.detach(), expected.detach())
    y.square().sum().backward()
    for (each, parameter), wanted in zip(other.named_parameters(), model.parameters(), strict=True):
        near(f"a model's gradient of {each}", parameter.grad.full_tensor(), wanted.grad)

    state = {each: value.detach().clone() for each, value in layer.state_dict().items()}
    other.attention.reset_parameters()
    other.attention.load_official_state_dict(state)
    for each, value in other.attention.state_dict().items():
        assert torch.equal(value.full_tensor(), state[each]), each


def by_entries(rank, count, package, name):
    """DTensors of batch entries, of rows, and whole ones, to a layer without HeadParallel."""
    layer = getattr(package, name)()
    o, gradients, of_parameters, d_o, masked = whole(layer)
    mesh = init_device_mesh("cpu", (count,))
    for way in (Shard(0), Shard(2), Replicate()):
        fresh = getattr(package, name)()
        inputs, _, _ = data(fresh)
        distribute_module(fresh, mesh)
        leaves = [distribute_tensor(each, mesh, [way]).requires_grad_() for each in inputs]
        spread = {key: distribute_tensor(value, mesh, [Shard(0)]) for key, value in masked.items()}
        torch.manual_seed(SEED + rank)
        found = fresh(*leaves, **spread)
        if layer.function.attention.dropouts:
            assert found.placements == (Replicate(),), found.placements
        elif way == Shard(0):
            assert found.placements == (way,), found.placements
        found.backward(distribute_tensor(d_o, mesh, found.placements))
        near("o", found.full_tensor().detach(), o)
        for tensor, leaf, expected in zip("qkv", leaves, gradients, strict=True):
            near(f"the gradient of {tensor}", leaf.grad.full_tensor(), expected)
        for (each, parameter), expected in zip(fresh.named_parameters(), of_parameters, strict=True):
            near(f"the gradient of {each}", parameter.grad.full_tensor(), expected)
    q, k, v = (each.detach() for each in inputs)
    spread = [distribute_tensor(each, mesh, [Shard(0)]) for each in (q, k, v)]
    masks = {key: distribute_tensor(value, mesh, [Shard(0)]) for key, value in masked.items()}
    short = distribute_tensor(k[:, :, 1:].contiguous(), mesh, [Shard(0)])
    for tensors, options, code in (
        ((spread[0], k, spread[2]), {}, "MTA687"),
        (spread, {"reference": True}, "MTA687"),
        ((spread[0], short, spread[2]), {}, "MTA603"),
    ):
        try:
            fresh.compute(*tensors, **masks, **options)
        except package.MtacError as error:
            assert error.code == code, error
        else:
            raise AssertionError(f"{code} is not raised")
    compiled = torch.compile(fresh, fullgraph=True, backend="aot_eager")
    torch.manual_seed(SEED + rank)
    near("o of a compiled layer", compiled(*spread, **masks).full_tensor().detach(), o)


def by_heads_sharded(rank, count, package, name):
    """Heads over two processes, and FSDP2 over the pairs of them: what one process computes."""
    layer = getattr(package, name)()
    inputs, d_o, masked = data(layer, count // 2)
    layer(*inputs, **masked).backward(d_o / (count // 2))
    mesh = init_device_mesh("cpu", (count // 2, 2), mesh_dim_names=("dp", "tp"))
    fresh = getattr(package, name)()
    data(fresh, count // 2)
    parallelize_module(fresh, mesh["tp"], package.HeadParallel())
    fully_shard(fresh, mesh=mesh["dp"])
    entry, part = divmod(rank, 2)
    mine = [each[entry : entry + 1].chunk(2, dim=1)[part] for each in (*inputs, d_o)]
    fresh(*mine[:3], **{key: each[:1] for key, each in masked.items()}).backward(mine[3])
    for (each, parameter), wanted in zip(fresh.named_parameters(), layer.parameters(), strict=True):
        near(f"the gradient of {each}", parameter.grad.full_tensor(), wanted.grad)


def dying(rank, count, package, name):
    """The others get an error where one of them dies."""
    layer = getattr(package, name)()
    inputs, _, masked = data(layer)
    mine = slice(rank * ROWS // count, (rank + 1) * ROWS // count)
    if rank == count - 1:
        os._exit(0)
    try:
        package.context_parallel(
            layer, *(each[:, :, mine] for each in inputs), **{key: each[:, mine] for key, each in masked.items()}
        )
    except RuntimeError:
        os._exit(0)
    raise AssertionError("no error where a process died")


def process(rank, count, work, folder, module, name, port):
    """One of the processes."""
    torch.set_num_threads(1)
    sys.path.insert(0, folder)
    package = importlib.import_module(module)
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    dist.init_process_group("gloo", rank=rank, world_size=count, timeout=timedelta(seconds=60))
    globals()[work](rank, count, package, name)
    dist.destroy_process_group()


if __name__ == "__main__":
    work, count, *rest = sys.argv[1:]
    mp.spawn(process, (int(count), work, *rest), nprocs=int(count))
    print("equal")
