"""The engine of this process: `auto`, or what ADAPTIVE_NERF_ENGINE says (torch, cpu, triton, tcnn).

Every engine is the same functions, with the same meaning; torch_reference says what each of them does.
"""

import functools
import importlib.util
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from adaptive_nerf.common.errors import BadUsage
from adaptive_nerf.engine import (
    directions,
    optimise,
    reference_march,
    reference_occupancy,
    reference_surfaces,
    torch_reference,
)
from adaptive_nerf.engine.cpu import blending, compositing, fields, marching, occupancy
from adaptive_nerf.engine.cpu import operations as cpu
from adaptive_nerf.engine.cpu.build import Unavailable
from adaptive_nerf.engine.cpu.library import library
from adaptive_nerf.engine.hash_grid import HashGrid
from adaptive_nerf.engine.locks import ForkedLock
from adaptive_nerf.engine.network import Trunk
from adaptive_nerf.engine.precision import half
from adaptive_nerf.engine.samples import Composited, Samples
from adaptive_nerf.engine.table_gradients import TableGradients

log = logging.getLogger(__name__)
CHOICES = ("auto", "torch", "cpu", "triton", "tcnn")
NOT_INSTALLED = "tinycudann is not installed"
_choosing = ForkedLock()


@dataclass(frozen=True)
class Engine:
    name: str
    encode: Callable = torch_reference.encode
    trunk: Callable = torch_reference.trunk
    colour: Callable = torch_reference.colour
    field: Callable = torch_reference.field
    march: Callable = reference_march.march
    composite: Callable = torch_reference.composite
    spherical_harmonics: Callable = directions.spherical_harmonics
    scatter: Callable = optimise.scatter
    adam_lazy: Callable = optimise.adam_lazy
    descend: Callable = optimise.descend
    adam_tables: Callable = optimise.adam_tables
    adam_dense: Callable = optimise.adam_dense
    surfaces: Callable = reference_surfaces.surfaces
    observe: Callable = reference_occupancy.observe
    rebuild: Callable = reference_occupancy.rebuild
    blend_in_one: Callable | None = None

    def blend(self, tables: Tensor, weights: Tensor, samples: Samples, shapes: tuple[HashGrid, Trunk],
              sink: TableGradients | None = None, full_from: float = 0.0) -> Composited:
        """encode, trunk and composite, at once where that saves memory; for samples whose places get no gradient.

        Then the backward can be run once only.
        """
        if self.blend_in_one is not None:
            return self.blend_in_one(tables, weights, samples, shapes, sink, full_from)
        features = self.encode(tables, samples.local, samples.slots, shapes[0], sink)
        return self.composite(self.trunk(weights, features, samples.slots, shapes[1]), samples, full_from=full_from)


TORCH = Engine("torch")
CPU = Engine("cpu", cpu.encode, fields.trunk, fields.colour, fields.field, marching.march, compositing.composite,
             cpu.spherical_harmonics, cpu.scatter, cpu.adam_lazy, cpu.descend, cpu.adam_tables, cpu.adam_dense,
             compositing.surfaces, occupancy.observe, occupancy.rebuild, blending.blend)
CPU_HALF = replace(CPU, name="cpu, halves", encode=partial(cpu.encode, half=True),
                   trunk=partial(fields.trunk, half=True), colour=partial(fields.colour, half=True),
                   field=partial(fields.field, half=True), blend_in_one=partial(blending.blend, half=True))


def engine(device: torch.device | str = "cpu") -> Engine:
    """The engine for tensors on this device; in halves where they are wished for and gain (precision.py)."""
    choice = os.environ.get("ADAPTIVE_NERF_ENGINE", "auto")
    if choice not in CHOICES:
        raise BadUsage(f"ADAPTIVE_NERF_ENGINE is '{choice}'; choose one of {', '.join(CHOICES)}")
    with _choosing:  # so that a warning is said once, whoever asks first
        found = _engine(torch.device(device).type, choice)
    return CPU_HALF if found is CPU and half() and library().has_halves() else found


def device_for(wants_gpu: bool) -> torch.device:
    """The GPU where one is wanted, is there, and is worth it: plain torch on it is slower than our kernels on a CPU."""
    if not wants_gpu or not torch.cuda.is_available():
        return torch.device("cpu")
    chosen = os.environ.get("ADAPTIVE_NERF_ENGINE", "auto") != "auto"
    return torch.device("cuda" if chosen or engine("cuda") is not TORCH or engine("cpu") is TORCH else "cpu")


@functools.cache
def _engine(device: str, choice: str) -> Engine:
    if choice == "cpu" and device != "cpu":
        raise BadUsage(f"ADAPTIVE_NERF_ENGINE=cpu, but the tensors are on {device}; choose torch, or auto")
    if choice in ("triton", "tcnn") or (choice == "auto" and device == "cuda"):
        return _on_cuda(device, choice)
    if choice == "torch" or device != "cpu":
        return TORCH
    try:
        library()
    except Unavailable as error:
        if choice == "cpu":
            raise
        log.warning("%s; plain torch serves, with the same results and many times slower", error)
        return TORCH
    return CPU


def _on_cuda(device: str, choice: str) -> Engine:
    if device != "cuda":
        raise BadUsage(f"ADAPTIVE_NERF_ENGINE={choice} needs CUDA tensors, but these are on {device}; choose auto")
    if choice == "triton":
        return _required(kernels_in_triton(), choice)
    if choice == "tcnn":
        return _required(tiny_cuda_nn(), choice)
    serves, why_no_tcnn = tiny_cuda_nn()
    if serves:
        return serves
    serves, why_no_kernels = kernels_in_triton()
    lacking = [why for why in (why_no_tcnn, why_no_kernels) if why not in ("", NOT_INSTALLED)]
    if lacking:
        instead = "our own kernels serve" if serves else "plain torch is all that is left on the GPU, many times slower"
        log.warning("%s; %s", "; ".join(lacking), instead)
    return serves or TORCH


def _required(found: tuple[Engine | None, str], choice: str) -> Engine:
    serves, why_not = found
    if serves is None:
        raise BadUsage(f"ADAPTIVE_NERF_ENGINE={choice} cannot serve: {why_not}; choose auto")
    return serves


@functools.cache
def kernels_in_triton() -> tuple[Engine | None, str]:
    """The engine, or why there is none: Triton comes with torch, but needs a GPU that it knows, and a C compiler."""
    try:
        why_not = importlib.import_module("adaptive_nerf.engine.gpu.trial").why_not()
    except ImportError as error:
        why_not = f"Triton cannot be imported ({error})"
    if why_not:
        return None, why_not
    names = ("encoding", "networks", "marching", "compositing", "adam", "directions")
    encoding, networks, marching, compositing, adam, harmonics = (
        importlib.import_module(f"adaptive_nerf.engine.gpu.{name}") for name in names)
    return replace(TORCH, name="triton", encode=encoding.encode, trunk=networks.trunk, colour=networks.colour,
                   field=networks.field, march=marching.march, composite=compositing.composite,
                   scatter=encoding.scatter, adam_lazy=adam.adam_lazy, descend=adam.descend,
                   adam_tables=adam.adam_tables, adam_dense=adam.adam_dense,
                   spherical_harmonics=harmonics.spherical_harmonics), ""


@functools.cache
def tiny_cuda_nn() -> tuple[Engine | None, str]:
    """The engine, or why there is none: a package that was built for another torch is there, and cannot be imported."""
    if importlib.util.find_spec("tinycudann") is None:
        return None, NOT_INSTALLED
    try:
        importlib.import_module("tinycudann")
    except (ImportError, OSError, RuntimeError) as error:
        return None, f"tinycudann cannot be imported ({error})"
    module = importlib.import_module("adaptive_nerf.engine.tiny_cuda_nn")
    return replace(kernels_in_triton()[0] or TORCH, name="tcnn", encode=module.encode, trunk=module.trunk), ""
