"""Multi-token attention in plain PyTorch: one operator after the other, whole maps in memory, as models are first written.

`mtac bench` starts it and talks to it in lines of JSON, one answer for each request:
  {"command": "open", "pipeline": …, "call": …, "threads": …, "tensors": [{"name", "type", "dims", "file"}]}  →  {"version", "device"}
  {"command": "run", "file": …}    writes o, float32 [B, H, Lq, Dv], into the file              →  {}
  {"command": "time", "count": …}  after one run that is not counted                            →  {"milliseconds": […]}
A request that fails is answered with {"error": …}. The end of the input ends the process. The kit for a GPU imports it as a module,
and takes gradients through `Attention.compute`.
"""

import ctypes
import json
import os
import platform
import re
import sys
import time

ANSWERS = sys.stdout
if __name__ == "__main__":
    # Libraries that print must not be taken for answers.
    ANSWERS = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)


def answer(fields):
    ANSWERS.write(json.dumps(fields) + "\n")
    ANSWERS.flush()


try:
    import torch
    import torch.nn.functional as F
except ImportError as problem:
    if __name__ != "__main__":
        raise
    sys.stdin.readline()
    answer({"error": f"{sys.executable} (Python {platform.python_version()}) has no PyTorch: {problem}"})
    sys.exit(0)

TYPES = {"float32": torch.float32, "int32": torch.int32}
STORAGE = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16}


def load(tensor):
    with open(tensor["file"], "rb") as file:
        data = bytearray(file.read())
    return torch.frombuffer(data, dtype=TYPES[tensor["type"]]).reshape(tensor["dims"])


def store(tensor, path):
    values = tensor.to("cpu", torch.float32).contiguous()
    with open(path, "wb") as file:
        file.write(ctypes.string_at(values.data_ptr(), values.numel() * 4))


# Stages that change each entry by itself.
POINTWISE = {
    "softcap": lambda source, stage: stage["limit"] * torch.tanh(source / stage["limit"]),
    "relu": lambda source, stage: torch.relu(source),
}


class Attention:
    """One call: its inputs on the device, and what a model would compute once for many calls (masks)."""

    def __init__(self, pipeline, call, threads, tensors):
        self.pipeline = pipeline
        self.call = call
        if threads is not None:
            torch.set_num_threads(threads)
        self.device, self.dtype = choose_device(pipeline["storage"], threads is not None)
        on_device = {name: tensor.to(self.device) for name, tensor in tensors.items()}
        self.parameters = {p["name"]: on_device[p["name"]].to(self.dtype) for p in pipeline["parameters"]}
        self.q, self.k, self.v = (on_device[name].to(self.dtype) for name in ("q", "k", "v"))
        self.bias = on_device["bias"].to(self.dtype) if "bias" in on_device else None
        self.row_documents = None
        self.hidden = self.hidden_pairs(on_device)
        # Whether some row sees no key, so that its softmax is not a number.
        self.empty_rows = bool(self.hidden.all(-1).any())

    # Masks

    def hidden_pairs(self, tensors):
        """What a row must not see: bool [B or 1, H or 1, R + Lq, Lk]."""
        new, keys, history = self.call["Lq"], self.call["Lk"], self.call["R"]
        start = tensors.get("positions", torch.tensor([keys - new], device=self.device)).long() - history
        rows = start[:, None] + torch.arange(history + new, device=self.device)
        i = rows[:, None, :, None]
        j = torch.arange(keys, device=self.device)
        visible = torch.ones(1, 1, history + new, keys, dtype=torch.bool, device=self.device)
        for term in self.pipeline["mask"]:
            kind = term["kind"]
            if kind == "causal":
                visible = visible & (j <= i)
            elif kind == "window":
                visible = visible & (i - j < term["size"]) & (j - i < term["size"])
            elif kind == "lengths":
                filled = tensors["lengths"].long()[:, None, None, None]
                visible = visible & (i < filled) & (j < filled)
            elif kind == "documents":
                documents = tensors["documents"].long()
                own = self.find_row_documents(documents, rows)
                visible = visible & (own[:, None, :, None] == documents[:, None, None, :])
                visible = visible & (own >= 0)[:, None, :, None]
            elif kind == "bias":
                visible = visible & (tensors["bias"] != -torch.inf)
            else:
                raise ValueError(f"unknown mask {kind}")
        return ~visible

    def find_row_documents(self, documents, rows):
        """The document of each row, [B, R + Lq]; -1 for none."""
        batches, keys = documents.shape
        rows = rows.expand(batches, -1)
        found = documents.gather(1, rows.clamp(0, keys - 1))
        inside = (rows >= 0) & (rows < keys) & (found >= 0)
        self.row_documents = torch.where(inside, found, -torch.ones_like(found))
        return self.row_documents

    def hide(self, scores):
        return scores.masked_fill(self.hidden, 0)

    # Stages

    def conv(self, stage, source):
        heads, across = self.pipeline["heads"], stage["across"]
        size, origin, step = stage["kernel"], stage["origin"], stage["dilation"]
        weight = self.parameters[stage["weight"]]
        bias = None if stage["bias"] is None else self.parameters[stage["bias"]]
        if stage["shared"]:
            weight = weight.repeat(heads // across, 1, 1, 1)
            bias = None if bias is None else bias.repeat(heads // across)
        groups = heads // across
        left, right = origin["key"] * step["key"], (size["key"] - 1 - origin["key"]) * step["key"]
        if self.row_documents is None or size["query"] == 1:
            past = origin["query"] * step["query"]
            future = (size["query"] - 1 - origin["query"]) * step["query"]
            padded = F.pad(source, (left, right, past, future))
            return F.conv2d(padded, weight, bias, dilation=(step["query"], step["key"]), groups=groups)
        # A row of taps at a time: rows of another document count as 0.
        total = torch.zeros_like(source)
        for a in range(size["query"]):
            shift = (a - origin["query"]) * step["query"]
            other = shifted_rows(self.row_documents[:, None, :, None], shift) != self.row_documents[:, None, :, None]
            rows = shifted_rows(source, shift).masked_fill(other, 0)
            padded = F.pad(rows, (left, right, 0, 0))
            total += F.conv2d(padded, weight[:, :, a : a + 1], None, dilation=(1, step["key"]), groups=groups)
        return total if bias is None else total + bias[:, None, None]

    def mix(self, stage, source):
        group = stage["group"]
        grouped = source.reshape(source.shape[0], self.pipeline["heads"] // group, group, -1)
        return torch.matmul(self.parameters[stage["weight"]], grouped).reshape(source.shape)

    def map_stage(self, stage, source):
        kind = stage["kind"]
        if kind == "conv":
            return self.conv(stage, source)
        if kind == "mix":
            return self.mix(stage, source)
        if kind == "dropout":
            return F.dropout(source, stage["rate"], training=self.call.get("dropout", False))
        return POINTWISE[kind](source, stage)

    def norm(self, stage, o):
        mean = o.float().square().mean(-1, keepdim=True) + stage["eps"]
        factor = self.call["depthFactor"] if stage["depthScale"] else 1
        return (o * torch.rsqrt(mean)).to(o.dtype) * self.parameters[stage["weight"]] * factor

    def gate(self, stage, o):
        return o * torch.sigmoid(F.linear(o, self.parameters[stage["weight"]], self.parameters[stage["bias"]]))

    def output_stage(self, stage, o):
        kind = stage["kind"]
        if kind == "norm":
            return self.norm(stage, o)
        if kind == "gate":
            return self.gate(stage, o)
        raise ValueError(f"unknown stage {kind}")

    # The whole

    def normalize(self, scores):
        if self.bias is not None:
            scores = scores + self.bias
        scores = scores.masked_fill(self.hidden, -torch.inf)
        weights = sparsemax(scores) if self.pipeline["normalize"] == "sparsemax" else scores.softmax(-1)
        return self.hide(weights) if self.empty_rows else weights

    @torch.inference_mode()
    def forward(self):
        return self.compute()

    def compute(self):
        """o [B, H, Lq, Dv], differentiable in q, k, v and the parameters."""
        heads, groups = self.pipeline["heads"], self.pipeline["kvHeads"]
        batches, _, rows, width = self.q.shape
        new, keys = self.call["Lq"], self.call["Lk"]
        # The heads that share a key/value head are rows of one matrix.
        q = (self.q * self.pipeline["scale"]).reshape(batches, groups, -1, width)
        scores = torch.matmul(q, self.k.transpose(-1, -2)).reshape(batches, heads, rows, keys)
        for stage in self.pipeline["scores"]:
            scores = self.map_stage(stage, scores if stage["kind"] in POINTWISE else self.hide(scores))
        weights = self.normalize(scores)
        for stage in self.pipeline["weights"]:
            weights = self.hide(self.map_stage(stage, weights))
        weights = weights[:, :, rows - new :].reshape(batches, groups, -1, keys)
        o = torch.matmul(weights, self.v).reshape(batches, heads, new, -1)
        for stage in self.pipeline["output"]:
            o = self.output_stage(stage, o)
        return o

    def time(self):
        """Milliseconds of one run."""
        self.synchronize()
        start = time.perf_counter()
        self.forward()
        self.synchronize()
        return (time.perf_counter() - start) * 1000

    def synchronize(self):
        if self.device == "cuda":
            torch.cuda.synchronize()


def shifted_rows(values, shift):
    """Row i of the result is row i + shift of `values` [B, …, rows, n]; -1 stands for no document, 0 for no score."""
    rows = values.shape[-2]
    outside = 0 if values.is_floating_point() else -2
    padded = F.pad(values, (0, 0, max(-shift, 0), max(shift, 0)), value=outside)
    return padded[..., max(shift, 0) : max(shift, 0) + rows, :]


def sparsemax(scores):
    """The projection of each row onto the simplex."""
    scores = scores - scores.amax(-1, keepdim=True)
    ordered = scores.sort(-1, descending=True).values
    sums = ordered.cumsum(-1)
    counts = torch.arange(1, scores.shape[-1] + 1, device=scores.device)
    support = (1 + counts * ordered > sums).sum(-1, keepdim=True).clamp(min=1)
    threshold = (sums.gather(-1, support - 1) - 1) / support
    return (scores - threshold).clamp(min=0)


def choose_device(storage, on_processor):
    """A GPU computes in the storage type, as models do; a processor in float32."""
    if on_processor or not torch.cuda.is_available():
        return "cpu", torch.float32
    # float32 means float32: no rounding to 10 bits in matrix products and convolutions.
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    return "cuda", STORAGE[storage]


def blas():
    """Which library computes products: builds that have none of the fast ones are a hundred times slower."""
    found = re.search(r"BLAS_INFO=(\w+)", torch.__config__.show())
    return found.group(1) if found else "unknown"


def describe(attention):
    if attention.device == "cuda":
        where = torch.cuda.get_device_name()
    else:
        threads = torch.get_num_threads()
        where = f"CPU, BLAS {blas()}, {threads} thread{'' if threads == 1 else 's'}"
    return f"{where}, computes in {str(attention.dtype).removeprefix('torch.')}"


class Session:
    def __init__(self):
        self.attention = None

    def handle(self, request):
        command = request["command"]
        if command == "open":
            tensors = {tensor["name"]: load(tensor) for tensor in request["tensors"]}
            self.attention = Attention(request["pipeline"], request["call"], request["threads"], tensors)
            return {"version": torch.__version__, "device": describe(self.attention)}
        if command == "run":
            store(self.attention.forward(), request["file"])
            return {}
        if command == "time":
            self.attention.time()
            return {"milliseconds": [self.attention.time() for _ in range(request["count"])]}
        raise ValueError(f"unknown command {command}")


def main():
    session = Session()
    for line in sys.stdin:
        try:
            answer(session.handle(json.loads(line)))
        except Exception as problem:  # Whatever it is, the benchmark goes on without this peer.
            answer({"error": f"{type(problem).__name__}: {problem}"})


if __name__ == "__main__":
    main()
