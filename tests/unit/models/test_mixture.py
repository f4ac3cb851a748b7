"""The mixture as a Renderer: pictures of fields whose shape is known."""

import logging
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch

from adaptive_nerf.engine.engines import engine
from adaptive_nerf.engine.samples import Rays
from adaptive_nerf.geometry.frames import FrameName
from adaptive_nerf.geometry.rays import camera_rays
from adaptive_nerf.models.field import Field, radiance
from adaptive_nerf.models.mixture import FEWEST_POINTS, Mixture
from adaptive_nerf.rendering.types import Frame, Output, Quality, RenderCancelled
from tests.support.fields import (
    FRAME,
    KnownField,
    camera_over,
    ground_at,
    ground_regions,
    known_field,
    map_camera,
    mixture_of,
    random_field,
    slanted_camera,
)

ALL = frozenset(Output)
CAMERAS = {"down": camera_over(), "slanted": slanted_camera(), "map": map_camera()}
every_camera = pytest.mark.parametrize("camera", CAMERAS.values(), ids=CAMERAS)


def same(first: Frame, second: Frame) -> bool:
    return all(np.array_equal(getattr(first, output), getattr(second, output), equal_nan=output is Output.DEPTH)
               for output in Output)


def same_whatever_the_batch(first: Frame, second: Frame) -> bool:
    """Bit for bit by our own kernels; torch's products depend on how many rows there are."""
    if engine().name == "cpu":
        return same(first, second)
    return np.allclose(first.rgb, second.rgb, atol=1e-5) and np.allclose(first.opacity, second.opacity, atol=1e-5)


def background(field: Field, camera) -> np.ndarray:
    """What the same camera sees where nothing is occupied."""
    return mixture_of(replace(field, grids=field.grids.only([]))).render(camera, ALL).rgb


@every_camera
def test_every_output_has_its_shape_and_type_and_is_finite(camera):
    frame = mixture_of(random_field()).render(camera, ALL)
    shape = (camera.height, camera.width)
    for output, kind, wide in ((Output.RGB, np.float32, (3,)), (Output.DEPTH, np.float32, ()),
                               (Output.OPACITY, np.float32, ()), (Output.NORMAL, np.float32, (3,)),
                               (Output.EXPERT, np.int16, ())):
        channel = getattr(frame, output)
        assert channel.shape == (*shape, *wide)
        assert channel.dtype == kind
        assert output is Output.DEPTH or np.isfinite(channel).all()
    assert frame.rgb.min() >= 0
    assert frame.rgb.max() <= 1
    assert frame.camera is camera
    assert (frame.model_version, frame.quality) == ("tiny", Quality.FULL)


def test_what_was_not_asked_for_is_absent_and_what_was_is_the_same():
    mixture, camera = mixture_of(random_field()), slanted_camera()
    everything = mixture.render(camera, ALL)
    for output in Output:
        alone = mixture.render(camera, frozenset({output}))
        np.testing.assert_array_equal(getattr(alone, output), getattr(everything, output))
        assert all(getattr(alone, other) is None for other in Output if other is not output)


def test_coarser_rungs_are_smaller_pictures_of_the_same_view():
    mixture, camera = mixture_of(random_field()), slanted_camera(48, 36)
    draft = mixture.render(camera, ALL, Quality.DRAFT)
    assert draft.rgb.shape == (9, 12, 3)
    assert draft.camera.width == 12
    assert same(replace(draft, quality=Quality.FULL), mixture.render(camera.scaled(0.25), ALL))


def test_pixels_are_the_field_along_their_rays():
    field, camera = random_field(), slanted_camera()
    picked = camera_rays(camera, np.array([[3.5, 10.5], [20.5, 15.5]]))
    rays = Rays(*(torch.tensor(np.array(part), dtype=torch.float32) for part in (picked.origins, picked.directions)))
    samples = field.march(rays, 10_000)
    seen = radiance(field, rays, samples, field.encode(samples))
    frame = mixture_of(field).render(camera, ALL)
    np.testing.assert_allclose(frame.rgb[[10, 15], [3, 20]], seen.colours, atol=1e-5)
    np.testing.assert_allclose(frame.opacity[[10, 15], [3, 20]], seen.opacity, atol=1e-5)


@pytest.mark.parametrize("camera", [camera_over(width=32, height=32), map_camera(pixels_a_metre=0.3)],
                         ids=["perspective", "orthographic"])
def test_depth_is_metres_along_the_axis_to_a_known_ground(camera):
    field = known_field(ground_at(0.1), step=0.002)
    depth_m = mixture_of(field).render(camera, ALL).depth_m
    middle = depth_m[4:-4, 4:-4]
    np.testing.assert_allclose(middle, 1.1 * FRAME.metres_per_unit, atol=2 * field.step * FRAME.metres_per_unit)


def test_depth_does_not_depend_on_the_frame_that_the_camera_is_told_in():
    mixture, camera = mixture_of(random_field()), slanted_camera()
    there = mixture.render(camera.in_frame(FrameName.ENU, FRAME), ALL)
    np.testing.assert_allclose(there.depth_m, mixture.render(camera, ALL).depth_m, rtol=1e-3)


def test_a_roofs_edge_is_not_smeared_into_the_ground_behind_it():
    def roof_and_ground(places):
        return torch.where((places[:, 0] > 0.2) | ((places[:, 0] > -0.1) & (places[:, 1] < 0)), 800.0, 0.0)
    depth_m = mixture_of(known_field(roof_and_ground, step=0.004)).render(camera_over(width=40), ALL).depth_m
    units = depth_m[5:-5, 5:-5] / FRAME.metres_per_unit
    assert (np.minimum(np.abs(units - 0.9), np.abs(units - 1.2)) < 0.02).all()


@pytest.mark.parametrize("camera", [slanted_camera(), map_camera(), camera_over()], ids=["slanted", "map", "down"])
def test_the_ground_looks_up(camera):
    frame = mixture_of(known_field(ground_at(0.1), step=0.004)).render(camera, ALL)
    up = camera.c2w[:, :3].T @ [-1.0, 0, 0]
    met = np.abs(frame.normal).max(-1) > 0
    np.testing.assert_allclose(np.linalg.norm(frame.normal[met], axis=-1), 1, atol=1e-5)
    near = np.linalg.norm(frame.normal - up, axis=-1) < 0.2
    assert near[met].mean() > 0.75
    assert met.any()


def test_the_expert_is_the_nearest_and_none_where_nothing_is():
    field = replace(known_field(ground_at(0.0), ground_regions(margin=1.0)), experts=(7, 11, 13, 17))
    frame = mixture_of(field).render(map_camera(40, 40, 0.3), ALL)
    solid = frame.expert_id >= 0
    np.testing.assert_array_equal(solid, frame.opacity >= 0.5)
    assert {int(frame.expert_id[row, column]) for row in (14, 25) for column in (14, 25)} == {7, 11, 13, 17}
    east_south = frame.expert_id[25, 25]  # rows go south, columns go east
    assert east_south == 17
    assert (frame.expert_id[0] == -1).all()


def test_experts_can_be_looked_at_alone():
    mixture = mixture_of(known_field(ground_at(0.0), ground_regions(margin=1.0)))
    frame = mixture.only([2]).render(map_camera(40, 40, 0.3), ALL)
    assert set(np.unique(frame.expert_id)) == {-1, 2}
    whole = mixture.render(map_camera(40, 40, 0.3), ALL)
    np.testing.assert_array_equal(frame.expert_id == 2, whole.expert_id == 2)
    np.testing.assert_array_equal(frame.rgb[whole.expert_id == 2], whole.rgb[whole.expert_id == 2])


@pytest.mark.parametrize("chunk_points", [1, 300, 5000, 33_333])
@every_camera
def test_the_size_of_a_chunk_changes_no_pixel(camera, chunk_points):
    field = random_field()
    pieces = mixture_of(field, chunk_points=chunk_points).render(camera, ALL)
    assert same_whatever_the_batch(pieces, mixture_of(field).render(camera, ALL))


def test_a_ray_through_many_experts_at_once_fits_whatever_the_chunk():
    regions = ground_regions(side=3, margin=50.0, overlap=2.0)
    field = random_field(regions, step=0.004, density_bias=-1.0)
    camera = slanted_camera(4, 3)
    pieces = mixture_of(field, chunk_points=64).render(camera, ALL)
    assert same_whatever_the_batch(pieces, mixture_of(field).render(camera, ALL))


def test_a_long_ray_is_followed_to_its_end():
    """Thousands of samples of thin air before a wall."""
    field = known_field(lambda places: torch.where(places[:, 1] > 0.9, 4000.0, 0.0), step=0.0005)
    pose = np.array([[0.0, -1.0, 0.0, 0.0], [0.0, 0.0, -1.0, -1.2], [1.0, 0.0, 0.0, 0.3]])
    camera = replace(camera_over(width=2, height=2, fx=40.0, fy=40.0), c2w=pose)
    frame = mixture_of(field).render(camera, ALL)
    np.testing.assert_allclose(frame.depth_m, 2.1 * FRAME.metres_per_unit, rtol=1e-3)


def test_a_cancelled_render_stops_before_the_next_chunk():
    asked = []
    mixture = mixture_of(random_field(), chunk_points=2000)
    with pytest.raises(RenderCancelled):
        mixture.render(camera_over(), ALL, cancelled=lambda: asked.append(1) or len(asked) == 3)
    assert len(asked) == 3


@dataclass(frozen=True)
class ShortOfMemory(KnownField):
    """Marching more than so many points fails, as an allocation would."""

    most: int = 1 << 60
    error: type[Exception] = MemoryError
    words: str = "no memory"

    def march(self, rays, capacity, key=None, most=1024):
        if capacity > self.most:
            raise self.error(self.words)
        return super().march(rays, capacity, key, most)


@pytest.mark.parametrize(("error", "words"), [
    (MemoryError, ""), (torch.OutOfMemoryError, "CUDA out of memory"),
    (RuntimeError, "DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")])
def test_where_memory_runs_out_the_chunk_is_halved_and_the_picture_made(error, words, caplog):
    field = known_field(ground_at(0.1))
    short = ShortOfMemory(**vars(field), most=20_000, error=error, words=words)
    mixture = mixture_of(short, chunk_points=131_072)
    with caplog.at_level(logging.WARNING):
        frame = mixture.render(slanted_camera(), ALL)
    assert same(frame, mixture_of(field).render(slanted_camera(), ALL))
    assert mixture.chunk_points == 16_384
    assert mixture.memory_was_short
    assert "16384 points" in caplog.text


def test_where_halving_helps_no_more_the_error_is_told():
    mixture = mixture_of(ShortOfMemory(**vars(known_field(ground_at(0.1))), most=10))
    with pytest.raises(MemoryError):
        mixture.render(slanted_camera(), ALL)
    assert mixture.chunk_points <= FEWEST_POINTS


def test_another_error_is_not_taken_for_a_want_of_memory():
    short = ShortOfMemory(**vars(known_field(ground_at(0.1))), most=10, error=RuntimeError, words="wrong shape")
    mixture = mixture_of(short)
    with pytest.raises(RuntimeError, match="wrong shape"):
        mixture.render(slanted_camera(), ALL)
    assert not mixture.memory_was_short


def test_a_camera_that_looks_at_nothing_sees_the_background():
    field = random_field()
    away = camera_over()
    away = replace(away, c2w=np.c_[away.c2w[:, :3] @ np.diag([1.0, -1, -1]), away.c2w[:, 3]])
    frame = mixture_of(field).render(away, ALL)
    np.testing.assert_array_equal(frame.rgb, background(field, away))
    assert np.isnan(frame.depth_m).all()
    assert not frame.opacity.any()
    assert not frame.normal.any()
    assert (frame.expert_id == -1).all()


def test_a_camera_far_away_measures_the_same_ground():
    far = camera_over(width=16, height=16, fx=16 * 40.0, fy=16 * 40.0)
    far = replace(far, c2w=np.c_[far.c2w[:, :3], [-60.0, 0, 0]])
    depth_m = mixture_of(known_field(ground_at(0.1), step=0.004)).render(far, ALL).depth_m
    np.testing.assert_allclose(depth_m, 60.1 * FRAME.metres_per_unit, atol=0.5)


def test_a_camera_inside_a_box_sees_what_is_before_it():
    inside = camera_over()
    inside = replace(inside, c2w=np.c_[inside.c2w[:, :3], [-0.1, 0.3, 0.2]])
    depth_m = mixture_of(known_field(ground_at(0.1), step=0.004)).render(inside, ALL).depth_m
    np.testing.assert_allclose(depth_m, 0.2 * FRAME.metres_per_unit, atol=0.5)


def test_a_camera_in_the_ground_sees_the_ground_at_once():
    buried = camera_over()
    buried = replace(buried, c2w=np.c_[buried.c2w[:, :3], [0.15, 0.3, 0.2]])
    frame = mixture_of(known_field(ground_at(0.1), step=0.004)).render(buried, ALL)
    assert (frame.depth_m < 0.02 * FRAME.metres_per_unit).all()
    assert np.isfinite(frame.rgb).all()


def test_near_and_far_of_a_camera_are_metres():
    field = known_field(ground_at(0.1), step=0.004)
    camera = map_camera(8, 8, 0.3)
    reach_m = 1.1 * FRAME.metres_per_unit
    assert mixture_of(field).render(replace(camera, far_m=reach_m + 3), ALL).opacity.min() > 0.9
    assert mixture_of(field).render(replace(camera, far_m=reach_m - 1), ALL).opacity.max() == 0
    nearer = mixture_of(field).render(replace(camera, near_m=reach_m + 5), ALL).depth_m
    np.testing.assert_allclose(nearer, reach_m + 5, atol=0.5)


def test_the_look_of_a_photo_colours_the_picture():
    field = random_field()
    look = torch.tensor([0.2, -0.2, 0.0, 0.0, 0.05, 0.1])
    plain = mixture_of(field).render(slanted_camera(), ALL)
    coloured = Mixture(field, FRAME, look, "tiny").render(slanted_camera(), ALL)
    expected = np.clip(plain.rgb * (1 + look[:3].numpy()) + look[3:].numpy(), 0, 1)
    np.testing.assert_allclose(coloured.rgb, expected, atol=1e-6)
    np.testing.assert_array_equal(coloured.depth_m, plain.depth_m)


def test_a_thin_veil_does_not_pull_the_surface_towards_what_is_behind_it():
    def veil_and_ground(places):
        return torch.where((places[:, 0] > -0.1) & (places[:, 0] < -0.08), 46.0, 0.0) + ground_at(0.2)(places)
    depth_m = mixture_of(known_field(veil_and_ground, step=0.002)).render(map_camera(8, 8, 0.3), ALL).depth_m
    np.testing.assert_allclose(depth_m / FRAME.metres_per_unit, 0.91, atol=0.012)


def test_roofs_are_flat_up_to_their_edges():
    def roof_and_ground(places):
        return torch.where((places[:, 0] > 0.2) | ((places[:, 0] > -0.1) & (places[:, 1] < 0.01)), 2000.0, 0.0)
    frame = mixture_of(known_field(roof_and_ground, step=0.004)).render(map_camera(16, 16, 0.3), ALL)
    assert len(np.unique(np.round(frame.depth_m / FRAME.metres_per_unit, 1))) == 2
    np.testing.assert_allclose(frame.normal, np.broadcast_to([0.0, 0, 1], frame.normal.shape), atol=0.05)
