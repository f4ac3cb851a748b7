"""Which pixels of a photo train which expert, solved per ray instead of marched sample by sample.

Expert c takes the point x where |x-c|^2 <= m^2 |x-c'|^2 for every other centroid c'. Along a ray x = o + t d this is
a quadratic in t, so c' takes one open interval of the samples away from c. What is left of the samples after all
those intervals tells the mask, the count and (coordinates being linear in t) the box. routing_reference.py is the
same by brute force. Everything is float64 and elementwise, so results do not depend on how pixels are tiled.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from adaptive_nerf.geometry.boxes import Box, slab_interval
from adaptive_nerf.geometry.cameras import Camera
from adaptive_nerf.geometry.types import AnyArray, Array, BoolArray

SAFETY = 1e-9  # of the scene's size squared: far above rounding, so that pruning never changes a result
DEFAULT_CHUNK_PIXELS = 16384


@dataclass(frozen=True)
class Routing:
    """What decides for all photos of a partition alike. Lengths are scene units."""

    centroids: Array  # [K, 3]
    margin: float
    cluster_2d: bool
    box: Box
    ray_samples: int
    center_pixels: bool = True  # rays through pixel centres, else through their upper left corners
    near: float | None = None
    far: float | None = None

    @property
    def axes(self) -> tuple[int, ...]:
        """The coordinates that distances are measured in."""
        return (1, 2) if self.cluster_2d else (0, 1, 2)


@dataclass(frozen=True)
class RoutedPhoto:
    masks: BoolArray  # [K, height, width]
    counts: AnyArray  # [K] int64: samples routed to each expert
    mins: Array  # [K, 3] over those samples; +inf where there are none
    maxs: Array  # [K, 3]


@dataclass(frozen=True)
class Bundle:
    """Rays from one point. Directions are not unit length: t is depth along the optical axis."""

    origin: Array  # [3]
    directions: Array  # [3, h, w]
    near: Array  # [h, w]
    far: Array  # [h, w]
    valid: BoolArray  # [h, w]; near and far mean nothing elsewhere

    def extent(self, first: AnyArray, last: AnyArray, of: BoolArray) -> tuple[Array, Array]:
        """Least and greatest coordinates of the points at t = first and last, of some rays. [3], [3]"""
        if not of.any():
            return np.full(3, np.inf), np.full(3, -np.inf)
        ends = [[self.origin[axis] + self.directions[axis][of] * t[of] for t in (first, last)] for axis in range(3)]
        return (np.array([min(start.min(), stop.min()) for start, stop in ends]),
                np.array([max(start.max(), stop.max()) for start, stop in ends]))


def route_photo(camera: Camera, routing: Routing, allowed: BoolArray | None = None,
                chunk_pixels: int = DEFAULT_CHUNK_PIXELS) -> RoutedPhoto:
    """Masks and statistics of a photo; pixels that are not `allowed` [height, width] belong to nobody."""
    n_experts = len(routing.centroids)
    masks = np.zeros((n_experts, camera.height, camera.width), bool)
    counts = np.zeros(n_experts, np.int64)
    mins, maxs = np.full((n_experts, 3), np.inf), np.full((n_experts, 3), -np.inf)
    for rows, columns in tiles(camera.width, camera.height, chunk_pixels):
        bundle = _bundle(camera, routing, rows, columns, None if allowed is None else allowed[rows, columns])
        if not bundle.valid.any():
            continue
        low, high = bundle.extent(bundle.near, bundle.far, bundle.valid)
        for expert, rivals in _contested(routing, low, high):
            if rivals:
                count, first, last = _samples_left(bundle, routing, expert, rivals)
                mask = (count > 0) & bundle.valid
                counts[expert] += count[mask].sum(dtype=np.int64)
                if (low >= mins[expert]).all() and (high <= maxs[expert]).all():
                    part = (low, high)  # nothing here can stretch the box
                else:
                    part = bundle.extent(first, last, mask)
            else:
                mask, part = bundle.valid, (low, high)
                counts[expert] += routing.ray_samples * np.count_nonzero(mask)
            masks[expert, rows, columns] = mask
            mins[expert], maxs[expert] = np.minimum(mins[expert], part[0]), np.maximum(maxs[expert], part[1])
    return RoutedPhoto(masks, counts, mins, maxs)


def tiles(width: int, height: int, chunk_pixels: int) -> Iterator[tuple[slice, slice]]:
    """Rows and columns of nearly square tiles of at most so many pixels: neighbours have the same rivals."""
    across = min(width, max(1, int(np.sqrt(chunk_pixels))))
    down = max(1, chunk_pixels // across)
    for top in range(0, height, down):
        for left in range(0, width, across):
            yield slice(top, min(top + down, height)), slice(left, min(left + across, width))


def _bundle(camera: Camera, routing: Routing, rows: slice, columns: slice, allowed: BoolArray | None) -> Bundle:
    offset = 0.5 if routing.center_pixels else 0.0
    right = (np.arange(columns.start, columns.stop) + offset - camera.cx) / camera.fx  # [w]
    up = -(np.arange(rows.start, rows.stop) + offset - camera.cy) / camera.fy  # [h]
    rotation, origin = camera.c2w[:, :3], camera.c2w[:, 3]
    directions = np.stack([rotation[axis, 0] * right + (rotation[axis, 1] * up - rotation[axis, 2])[:, None]
                           for axis in range(3)])  # [3, h, w]
    flat = directions.reshape(3, -1).T  # [n, 3]
    near, far, valid = slab_interval(origin[None], flat, routing.box)
    if routing.near is not None or routing.far is not None:
        length = np.sqrt(flat[:, 0] ** 2 + flat[:, 1] ** 2 + flat[:, 2] ** 2)
        near = np.maximum(near, (routing.near or 0.0) / length)
        far = far if routing.far is None else np.minimum(far, routing.far / length)
        valid = valid & (far > near)
    shape = directions.shape[1:]
    valid = valid.reshape(shape) if allowed is None else valid.reshape(shape) & allowed
    return Bundle(origin, directions, near.reshape(shape), far.reshape(shape), valid)


def _contested(routing: Routing, low: Array, high: Array) -> Iterator[tuple[int, list[int]]]:
    """The experts that a box of points may reach, each with the rivals that may take some of those points from it."""
    size = routing.box.high - routing.box.low
    unsure = SAFETY * float(size @ size) * routing.margin**2
    least, greatest = _excess_bounds(routing, low, high)
    np.fill_diagonal(least, -np.inf)
    np.fill_diagonal(greatest, -np.inf)
    for expert in np.flatnonzero((least <= unsure).all(axis=1)):
        yield int(expert), np.flatnonzero(greatest[expert] >= -unsure).tolist()


def _excess_bounds(routing: Routing, low: Array, high: Array) -> tuple[Array, Array]:
    """Bounds of |x-c|^2 - m^2 |x-c'|^2 over a box, [K, K] each: it is a sum of one concave parabola per axis."""
    axes, m2 = list(routing.axes), routing.margin**2
    own, rival = routing.centroids[:, None, axes], routing.centroids[None, :, axes]  # [K, 1, A], [1, K, A]
    top = (m2 * rival - own) / (m2 - 1) if m2 > 1 else low[axes] + 0 * (rival - own)
    stations = np.stack([np.broadcast_to(low[axes], top.shape), np.broadcast_to(high[axes], top.shape),
                         np.clip(top, low[axes], high[axes])])  # a parabola's extremes are at one of these
    excess = (stations - own) ** 2 - m2 * (stations - rival) ** 2
    return excess[:2].min(axis=0).sum(axis=-1), excess.max(axis=0).sum(axis=-1)


def _samples_left(bundle: Bundle, routing: Routing, expert: int, rivals: list[int]) -> tuple[AnyArray, Array, Array]:
    """How many samples [h, w] stay with the expert, and t of the first and the last of them [h, w] (if any)."""
    n = routing.ray_samples
    span = np.where(bundle.valid, bundle.far - bundle.near, 1.0)
    per_t = (n - 1) / np.maximum(span, 1e-30)
    speed2 = sum(bundle.directions[axis] ** 2 for axis in routing.axes)
    taken = [_taken_by(rival, bundle, routing, expert, per_t, speed2) for rival in rivals]
    count, first, last = _sweep(_sorted(taken), n)
    # The last sample of all lies at far itself, to the last bit, as it does where there are no rivals.
    end = np.where(last == n - 1, bundle.far, np.minimum(bundle.near + last / per_t, bundle.far))
    return count, bundle.near + first / per_t, end


def _taken_by(rival: int, bundle: Bundle, routing: Routing, expert: int, per_t: Array, speed2: Array) -> AnyArray:
    """The samples a rival takes from the expert: [h, w] of start * 65536 + end (exclusive), in sample numbers."""
    axes, m2 = list(routing.axes), routing.margin**2
    here, there = (bundle.origin[axes] - routing.centroids[which][axes] for which in (expert, rival))
    constant = float(here @ here - m2 * (there @ there))
    slope = sum(factor * bundle.directions[axis] for factor, axis in zip(2 * (here - m2 * there), axes, strict=True))
    curve = -((m2 - 1) * speed2)  # never positive, and -0.0 where m = 1: the far root is then at the right infinity
    discriminant = slope * slope - (4 * constant) * curve
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        q = np.sqrt(discriminant)
        np.copysign(q, slope, out=q)
        q += slope
        q *= -0.5
        roots = np.divide(q, curve, out=curve), np.divide(constant, q, out=q)
        enter, leave = np.minimum(*roots, out=slope), np.maximum(*roots, out=curve)
    rooted = discriminant > 0
    if not rooted.all():  # the sign is that of the constant all along the ray
        enter[~rooted], leave[~rooted] = (-np.inf, np.inf) if constant > 0 else (np.inf, np.inf)
    start = _sample_numbers(enter, bundle.near, per_t, np.floor, -1, routing.ray_samples - 1)
    end = _sample_numbers(leave, bundle.near, per_t, np.ceil, 0, routing.ray_samples)
    start += 1
    return start << 16 | np.maximum(start, end)


def _sample_numbers(t: Array, near: Array, per_t: Array, rounding: np.ufunc, least: int,
                    greatest: int) -> AnyArray:
    """t, which is overwritten, as whole sample numbers within bounds. [h, w] int32"""
    t -= near
    t *= per_t
    rounding(t, out=t)
    np.minimum(t, greatest, out=t)
    np.maximum(t, least, out=t)
    return t.astype(np.int32)


def _sorted(keys: list[AnyArray]) -> list[AnyArray]:
    """Each ray's intervals by their start: an exchange sort over whole arrays, for there are few of them."""
    keys = list(keys)
    for end in range(len(keys) - 1, 0, -1):
        for place in range(end):
            keys[place], keys[place + 1] = (np.minimum(keys[place], keys[place + 1]),
                                            np.maximum(keys[place], keys[place + 1]))
    return keys


def _sweep(keys: list[AnyArray], n: int) -> tuple[AnyArray, AnyArray, AnyArray]:
    """The samples 0..n-1 outside all intervals, sorted by start: how many, the first, the last. [h, w] each"""
    reach = np.zeros_like(keys[0])  # everything below is accounted for
    count, first, last = np.zeros_like(reach), np.full_like(reach, n), np.full_like(reach, -1)
    for key in [*keys, np.full_like(reach, n << 16 | n)]:
        start = key >> 16
        gap = start - reach
        free = gap > 0
        count += np.maximum(gap, 0)
        np.minimum(first, reach, out=first, where=free)
        np.copyto(last, start - 1, where=free)
        np.maximum(reach, key & 0xFFFF, out=reach)
    return count, first, last
