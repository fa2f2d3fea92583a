"""Dropout: the seeds of calls, and which weights a seed drops."""

from __future__ import annotations

import math

import torch
import torch.distributed as dist
from torch import Tensor

from .errors import MtacError

__all__ = ["draw_seed", "dropped", "first_seed", "seed_of"]

MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
"""Of the two products of a round of Philox (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3")."""

WEYL = (0x9E3779B9, 0xBB67AE85)
"""What the key's words grow by after each round."""

ROUNDS = 10

WORD = 0xFFFFFFFF


def draw_seed(device: torch.device) -> Tensor:
    """A seed, int32 [2], from PyTorch's generator of a device: ``torch.manual_seed`` repeats it."""
    return torch.randint(-(2**31), 2**31, (2,), dtype=torch.int32, device=device)


def first_seed(device: torch.device, group: dist.ProcessGroup | None) -> Tensor:
    """The seed that the first process of a group draws. Each draws one: their generators stay in step."""
    seed = draw_seed(device)
    dist.broadcast(seed, 0 if group is None else dist.get_global_rank(group, 0), group=group)
    return seed


def seed_of(value: Tensor | int | None, device: torch.device) -> Tensor | None:
    """A seed as operators take it, int32 [2]; nothing waits for the device.

    Args:
        value: int32 or uint32 [2], the low word first; or one number of 64 bits, as a tensor or as it is.
        device: Where a number is to lie; tensors stay where they are.

    Raises:
        MtacError: MTA608: a number of more than 64 bits, or neither a whole number nor a tensor.
    """
    if isinstance(value, int):
        if not -(2**63) <= value < 2**64:
            raise MtacError(
                "MTA608", f"dropout_seed is {value}: it has 64 bits", "give a number from 0 to 18446744073709551615"
            )
        value = torch.full((1,), value - 2**64 if value >= 2**63 else value, dtype=torch.int64, device=device)
    if value is None:
        return None
    if not isinstance(value, Tensor):
        raise MtacError(
            "MTA608",
            f"dropout_seed is a {type(value).__name__}",
            "give a whole number of 64 bits, or a tensor, int32 [2]",
        )
    if value.dtype in (torch.int64, torch.uint64) and value.numel() == 1:
        # Processors and GPUs have the low word first.
        return value.reshape(1).view(torch.int32)
    return value.view(torch.int32) if value.dtype == torch.uint32 else value


def dropped(seed: Tensor, rate: float, positions: Tensor, heads: Tensor, keys: int) -> Tensor:
    """Which weights a dropout makes 0: [B, H, rows, Lk].

    Args:
        seed: int32 [2].
        rate: The probability.
        positions: [B, rows], where each row stands among the keys.
        heads: [H], the number of each head.
        keys: Lk.
    """
    device = seed.device
    counter = (
        torch.arange(keys, device=device)[None, None, None, :],
        positions.long()[:, None, :, None] & WORD,
        heads[None, :, None, None],
        torch.arange(positions.shape[0], device=device)[:, None, None, None],
    )
    return _first_word(counter, seed.long() & WORD) < math.floor(rate * 2**32)


def _first_word(counter: tuple[Tensor, Tensor, Tensor, Tensor], key: Tensor) -> Tensor:
    """The first of four words that Philox4x32-10 makes of a counter and a key, all of them int64 from 0 to 2^32 - 1."""
    x, y, z, w = counter
    first, second = key.unbind()
    for _ in range(ROUNDS):
        (high_x, low_x), (high_z, low_z) = _product(x, MULTIPLIERS[0]), _product(z, MULTIPLIERS[1])
        x, y, z, w = high_z ^ y ^ first, low_z, high_x ^ w ^ second, low_x
        first, second = (first + WEYL[0]) & WORD, (second + WEYL[1]) & WORD
    return x


def _product(words: Tensor, factor: int) -> tuple[Tensor, Tensor]:
    """The upper and the lower word of products, by halves of the words: 63 bits hold no whole product."""
    low, high = (words & 0xFFFF) * factor, (words >> 16) * factor
    return (high + (low >> 16)) >> 16, (low + ((high & 0xFFFF) << 16)) & WORD
