"""Town -> COLMAP in ECEF -> prepared scene -> rays: truth comes back within 0.5 pixel and 2 cm."""

import json

import numpy as np
import pycolmap
import pytest
from scipy.ndimage import maximum_filter, minimum_filter

from adaptive_nerf.data.scene import open_scene
from adaptive_nerf.geometry.cameras import Camera
from adaptive_nerf.geometry.frames import FrameName, SceneFrame, local_frame
from adaptive_nerf.geometry.rays import camera_rays

pytestmark = pytest.mark.system
FLIGHTS = ["first flight", "later flight"]


class Truth:
    """What the town's own files say of one flight."""

    def __init__(self, folder):
        self.folder = folder
        self.said = json.loads((folder / "truth" / "metadata.json").read_text())
        reference = self.said["reference"]
        self.frame = local_frame((reference["latitude_deg"], reference["longitude_deg"], reference["height_m"]))

    def surface(self, record):
        """Centres of pixels that see a surface [n, 2], its points in ECEF [n, 3], its depth in metres [n]."""
        k = self.said["intrinsics"]
        camera = Camera(k["width"], k["height"], k["fx"], k["fy"], k["cx"], k["cy"],
                        np.array(record["camera_to_world"]), FrameName.ENU)
        depth_m = np.load(self.folder / "truth" / record["depth"]).astype(float).ravel()
        rays = camera_rays(camera)
        near = np.flatnonzero(depth_m < 300)
        points_enu = rays.at(depth_m / rays.forward)[near]
        y, x = np.divmod(near, camera.width)
        return np.stack([x, y], -1) + 0.5, self.ecef(points_enu), depth_m[near]

    def ecef(self, points_enu):
        return self.frame.convert(FrameName.ENU, FrameName.ECEF).points(points_enu)


@pytest.fixture(params=FLIGHTS)
def flight(request, surveyed):
    """The truth of a flight, the prepared scene, and its photos by their original names."""
    scene = open_scene(surveyed.folder / "data/drz/out/prepared")
    first = request.param == FLIGHTS[0]
    photos = scene.photos if first else scene.flights["event"]
    truth = Truth(surveyed.folder / "data/drz" / ("" if first else "event"))
    return truth, scene.frame, {photo.name: photo for photo in photos}


def scene_points(frame: SceneFrame, ecef):
    return frame.convert(FrameName.ECEF, FrameName.SCENE).points(ecef)


def test_true_points_project_into_their_pixels(flight):
    truth, frame, photos = flight
    for record in truth.said["photos"]:
        pixels, ecef, depth_m = truth.surface(record)
        projected, projected_depth_m = photos[record["image"]].camera(frame.metres_per_unit).project(
            scene_points(frame, ecef))
        assert np.abs(projected - pixels).max() < 0.5
        assert np.abs(projected_depth_m - depth_m).max() < 0.02


def test_rays_of_prepared_photos_end_at_true_points(flight):
    truth, frame, photos = flight
    for record in truth.said["photos"]:
        pixels, ecef, depth_m = truth.surface(record)
        rays = camera_rays(photos[record["image"]].camera(frame.metres_per_unit), pixels)
        ends_scene = rays.at(depth_m / frame.metres_per_unit / rays.forward)
        ends_ecef = frame.convert(FrameName.SCENE, FrameName.ECEF).points(ends_scene)
        assert np.linalg.norm(ends_ecef - ecef, axis=-1).max() < 0.02


def test_points_of_the_model_lie_on_true_surfaces_where_photos_see_them(flight):
    truth, frame, photos = flight
    model = pycolmap.Reconstruction(str(truth.folder / "model"))
    records = {record["image"]: record for record in truth.said["photos"]}
    checked = 0
    for image in model.images.values():
        seen = [point for point in image.points2D if point.has_point3D()]
        points_ecef = np.stack([model.points3D[point.point3D_id].xyz for point in seen])
        projected, depth_m = photos[image.name].camera(frame.metres_per_unit).project(scene_points(frame, points_ecef))
        assert np.abs(projected - np.stack([point.xy for point in seen])).max() < 0.5
        true_depth_m = np.load(truth.folder / "truth" / records[image.name]["depth"])
        # A pixel covers a piece of surface; its neighbours' depths bracket any point in it, but for lone thin things.
        column, row = projected.astype(int).T
        nearest, farthest = minimum_filter(true_depth_m, 3)[row, column], maximum_filter(true_depth_m, 3)[row, column]
        assert ((depth_m > nearest - 0.05) & (depth_m < farthest + 0.05)).mean() > 0.97
        checked += len(seen)
    assert checked > 100
