"""Where few photos look, there is ground, and not a speck in the air before each of their cameras.

Two or three photos are explained by such specks as well as by what they show; it is the many that carve. On the town,
places that fewer than six photos see lay metres before the ground. So once the rest is known, what few photos see is
taken to be about as high as the nearest ground that many see: it begins anew in a layer there, and above and below the
layer nothing may be. What many see is left alone; over ground that many see the layer is as high as what stands there,
for fewer see the top of a tower than its foot. A tower at the rim of a flight is lost to that; it was never where it
stood, either. Far above all that stands nothing may be, however many look: near their cameras, photos are explained by
haze as well. A training that goes on from a model leaves what that shows, and lets nothing more grow there.
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

AFTER_STEPS, LATEST = 768, 0.5  # the ground that many see is known by then; and at which share of a run at the latest
MANY, TRUSTED = 6, 9  # photos
REACH = 4.0  # of a photo, in flying heights: what is farther it hardly tells apart
COLUMN_M, MOST_COLUMNS = 4.0, 64  # of the ground: their side, and how many along it at most
PLACES = 65_536  # that are looked at
FEWEST_PLACES, LOW = 6, 0.9  # in a column, for its height to be known: of its places all but a tenth are higher
FEWEST_NEAR = 3  # known columns of nine: a single one may be a speck
KNOWN_SHARE = 0.3  # of the columns whose ground many see; where fewer are known, nothing is inferred
HOUSE_M, BESIDE_M = 20.0, 40.0  # wide, and half as high; so near any place there is ground
TALLER, LEFT_TALLER = 1.5, 3.0  # times as high as many see it, a tower may be; and in a model that was there before
SKY_M, SKY_TIMES = 20.0, 2.0  # at least above ground, and times as high as whatever stands highest anywhere
STOREY_M, SLACK_M = 3.0, 1.0  # above ground; above and below it
SLOPE, STEEP = 0.05, 75  # at least, by the distance from what is known; percentile of the known ground's own slopes
Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Indices = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Layer:
    """In which ground may be, and what stands on it, over columns of the ground; scene units, x is down."""

    low: Floats  # [3] corner of the first block of air; blocks are as wide as columns
    side: float
    top: Floats  # [rows, columns] x
    sky: Floats  # [rows, columns] x, above which nothing is, however many look
    bottom: Floats  # [rows, columns]
    inferred: Flags  # [rows, columns] few photos see even the ground
    views: Indices  # [storeys, rows, columns] how many photos see the middle of a block, whatever stands before it

    def block(self, axis: int, places: Floats) -> Indices:
        """Numbers of blocks along an axis, the nearest there is."""
        return np.clip(((places - self.low[axis]) / self.side).astype(int), 0, self.views.shape[axis] - 1)


def leave_to_the_ground(joint: Joint, metres_per_unit: float, chunk_points: int, goes_on: bool = False) -> None:
    """From now on, for the places that few of the photos see; nothing is closed where not enough is known. `goes_on`:
    from a model that was there before."""
    pixels = draws.below(draws.stream(joint.seed, "few views"), torch.arange(PLACES), len(joint.pool))
    field = replace(joint.field, step=joint.sampling.step, parameters=joint.field.parameters.map(Tensor.detach))
    places = surface_points(field, joint.store, joint.pool.index_select(0, pixels).long(), chunk_points, joint.near)
    sight = Sight(joint.store.photos, REACH * joint.full_from * metres_per_unit)
    layer = layer_of(places[np.isfinite(places).all(1)], sight, np.array(field.regions.bounds).reshape(2, 3),
                     metres_per_unit, LEFT_TALLER if goes_on else TALLER)
    grids = joint.field.grids
    if layer is None:
        joint.may = torch.full_like(grids.occupancy.words, -1)
    else:
        joint.may = nothing_more(grids, layer) if goes_on else begin_anew(grids, layer)


@dataclass(frozen=True)
class Sight:
    photos: Sequence[LoadedPhoto]
    reach_m: float

    def views(self, places: Floats) -> Indices:
        """How many photos each place [n, 3] lies in, whatever stands before it. -> [n]"""
        found = np.zeros(len(places), np.int64)
        for camera in (photo.camera for photo in self.photos):
            at, depth_m = camera.project(places)
            inside = (at >= 0).all(1) & (at[:, 0] < camera.width) & (at[:, 1] < camera.height)
            found += inside & (depth_m > 0) & (depth_m < self.reach_m)
        return found


def layer_of(places: Floats, sight: Sight, bounds: Floats, metres_per_unit: float,
             taller: float = TALLER) -> Layer | None:
    """From places [n, 3] on surfaces; None where too little is known. bounds [2, 3], scene units"""
    size, unit = bounds[1] - bounds[0], 1 / metres_per_unit
    side = max(COLUMN_M * unit, float(size[1:].max()) / MOST_COLUMNS)
    shape = np.maximum(1, np.ceil(size / side)).astype(int)
    lowest, highest = _depths(places[sight.views(places) >= TRUSTED], bounds[0], side, shape[1:])
    known = np.isfinite(lowest)
    known &= ndimage.convolve(known.astype(int), np.ones((3, 3)), mode="constant") >= FEWEST_NEAR
    if not known.any():
        return None
    lowest, highest = np.where(known, lowest, -np.inf), np.where(known, highest, np.inf)
    bottom = ndimage.maximum_filter(lowest, round(2 * BESIDE_M * unit / side) | 1, mode="constant", cval=-np.inf)
    ground = _opened(lowest, round(HOUSE_M * unit / side) | 1)
    height = np.subtract(ground, highest, out=np.zeros(known.shape), where=known)
    away, nearest = ndimage.distance_transform_edt(~known, return_indices=True)
    spread = SLACK_M * unit + _slope(ground / side, known) * side * away
    ground, bottom = ground[tuple(nearest)], bottom[tuple(nearest)]
    middles = [bounds[0, axis] + (np.arange(shape[axis]) + 0.5) * side for axis in range(3)]
    blocks = np.stack(np.meshgrid(*middles, indexing="ij"), -1).reshape(-1, 3)
    columns = np.stack([ground, *np.meshgrid(*middles[1:], indexing="ij")], -1).reshape(-1, 3)
    many = (sight.views(columns) >= MANY).reshape(known.shape)
    if (known & many).sum() < KNOWN_SHARE * many.sum():
        return None
    stands = np.where(known, STOREY_M * unit + taller * ndimage.maximum_filter(height, 3),
                      np.where(many, HOUSE_M / 2, STOREY_M) * unit)
    sky = max(SKY_M * unit, SKY_TIMES * float(height.max()))
    return Layer(bounds[0], side, ground - spread - stands, ground - spread - sky, bottom + spread, ~known & ~many,
                 sight.views(blocks).reshape(shape))


def _opened(lowest: Floats, width: int) -> Floats:
    """Without what stands on it and is narrower; a slope stays. [rows, columns] x, -inf where it is not known"""
    dug = ndimage.maximum_filter(lowest, width, mode="constant", cval=-np.inf)
    return ndimage.minimum_filter(np.where(np.isfinite(dug), dug, np.inf), width, mode="constant", cval=np.inf)


def _slope(ground: Floats, known: Flags) -> float:
    """How steep to go on; [rows, columns], as high as columns are wide."""
    rises = [np.abs(np.diff(np.where(known, ground, np.nan), axis=axis)).ravel() for axis in (0, 1)]
    found = np.concatenate(rises)
    found = found[np.isfinite(found)]
    return max(SLOPE, float(np.percentile(found, STEEP))) if len(found) else SLOPE


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


def nothing_more(grids: OccupancyGrids, layer: Layer) -> Tensor:
    """Of the cells that few see outside the layer, those that are set now may stay so. -> [n_words] bits"""
    closed = torch.from_numpy(_words(grids, layer)[1]).to(grids.maxima.device)
    return torch.where(closed, grids.occupancy.words, -1)


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
        few = seen < MANY
        anew.append((few & within & (seen > 0) & layer.inferred[at]).ravel())
        closed.append((few & ~within | (down < layer.sky[at] - length / 2)).ravel())
    return np.concatenate(anew), np.concatenate(closed)
