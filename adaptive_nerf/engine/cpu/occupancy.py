"""What samples tell of their cells, and the bits that follow from it, by the library."""

import ctypes
from collections.abc import Collection

import torch
from torch import Tensor

from adaptive_nerf.engine.cpu import checks, pool
from adaptive_nerf.engine.cpu.buffers import by_axis
from adaptive_nerf.engine.cpu.library import ObserveArgs, RebuildArgs, Region, groups_of_numbers, library
from adaptive_nerf.engine.cpu.marching import places_of
from adaptive_nerf.engine.reference_occupancy import WORD
from adaptive_nerf.engine.samples import Occupancy, Regions, Samples


def observe(maxima: Tensor, samples: Samples, relative: Tensor, regions: Regions, occupancy: Occupancy,
            least: float) -> None:
    count = checks.rows_in_use(samples, min(len(relative), len(samples.slots), len(samples.local)))
    checks.plain("maxima", maxima, torch.uint8, (occupancy.first_words[-1] * WORD,))
    checks.plain("samples.slots", samples.slots, torch.int32)
    checks.plain("relative", relative, torch.float32)
    local, stride = by_axis(samples.local)
    places = places_of(regions, occupancy.blocks)
    args = ObserveArgs(n=count, local=local.data_ptr(), local_stride=stride, slots=samples.slots.data_ptr(),
                       relative=relative.data_ptr(), regions=ctypes.addressof(places), n_regions=len(places),
                       cell=occupancy.cell, least=least, maxima=maxima.data_ptr())
    pool.run(library().observe, args, groups_of_numbers(count))


def rebuild(maxima: Tensor, regions: Regions, occupancy: Occupancy, above: tuple[float, float], floor: Tensor | None,
            slots: Collection[int]) -> None:
    n_words, (threshold, decay) = occupancy.first_words[-1], above
    checks.plain("maxima", maxima, torch.uint8, (n_words * WORD,))
    checks.plain("occupancy.words", occupancy.words, torch.int64, (n_words,))
    if floor is not None:
        checks.plain("floor", floor, torch.int64, (n_words,))
    everywhere = places_of(regions, occupancy.blocks)
    places = (Region * len(slots))(*[everywhere[slot] for slot in slots])
    found = torch.empty(n_words, dtype=torch.int64)
    args = RebuildArgs(regions=ctypes.addressof(places), n_regions=len(places), decay=decay, least=int(threshold * 255),
                       maxima=maxima.data_ptr(), found=found.data_ptr(), words=occupancy.words.data_ptr(),
                       floor=None if floor is None else floor.data_ptr())
    for work in (library().fade, library().grow):
        args.next = 0
        pool.run(work, args, sum(place.blocks[0] for place in places))
