"""Where few photos look, there is ground, and not a speck in the air before each of their cameras.

Two or three photos are explained by such specks as well as by what they show; it is the many that carve. On the town,
places that fewer than six photos see lay metres before the ground. So once the rest is known, what few photos see is
taken to be about as high as the nearest ground that many see: it begins anew in a layer there, and above and below the
layer nothing may be. What many see is left alone, and so is what stands on it: fewer see the top of a tower than its
foot. A tower at the rim of a flight is lost to that; it was never where it stood, either.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from scipy import ndimage
from torch import Tensor

from adaptive_nerf.data.ray_store import LoadedPhoto
from adaptive_nerf.engine import draws
from adaptive_nerf.engine.samples import BLOCK
from adaptive_nerf.models.occupancy import START, WORD, OccupancyGrids
from adaptive_nerf.pipelines.joint import Joint
from adaptive_nerf.pipelines.replay import surface_points

AFTER_STEPS = 768  # the ground that many see is known by then; earlier it is fog
MANY, TRUSTED = 6, 9  # photos
COLUMN_M, MOST_COLUMNS = 4.0, 64  # of the ground: their side, and how many along it at most
PLACES = 32_768  # that are looked at
FEWEST_PLACES, LOW = 6, 0.9  # in a column, for its height to be known: of its places all but a tenth are higher
HOUSE_M = 20.0  # what is narrower is no ground, and beside it there is some
TALLER = 3.0  # a tower may be, than what many see of it
STOREY_M, SLACK_M, SLOPE = 3.0, 1.0, 0.05  # above ground; above and below it; more by the distance from what is known
Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Indices = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Layer:
    """In which ground may be, and what stands on it, over columns of the ground; scene units, x is down."""

    low: Floats  # [3] corner of the first block of air; blocks are as wide as columns
    side: float
    top: Floats  # [rows, columns] x
    bottom: Floats  # [rows, columns]
    known: Flags  # [rows, columns] many photos have shown how high it is
    views: Indices  # [storeys, rows, columns] how many photos see a block, whatever stands before it

    def block(self, axis: int, places: Floats) -> Indices:
        """Numbers of blocks along an axis, the nearest there is."""
        return np.clip(((places - self.low[axis]) / self.side).astype(int), 0, self.views.shape[axis] - 1)


def leave_to_the_ground(joint: Joint, metres_per_unit: float) -> None:
    """From now on, for the places that few of the photos see; nothing changes where not enough is known."""
    pixels = draws.below(draws.stream(joint.seed, "few views"), torch.arange(PLACES), len(joint.pool))
    field = replace(joint.field, step=joint.sampling.step, parameters=joint.field.parameters.map(Tensor.detach))
    places = surface_points(field, joint.store, joint.pool.index_select(0, pixels).long())
    bounds = np.array(field.regions.bounds).reshape(2, 3)
    layer = layer_of(places[np.isfinite(places).all(1)], joint.store.photos, bounds, metres_per_unit)
    if layer is not None:
        joint.may = begin_anew(joint.field.grids, layer)


def views(places: Floats, photos: Sequence[LoadedPhoto]) -> Indices:
    """How many photos each place [n, 3] lies in, whatever stands before it. -> [n]"""
    found = np.zeros(len(places), np.int64)
    for camera in (photo.camera for photo in photos):
        at, depth = camera.project(places)
        found += (depth > 0) & (at >= 0).all(1) & (at[:, 0] < camera.width) & (at[:, 1] < camera.height)
    return found


def layer_of(places: Floats, photos: Sequence[LoadedPhoto], bounds: Floats, metres_per_unit: float) -> Layer | None:
    """From places [n, 3] on surfaces; None where not enough of them are seen by many. bounds [2, 3], scene units"""
    trusted = places[views(places, photos) >= TRUSTED]
    size, unit = bounds[1] - bounds[0], 1 / metres_per_unit
    side = max(COLUMN_M * unit, float(size[1:].max()) / MOST_COLUMNS)
    shape = np.maximum(1, np.ceil(size / side)).astype(int)
    lowest, highest = _depths(trusted, bounds[0], side, shape[1:])
    known = np.isfinite(lowest)
    if not known.any():
        return None
    around = 2 * round(HOUSE_M * unit / side / 2) + 1
    bottom = ndimage.maximum_filter(lowest, 2 * around + 1, mode="constant", cval=-np.inf)
    dug = ndimage.maximum_filter(lowest, around, mode="constant", cval=-np.inf)
    ground = ndimage.minimum_filter(np.where(np.isfinite(dug), dug, np.inf), around, mode="constant", cval=np.inf)
    height = np.subtract(ground, highest, out=np.zeros(known.shape), where=known)
    away, nearest = ndimage.distance_transform_edt(~known, return_indices=True)
    spread = SLACK_M * unit + SLOPE * side * away
    middles = (bounds[0, axis] + (np.arange(shape[axis]) + 0.5) * side for axis in range(3))
    blocks = np.stack(np.meshgrid(*middles, indexing="ij"), -1).reshape(-1, 3)
    top = ground[tuple(nearest)] - STOREY_M * unit - spread - TALLER * ndimage.maximum_filter(height, 3) * known
    return Layer(bounds[0], side, top, bottom[tuple(nearest)] + spread, known, views(blocks, photos).reshape(shape))


def _depths(places: Floats, low: Floats, side: float, shape: Indices) -> tuple[Floats, Floats]:
    """How low and how high each column reaches; -inf and inf where too few places tell. -> [rows, columns] x each"""
    row, column = np.clip(((places[:, 1:] - low[1:]) / side).astype(int), 0, shape - 1).T
    of = row * shape[1] + column
    order = np.lexsort((places[:, 0], of))
    told, first, counts = np.unique(of[order], return_index=True, return_counts=True)
    enough = counts >= FEWEST_PLACES
    lowest, highest = np.full(shape, -np.inf), np.full(shape, np.inf)
    for found, share in ((lowest, LOW), (highest, 1 - LOW)):
        found.flat[told[enough]] = places[order[first + (share * (counts - 1)).astype(int)], 0][enough]
    return lowest, highest


def begin_anew(grids: OccupancyGrids, layer: Layer) -> Tensor:
    """Sets the cells that few see, word by word: as at the start within the layer, where its height was only inferred;
    empty outside of it. -> [n_words] the bits that may be set from now on"""
    anew, closed = (torch.from_numpy(flags).to(grids.maxima.device) for flags in _words(grids, layer))
    maxima = grids.maxima.view(-1, WORD)
    maxima[anew] = round(START * 255)
    maxima[closed] = 0
    may = torch.where(closed, 0, -1)
    grids.rebuild(1.0, may=may)
    return may


def _words(grids: OccupancyGrids, layer: Layer) -> tuple[Flags, Flags]:
    """Which words of cells begin anew, and which are closed. -> [n_words] each"""
    length = grids.occupancy.cell * BLOCK
    anew, closed = [], []
    for box, blocks in zip(grids.regions.boxes, grids.occupancy.blocks, strict=True):
        x, y, z = (box[axis] + (np.arange(blocks[axis]) + 0.5) * length for axis in range(3))
        row, column = layer.block(1, y)[:, None], layer.block(2, z)[None]
        seen = layer.views[layer.block(0, x)[:, None, None], row, column]
        down, at = x[:, None, None], (row, column)
        within = (down > layer.top[at] - length / 2) & (down < layer.bottom[at] + length / 2)
        anew.append((within & (seen > 0) & (seen < MANY) & ~layer.known[at]).ravel())
        closed.append((~within & (seen < MANY)).ravel())
    return np.concatenate(anew), np.concatenate(closed)
