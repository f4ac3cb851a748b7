"""Where new photos contradict a model: there, room is made for what it does not know yet.

Training has emptied every cell in which nothing was seen: also the inside of a house that has now collapsed, and the
air where rubble lies today. Samples are taken in cells with a bit alone: without this nothing new could appear there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from adaptive_nerf.data.ray_store import LoadedPhoto, Mask
from adaptive_nerf.engine.reference_march import routed
from adaptive_nerf.geometry.boxes import Box, slab_interval
from adaptive_nerf.geometry.rays import camera_rays
from adaptive_nerf.models.mixture import Mixture
from adaptive_nerf.models.occupancy import OccupancyGrids
from adaptive_nerf.rendering.types import Frame, Output, Quality, never_cancelled

OUTPUTS = frozenset({Output.RGB, Output.DEPTH})
LARGEST_KNOWN_ERROR = 0.1  # of a colour from 0 to 1, after the exposure is fitted: more is news
MOST_BY_EXPOSURE = 0.25  # a larger difference than that is no exposure's doing
FEWEST_PIXELS, FLAT = 50, 0.05
LEAST_LIKENESS = 0.5  # correlation: below, the model does not know the place
REACH_M = 12.0  # before and behind the surface: a storey or three
START = 0.45  # of the cells that are opened; without use they close again after some rebuilds
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class FirstLook:
    """The model's own picture of what a new photo shows, small."""

    photo: LoadedPhoto
    frame: Frame
    exposure: tuple[Floats, Floats]  # scale and offset per channel that turn the model's colours into the photo's
    errors: npt.NDArray[np.float32]  # [h, w] largest of a channel after that; 0 where there is no picture
    news: Mask | None = None  # [h, w] of the frame: where the photo shows what the model does not know; None: anywhere

    @classmethod
    def of(cls, photo: LoadedPhoto, frame: Frame) -> FirstLook:
        fitted = _exposure(photo, frame)
        return cls(photo, frame, fitted, _errors(photo, frame, fitted))


def tell_nobody(done: int, of: int) -> None:
    pass


def first_looks(mixture: Mixture, photos: Sequence[LoadedPhoto],
                stopped: Callable[[], bool] = never_cancelled, looked: Callable[[int, int], None] = tell_nobody,
                ) -> list[FirstLook]:
    """`looked`: told how many of how many photos were looked at."""
    looks = []
    for photo in photos:
        looks.append(FirstLook.of(photo, mixture.render(photo.camera, OUTPUTS, Quality.DRAFT, stopped)))
        looked(len(looks), len(photos))
    return looks


def open_cells(grids: OccupancyGrids, looks: Sequence[FirstLook], metres_per_unit: float) -> int:
    """Set the bits around what the photos contradict, photo by photo: the places of a whole flight would fill the
    memory. Returns how many rays that were."""
    rays = sum(_raise_around(grids, look, metres_per_unit) for look in looks)
    if rays:
        grids.rebuild(1.0, grids.occupancy.words.clone())
    return rays


def _raise_around(grids: OccupancyGrids, look: FirstLook, metres_per_unit: float) -> int:
    """The maxima of cells around what one photo contradicts; how many rays that were."""
    box = Box(np.array(grids.regions.bounds[:3]), np.array(grids.regions.bounds[3:]))
    places, rays = _surprising_places(look, box, grids.occupancy.cell, metres_per_unit)
    if len(places):
        _raise(grids, torch.from_numpy(places).to(grids.maxima.device))
    return rays


def _surprising_places(look: FirstLook, box: Box, cell: float, metres_per_unit: float) -> tuple[Floats, int]:
    """Points on the rays of contradicted pixels, a cell apart. -> [n, 3], the number of rays"""
    frame, camera = look.frame, look.frame.camera
    rays = camera_rays(camera)
    wrong = look.errors.ravel() > LARGEST_KNOWN_ERROR
    near, far, hits = slab_interval(rays.origins, rays.directions, box)
    depth_m = frame.depth_m.ravel() if frame.depth_m is not None else np.full(len(rays), np.nan)
    surface = np.where(np.isfinite(depth_m), depth_m / metres_per_unit / rays.forward, far)  # nothing: the far wall
    wrong &= hits
    reach = REACH_M / metres_per_unit
    steps = np.arange(-reach, reach + cell, cell)
    t = surface[wrong, None] + steps
    inside = (t > near[wrong, None]) & (t < far[wrong, None])
    points = rays.origins[wrong, None] + t[..., None] * rays.directions[wrong, None]
    return points[inside], int(wrong.sum())


def _errors(photo: LoadedPhoto, frame: Frame, exposure: tuple[Floats, Floats]) -> npt.NDArray[np.float32]:
    scale, offset = exposure
    real = _means(photo.colours, frame.camera.height, frame.camera.width)
    error = np.abs(np.asarray(frame.rgb) * scale + offset - real).max(-1)
    return np.where(photo.valid[middle_pixels(photo, frame)], error, 0).astype(np.float32)


def _exposure(photo: LoadedPhoto, frame: Frame) -> tuple[Floats, Floats]:
    """Fitted twice, the second time without what is news. [3], [3]

    The line between both spreads: least squares would take every difference for a want of contrast in the photo, and
    so would means over areas, for the model's pixels are points. The model would then be taught too much contrast.
    """
    seen, middles = np.asarray(frame.rgb), middle_pixels(photo, frame)
    real, valid = photo.colours[middles], photo.valid[middles]
    scale, offset = np.ones(3), np.zeros(3)
    for _ in range(2):
        usual = valid & (np.abs(seen * scale + offset - real).max(-1) <= MOST_BY_EXPOSURE)
        for channel in range(3):
            own, theirs = seen[..., channel][usual], real[..., channel][usual]
            if len(own) >= FEWEST_PIXELS and np.ptp(own) > FLAT and np.corrcoef(own, theirs)[0, 1] > LEAST_LIKENESS:
                scale[channel] = theirs.std() / own.std()
                offset[channel] = theirs.mean() - scale[channel] * own.mean()
    return scale, offset


def middle_pixels(photo: LoadedPhoto, frame: Frame) -> tuple[npt.NDArray[np.int_], npt.NDArray[np.int_]]:
    """Row and column of the photo's pixel in the middle of each of the small picture's. [height, 1], [width]"""
    small, (height, width) = frame.camera, photo.valid.shape
    rows = ((np.arange(small.height) + 0.5) * height / small.height).astype(int)
    columns = ((np.arange(small.width) + 0.5) * width / small.width).astype(int)
    return rows[:, None], columns


def _means(picture: npt.NDArray[np.float32], height: int, width: int) -> npt.NDArray[np.float32]:
    """Means over the area of the small pixels. [H, W, 3] -> [height, width, 3]"""
    small = torch.nn.functional.interpolate(torch.from_numpy(picture).permute(2, 0, 1)[None], (height, width),
                                            mode="area")
    return small[0].permute(1, 2, 0).numpy()


def _raise(grids: OccupancyGrids, places: torch.Tensor) -> None:
    """The maxima of the cells of every slot that has a say at the places [n, 3]."""
    regions = grids.regions
    say = routed(places, regions) > 0  # [n, n_slots]
    for slot, (box, side) in enumerate(zip(regions.boxes, regions.sides, strict=True)):
        own = places[say[:, slot]]
        if len(own):
            local = ((own - places.new_tensor(box[:3])) / side).float()
            cells = grids.cells(torch.full((len(own),), slot, dtype=torch.int64, device=own.device), local)
            grids.maxima[cells] = grids.maxima[cells].clamp(min=round(START * 255))
