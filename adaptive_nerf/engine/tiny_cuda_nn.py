"""tiny-cuda-nn for the hash grid and the density trunk, on CUDA where the package `tinycudann` is installed.

Its layout is ours, so tables and weights go in as they are: its modules are used as functions of their parameters. It
computes in half precision, knows one table and one network at a time (slots are a loop), and has no double backward.
What it cannot hold (a width that is not 16, 32, 64 or 128) falls to torch.
"""

import functools
import importlib
from typing import Any

import torch
from torch import Tensor

from adaptive_nerf.engine import torch_reference
from adaptive_nerf.engine.hash_grid import HashGrid
from adaptive_nerf.engine.network import Network, Trunk
from adaptive_nerf.engine.table_gradients import TableGradients

WIDTHS = (16, 32, 64, 128)
BATCH = 256  # rows come in multiples of it
LOSS_SCALE = 128.0


def encode(tables: Tensor, local: Tensor, slots: Tensor, grid: HashGrid, sink: TableGradients | None = None) -> Tensor:
    if grid.features not in (1, 2, 4, 8) or grid.levels == 1:
        return torch_reference.encode(tables, local, slots, grid, sink)
    inside = torch.nan_to_num(local, nan=0.0).clamp(0, 1)
    read = tables if sink is None else tables.detach()
    found = _by_slot(_grid_module(grid), read.flatten(1), inside, slots, grid.outputs)
    found = found.view(-1, grid.levels, grid.features)
    return found if sink is None else torch_reference.put_aside(found, tables, local, slots, sink)


def trunk(weights: Tensor, features: Tensor, slots: Tensor, shape: Trunk) -> Tensor:
    network = shape.network
    if network.hidden not in WIDTHS or network.inputs % 16 or network.outputs != 16:
        return torch_reference.trunk(weights, features, slots, shape)
    raw = _by_slot(_network_module(network), weights, features.flatten(1), slots, network.outputs)
    return torch.cat([torch_reference.density(raw[:, :1], shape.density_bias), raw[:, 1:]], 1)


def _by_slot(module: Any, parameters: Tensor, inputs: Tensor, slots: Tensor, outputs: int) -> Tensor:
    if len(parameters) == 1:
        return _call(module, parameters[0], inputs)
    found = torch.zeros(len(inputs), outputs, device=inputs.device)
    for slot in range(len(parameters)):  # every slot for every row: nothing to wait for
        found = torch.where((slots == slot)[:, None], _call(module, parameters[slot], inputs), found)
    return found


def _call(module: Any, parameters: Tensor, inputs: Tensor) -> Tensor:
    function = importlib.import_module("tinycudann.modules")._module_function
    rows = -(-len(inputs) // BATCH) * BATCH
    padded = torch.nn.functional.pad(inputs.float(), (0, 0, 0, rows - len(inputs)))
    return function.apply(module.native_tcnn_module, padded.contiguous(), parameters.to(module.dtype).contiguous(),
                          LOSS_SCALE)[:len(inputs)].float()


@functools.cache
def _grid_module(grid: HashGrid) -> Any:
    growth = (grid.finest / grid.base) ** (1 / (grid.levels - 1))
    return importlib.import_module("tinycudann").Encoding(3, {
        "otype": "HashGrid", "n_levels": grid.levels, "n_features_per_level": grid.features,
        "log2_hashmap_size": grid.log2_size, "base_resolution": grid.base, "per_level_scale": growth})


@functools.cache
def _network_module(network: Network) -> Any:
    return importlib.import_module("tinycudann").Network(network.inputs, network.outputs, {
        "otype": "FullyFusedMLP", "activation": "ReLU", "output_activation": "None", "n_neurons": network.hidden,
        "n_hidden_layers": network.depth})
