import numpy as np
import pytest

from adaptive_nerf.geometry.frames import FrameName, SceneFrame
from adaptive_nerf.geometry.rays import camera_rays
from adaptive_nerf.rendering.types import Output, Quality, RenderCancelled
from adaptive_nerf.synth.renderer import MeshRenderer

EVERYTHING = frozenset({Output.RGB, Output.DEPTH, Output.OPACITY, Output.NORMAL})
OBLIQUE = ((30.0, -20.0, 25.0), (0.0, 0.0, 0.0))


@pytest.mark.parametrize("projection", ["perspective", "orthographic"])
def test_depth_of_the_ground_is_what_geometry_says(plane_and_box, camera, projection):
    aimed = ((18.0, 3.0, 20.0), (18.0, 10.0, 0.0))
    view = camera(*aimed, projection=projection, fx=8.0 if projection == "orthographic" else 120.0,
                  fy=8.0 if projection == "orthographic" else 120.0)
    frame = plane_and_box.render(view, frozenset({Output.DEPTH}))
    rays = camera_rays(view)
    expected = -rays.origins[:, 2] / rays.directions[:, 2] * rays.forward
    np.testing.assert_allclose(frame.depth_m.ravel(), expected, rtol=1e-6)


@pytest.mark.parametrize("projection", ["perspective", "orthographic"])
def test_the_lid_of_a_box_is_as_far_as_it_stands_high(plane_and_box, camera, projection):
    view = camera((0, 0, 13), (0, 0, 0), up=(0, 1, 0), projection=projection)
    frame = plane_and_box.render(view, EVERYTHING)
    assert frame.depth_m[24, 32] == pytest.approx(10.0, abs=1e-6)
    np.testing.assert_allclose(frame.normal[24, 32], [0, 0, 1], atol=1e-6)  # it looks back at the camera


def test_normals_are_unit_vectors_in_camera_axes(plane_and_box, camera):
    view = camera(*OBLIQUE)
    frame = plane_and_box.render(view, EVERYTHING)
    seen = frame.opacity > 0
    np.testing.assert_allclose(np.linalg.norm(frame.normal[seen], axis=-1), 1, atol=1e-6)
    up_in_camera = view.c2w[:, :3].T @ [0, 0, 1]
    ground = np.abs(frame.normal - up_in_camera).max(-1) < 1e-6
    assert ground.sum() > 500
    assert (frame.normal[seen][:, 2] > 0).mean() > 0.99  # what is seen faces the camera


def test_where_nothing_is_hit_there_is_sky_and_no_depth(plane_and_box, camera):
    frame = plane_and_box.render(camera((0, 0, 10), (0, 100, 10)), EVERYTHING)
    sky = frame.opacity == 0
    assert sky[:20].all()
    assert np.isnan(frame.depth_m[sky]).all()
    assert (frame.normal[sky] == 0).all()
    assert (frame.rgb[sky] > 0.3).all()


def test_a_view_of_nothing_but_sky_is_a_picture_too(plane_and_box, camera):
    frame = plane_and_box.render(camera((0, 0, 10), (0, 10, 100)), EVERYTHING)
    assert (frame.opacity == 0).all()
    assert np.isnan(frame.depth_m).all()
    assert (frame.rgb > 0.3).all()


def test_channels_that_were_not_asked_for_are_absent(plane_and_box, camera):
    frame = plane_and_box.render(camera(*OBLIQUE), frozenset({Output.NORMAL, Output.EXPERT}))
    assert frame.normal is not None
    assert frame.rgb is frame.depth_m is frame.opacity is frame.expert_id is None


def test_near_and_far_cut_the_rays(plane_and_box, camera):
    aimed = {"position": (0, 0, 13), "target": (0, 0, 0), "up": (0, 1, 0)}
    past_the_box = plane_and_box.render(camera(**aimed, near_m=10.5), EVERYTHING)
    short = plane_and_box.render(camera(**aimed, far_m=10.5), EVERYTHING)
    assert past_the_box.depth_m[24, 32] == pytest.approx(13.0, abs=1e-5)
    assert short.depth_m[24, 32] == pytest.approx(10.0, abs=1e-6)
    assert np.isnan(short.depth_m[0, 0])


def test_a_cancelled_render_stops_before_the_next_chunk(plane_and_box, camera):
    view = camera(*OBLIQUE).scaled(8)  # several chunks
    asked = []

    def cancelled():
        asked.append(True)
        return len(asked) > 2

    with pytest.raises(RenderCancelled):
        plane_and_box.render(view, frozenset({Output.RGB}), cancelled=cancelled)
    assert len(asked) == 3


def test_lower_quality_is_a_smaller_picture_of_the_same_view(plane_and_box, camera):
    view = camera(*OBLIQUE)
    full = plane_and_box.render(view, EVERYTHING)
    fast = plane_and_box.render(view, EVERYTHING, Quality.FAST)
    assert fast.rgb.shape == (24, 32, 3)
    assert fast.camera.fx == view.fx / 2
    assert np.abs(fast.rgb - full.rgb.reshape(24, 2, 32, 2, 3).mean((1, 3))).mean() < 0.02


@pytest.mark.parametrize("projection", ["perspective", "orthographic"])
def test_a_camera_of_another_frame_sees_the_same(plane_and_box, camera, projection):
    frame = SceneFrame((-12.0, 3.0, 4.0), 42.0, (48.2, 16.4, 180.0), (0.0, 60.0))
    view = camera(*OBLIQUE, projection=projection)
    elsewhere = view.in_frame(FrameName.SCENE, frame)
    renderer = MeshRenderer(plane_and_box._world, frame)
    expected, seen = (renderer.render(each, EVERYTHING) for each in (view, elsewhere))
    np.testing.assert_allclose(seen.depth_m, expected.depth_m, rtol=1e-5)
    np.testing.assert_allclose(seen.rgb, expected.rgb, atol=0.02)


def test_a_box_throws_a_shadow_away_from_the_sun(plane_and_box, camera):
    view = camera((0, 0, 30), (0, 0, 0), up=(0, 1, 0), fx=120.0, fy=120.0)
    rgb = plane_and_box.render(view, frozenset({Output.RGB})).rgb.mean(-1)
    (shadow, lit), _ = view.project(np.array([[2.8, 2.8, 0.0], [-4.5, -4.5, 0.0]]))  # the sun stands in the south-west
    dark, bright = (rgb[int(y), int(x)] for x, y in (shadow, lit))
    assert dark < 0.75 * bright


def test_the_same_view_gives_the_same_picture(plane_and_box, camera):
    first, again = (plane_and_box.render(camera(*OBLIQUE), EVERYTHING) for _ in range(2))
    np.testing.assert_array_equal(first.rgb, again.rgb)
