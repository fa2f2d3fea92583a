"""Attentions as modules that own their parameters."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import cast

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.tensor import DTensor, distribute_tensor

from .attention import Parameter
from .dropout import draw_seed
from .errors import MtacError
from .function import AttentionFunction
from .heads import HeadSplit
from .sharding import common_seed

__all__ = ["AttentionLayer", "AttentionStack"]


class AttentionLayer(nn.Module):
    """An attention with its parameters, named as the spec's language names them: ``scores.conv.weight``."""

    def __init__(
        self,
        function: AttentionFunction,
        layer: int | None,
        device: torch.device | str | None,
        dtype: torch.dtype | None,
    ) -> None:
        """Makes the parameters, as the spec's ``init`` says.

        Args:
            function: What computes the attention.
            layer: The layer's number, from 0, where the attention scales by depth.
            device: Of the parameters.
            dtype: Of the parameters: float32, if not given. Kernels compute with them in float32.
        """
        super().__init__()
        self.function = function
        self.layer = layer
        self.split: HeadSplit | None = None
        self._paths = {each.name: each.name.split(".") for each in function.attention.parameters}
        for parameter in function.attention.parameters:
            path, name = parameter.name.rsplit(".", 1)
            value = torch.empty(parameter.shape, device=device, dtype=dtype or torch.float32)
            _submodule(self, path).register_parameter(name, nn.Parameter(value))
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Gives all parameters the values that the spec's ``init`` says."""
        for parameter in self.function.attention.parameters:
            _initialise(self.get_parameter(parameter.name), parameter)

    def split_heads(self, mesh: DeviceMesh) -> None:
        """Spreads the heads, and the parameters of heads, over the processes of a mesh of one axis.

        Raises:
            MtacError: MTA685: heads that are computed together would be in different processes.
        """
        split = HeadSplit(self.function.attention, mesh)
        for parameter in self.function.attention.parameters:
            path, name = parameter.name.rsplit(".", 1)
            value = self.get_parameter(parameter.name)
            spread = distribute_tensor(value.detach(), mesh, split.placements(parameter))
            self.get_submodule(path).register_parameter(name, nn.Parameter(spread, value.requires_grad))
        self.split = split

    def named_values(self) -> dict[str, Tensor]:
        """The parameters, by the names of the spec's language."""
        values: dict[str, Tensor] = {}
        for name, (*path, last) in self._paths.items():
            module: nn.Module = self
            for each in path:
                # As `getattr` finds it, without looking for other things first.
                module = cast(nn.Module, module._modules[each])
            # Not `get_parameter`: what `functional_call` and parametrizations put there is no nn.Parameter.
            values[name] = getattr(module, last)
        return values

    def compute(
        self,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        *,
        q_history: Tensor | None = None,
        bias: Tensor | None = None,
        documents: Tensor | None = None,
        lengths: Tensor | None = None,
        positions: Tensor | None = None,
        dropout_seed: Tensor | int | None = None,
        reference: bool = False,
    ) -> Tensor:
        """The attention with this layer's parameters: o [B, H, Lq, Dv]; of this process's heads if they are spread.

        Training drops weights where the spec says so; without ``dropout_seed`` PyTorch's generator draws one.
        Evaluation drops none and ignores ``dropout_seed``, like ``torch.nn.functional.dropout(training=False)``.
        """
        function, values, split = self.function, self.named_values(), self.split
        seed = self._seed(dropout_seed, q)
        is_spread = isinstance(q, DTensor)
        if split is not None:
            function, values = split.function, split.values(values)
            q, k, v = split.rows("q", q), split.rows("k", k), split.rows("v", v)
            q_history = None if q_history is None else split.rows("q_history", q_history)
            bias = split.bias(bias)
            documents, lengths, positions = (split.whole(each) for each in (documents, lengths, positions))
        o, _ = function(
            q,
            k,
            v,
            values,
            q_history=q_history,
            bias=bias,
            documents=documents,
            lengths=lengths,
            positions=positions,
            dropout_seed=seed,
            layer=self.layer,
            first_head=0 if split is None else split.first_head,
            reference=reference,
        )
        return o if split is None or not is_spread else split.spread(o)

    def _seed(self, given: Tensor | int | None, q: Tensor) -> Tensor | int | None:
        """Which weights a call drops: none in evaluation."""
        if not self.function.attention.dropouts:
            return given
        if not self.training:
            return None
        if given is not None:
            return given
        if self.split is not None:
            return self.split.draw_seed(q.device)
        return common_seed(q.device, q.device_mesh) if isinstance(q, DTensor) else draw_seed(q.device)

    @torch.no_grad()
    def load_official_state_dict(self, state_dict: Mapping[str, Tensor], prefix: str | None = None) -> None:
        """Takes the parameters out of a state dict of the authors' implementation (facebookresearch/RAM, projects/mta).

        Tensors may be named as the authors or as the spec's language name them; the authors' ``head_kernel`` is stored
        [group, in, out], and transposed here.

        Args:
            state_dict: Of a whole model, or of one attention.
            prefix: What stands before the names: ``layers.2.attention.``; it is looked for, if not given.

        Raises:
            MtacError: MTA611 (a parameter is missing), MTA613 (its shape is another); no parameter has changed then.
        """
        found = {each.name: _official(state_dict, each, prefix) for each in self.function.attention.parameters}
        for name, value in found.items():
            parameter = self.get_parameter(name)
            parameter.copy_(_spread_as(parameter, value))

    def extra_repr(self) -> str:
        """What ``print`` shows of it."""
        pipeline = self.function.attention.pipeline
        shown = f"{self.function.attention.name}, heads={pipeline['heads']}, head_dim={pipeline['headDim']}"
        return shown if self.layer is None else f"{shown}, layer={self.layer}"


class AttentionStack(nn.Module):
    """The attentions of a model's layers: ``stack[i]`` is that of layer i."""

    def __init__(self, layers: list[AttentionLayer]) -> None:
        """Takes the layers in their order."""
        super().__init__()
        self.layers = nn.ModuleList(layers)

    def __len__(self) -> int:
        return len(self.layers)

    def __getitem__(self, layer: int) -> AttentionLayer:
        attention = self.layers[layer]
        if not isinstance(attention, AttentionLayer):
            raise TypeError("the layers of a stack are taken one by one: stack[0]")
        return attention

    def __iter__(self) -> Iterator[AttentionLayer]:
        return (self[layer] for layer in range(len(self)))

    def load_official_state_dict(self, state_dict: Mapping[str, Tensor], prefix: str) -> None:
        """Takes the parameters of all layers out of a state dict of the authors' implementation.

        Args:
            state_dict: Of a whole model.
            prefix: What stands before the names, ``{layer}`` for the number: ``layers.{layer}.attention.``.

        Raises:
            MtacError: MTA611, MTA613.
        """
        for number, attention in enumerate(self):
            attention.load_official_state_dict(state_dict, prefix.replace("{layer}", str(number)))


def _submodule(module: nn.Module, path: str) -> nn.Module:
    """The module at a path, which is made where there is none."""
    for name in path.split("."):
        if name not in dict(module.named_children()):
            module.add_module(name, nn.Module())
        module = module.get_submodule(name)
    return module


def _initialise(value: nn.Parameter, parameter: Parameter) -> None:
    init = parameter.init
    if init["kind"] == "identity":
        whole = torch.zeros(parameter.size, dtype=value.dtype, device=value.device)
        whole[torch.tensor(init["ones"], device=value.device)] = 1
        value.copy_(_spread_as(value, whole.reshape(parameter.shape)))
    elif init["kind"] == "normal":
        nn.init.normal_(value, std=init["std"])
    elif init["kind"] == "ones":
        nn.init.ones_(value)
    else:
        nn.init.zeros_(value)


def _spread_as(value: Tensor, whole: Tensor) -> Tensor:
    """Values as a parameter lies: FSDP2 may have spread it over processes already."""
    return distribute_tensor(whole, value.device_mesh, value.placements) if isinstance(value, DTensor) else whole


def _official(state_dict: Mapping[str, Tensor], parameter: Parameter, prefix: str | None) -> Tensor:
    """The tensor of a state dict that is a parameter."""
    names = (*parameter.official, parameter.name)
    for name in names:
        matches = [
            each
            for each in state_dict
            if (each == f"{prefix}{name}" if prefix is not None else re.search(rf"(^|\.){re.escape(name)}$", each))
        ]
        if len(matches) > 1:
            raise MtacError(
                "MTA612",
                f"{len(matches)} tensors may be the parameter {parameter.name}: {', '.join(matches[:3])}",
                "give the prefix of one layer",
            )
        if matches:
            value = state_dict[matches[0]]
            return _shaped(value.transpose(-1, -2) if name in parameter.transposed else value, parameter, matches[0])
    tried = ", ".join((prefix or "") + name for name in names)
    raise MtacError(
        "MTA611",
        f"the parameter {parameter.name} is missing: there is none of {tried}",
        "check the prefix, or load the state dict that belongs to the spec",
    )


def _shaped(value: Tensor, parameter: Parameter, name: str) -> Tensor:
    """In the parameter's shape; axes of one element may be missing or too many."""
    squeezed = [size for size in value.shape if size != 1]
    if squeezed == [size for size in parameter.shape if size != 1]:
        return value.reshape(parameter.shape)
    raise MtacError(
        "MTA613",
        f"{name} has shape {list(value.shape)}; the parameter {parameter.name} has {list(parameter.shape)}",
        "load the state dict that belongs to the spec",
    )
