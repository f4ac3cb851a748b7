"""Which pixels train which expert, marched sample by sample: slow and readable. What routing.py is held against."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from adaptive_nerf.data.routing import Routing
from adaptive_nerf.geometry.boxes import slab_interval
from adaptive_nerf.geometry.cameras import Camera
from adaptive_nerf.geometry.rays import camera_rays, pixel_centres, pixel_corners
from adaptive_nerf.geometry.types import Array, BoolArray


@dataclass(frozen=True)
class March:
    """Every sample of every pixel of a photo, row by row: n pixels, S samples."""

    points: Array  # [n, S, 3]
    lengths: Array  # [n] of the rays within the box; 0 where they miss it
    excess: Array  # [K, n, S] |x-c|^2 - m^2 min |x-c'|^2 over the rivals c': where not positive, c takes the sample

    @property
    def routed(self) -> BoolArray:  # [K, n, S]
        return np.asarray((self.excess <= 0) & (self.lengths > 0)[:, None])


def march_photo(camera: Camera, routing: Routing) -> March:
    pixels = (pixel_centres if routing.center_pixels else pixel_corners)(camera.width, camera.height)
    rays = camera_rays(camera, pixels)
    near, far, _ = slab_interval(rays.origins, rays.directions, routing.box)
    near = np.maximum(near, routing.near or 0.0)
    far = far if routing.far is None else np.minimum(far, routing.far)
    lengths = np.maximum(far - near, 0.0)
    along = near[:, None] + lengths[:, None] * np.linspace(0, 1, routing.ray_samples)  # [n, S]
    points = rays.origins[:, None] + rays.directions[:, None] * along[..., None]
    axes = list(routing.axes)
    distance2 = np.stack([((points - centroid)[..., axes] ** 2).sum(axis=-1) for centroid in routing.centroids])
    nearest_rival2 = np.stack([np.delete(distance2, expert, axis=0).min(axis=0, initial=np.inf)
                               for expert in range(len(distance2))])
    return March(points, lengths, distance2 - routing.margin**2 * nearest_rival2)
