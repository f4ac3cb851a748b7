"""Small networks on CUDA: the rows of a slot lie together, so each slot's network sees its own rows alone."""

from functools import partial

import torch
from torch import Tensor

from adaptive_nerf.engine import torch_reference
from adaptive_nerf.engine.network import Network


def network(weights: Tensor, inputs: Tensor, slots: Tensor | None, shape: Network) -> Tensor:
    """As the reference; rows in another order than by slot are left to it. Waits for the device once."""
    if len(weights) == 1 or slots is None:
        return torch_reference.network(weights, inputs, slots, shape)
    counts = _counts(slots, len(weights))
    if counts is None:
        return torch_reference.network(weights, inputs, slots, shape)
    parts = zip(weights.unbind(), inputs.split(counts), strict=True)
    return torch.cat([torch_reference.layers(of_slot, rows, shape) for of_slot, rows in parts])


def _counts(slots: Tensor, n_slots: int) -> list[int] | None:
    """Rows of each slot, if they lie slot after slot."""
    ascending = (slots[1:] >= slots[:-1]).all().view(1)
    *counts, in_order = torch.cat([torch.bincount(slots, minlength=n_slots), ascending]).tolist()
    return counts if in_order else None


trunk = partial(torch_reference.trunk, network=network)
colour = partial(torch_reference.colour, network=network)
field = partial(torch_reference.field, network=network)
