"""A city of nine experts: the pixels of the whole, from the files of what is seen."""

import shutil
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from adaptive_nerf.engine.samples import Regions
from adaptive_nerf.geometry.boxes import Box, slab_interval
from adaptive_nerf.geometry.cameras import look_at
from adaptive_nerf.geometry.frames import FrameName
from adaptive_nerf.geometry.rays import camera_rays
from adaptive_nerf.models.checkpoint import Checkpoint, save
from adaptive_nerf.models.city import City, experts_in_view
from adaptive_nerf.rendering.types import Output, Quality, RenderCancelled
from tests.support.fields import (
    FRAME,
    camera_over,
    ground_regions,
    map_camera,
    random_field,
    slanted_camera,
    tiny_model,
)

ALL = frozenset(Output)
CORNER = replace(camera_over(-0.85, -0.85), fx=90.0, fy=90.0)
OTHER_CORNER = replace(camera_over(0.85, 0.85), fx=90.0, fy=90.0)
NOWHERE = replace(camera_over(), c2w=camera_over(9.0, 9.0).c2w)


@pytest.fixture
def city(tmp_path) -> Checkpoint:
    return save(tmp_path / "city", tiny_model(random_field(ground_regions(side=3, overlap=0.25))), "train")


@pytest.fixture
def reads(city, monkeypatch) -> list[str]:
    """Experts whose files are read, in order."""
    found, read = [], Path.read_bytes

    def noted(path):
        if path.name.startswith("expert_"):
            found.append(int(path.name[7:10]))
        return read(path)
    monkeypatch.setattr(Path, "read_bytes", noted)
    return found


def views():
    yield from (CORNER, OTHER_CORNER, NOWHERE, map_camera(), slanted_camera(48, 36))
    yield replace(map_camera(24, 24, 1.5), c2w=camera_over(0.4, -0.5).c2w)
    for around in np.linspace(0, 6, 9):
        yield slanted_camera(32, 20, around=float(around))
        eye = np.array([-0.1, 0.7 * np.cos(around), 0.7 * np.sin(around)])
        pose = look_at(eye, eye + np.array([0.3, np.sin(around), 0.4]), np.array([-1.0, 0, 0]))
        yield replace(camera_over(width=24, height=40, fx=60.0, fy=30.0), c2w=pose)


def test_a_city_gives_the_pixels_of_the_whole_bit_for_bit(city):
    whole = city.load().mixture(city.version)
    for camera in views():
        part = City(city, most_experts=1)
        found, expected = part.render(camera, ALL), whole.render(camera, ALL)
        for output in Output:
            np.testing.assert_array_equal(getattr(found, output), getattr(expected, output))
        assert found.model_version == city.version


def test_a_city_is_seen_as_it_is_asked_for(city):
    def coarser(model):
        return replace(model, field=replace(model.field, step=4 * model.field.step))
    found = City(city, as_seen=coarser).render(CORNER, ALL)
    expected = coarser(city.load()).mixture(city.version).render(CORNER, ALL)
    np.testing.assert_array_equal(found.rgb, expected.rgb)
    assert not np.array_equal(found.rgb, City(city).render(CORNER, ALL).rgb)


def test_what_has_a_sample_on_any_ray_is_in_view(city):
    whole = city.load().mixture("x")
    for camera in views():
        seen = set(np.unique(whole.render(camera, ALL).expert_id)) - {-1}
        assert seen <= set(experts_in_view(camera, city))


def test_not_even_a_speck_between_the_probes_is_missed(tmp_path):
    camera = camera_over(width=300, height=200)
    rays = camera_rays(camera)
    for place in range(40):
        y, z = np.random.default_rng(place).uniform(-0.6, 0.6, 2)
        speck = (0.0, y, z, 0.02, y + 0.011, z + 0.011)
        regions = Regions.of([(-0.25, -1.0, -1.0, 0.25, -0.9, 1.0), speck])
        checkpoint = save(tmp_path / str(place), tiny_model(random_field(regions)), "train")
        assert slab_interval(rays.origins, rays.directions, Box(np.array(speck[:3]), np.array(speck[3:])))[2].any()
        assert 1 in experts_in_view(camera, checkpoint)


def test_only_what_is_seen_is_read(city, reads):
    City(city, most_experts=8).render(CORNER, ALL)
    assert reads == list(experts_in_view(CORNER, city))
    assert 0 in reads
    assert len(reads) <= 4


def test_what_was_read_is_not_read_again(city, reads):
    shown = City(city)
    for camera in (CORNER, CORNER, OTHER_CORNER, CORNER, slanted_camera()):
        shown.render(camera, ALL, Quality.DRAFT)
    assert len(reads) == len(set(reads)) == 9


def test_what_was_not_seen_of_late_is_let_go(city, reads):
    shown = City(city, most_experts=1)
    assert 0 in shown.mixture_for(CORNER).field.experts
    assert 0 not in shown.mixture_for(OTHER_CORNER).field.experts
    reads.clear()
    shown.render(CORNER, ALL)
    assert 0 in reads


def test_one_view_may_need_more_than_are_kept(city):
    assert len(City(city, most_experts=2).mixture_for(slanted_camera()).field.experts) == 9


def test_a_small_city_needs_its_files_no_more_once_it_is_seen(city):
    """Those of a training at work do not lie there for long."""
    shown, expected = City(city), city.load().mixture("x").render(OTHER_CORNER, ALL)
    shown.render(CORNER, ALL)
    shutil.rmtree(city.folder)
    np.testing.assert_array_equal(shown.render(OTHER_CORNER, ALL).rgb, expected.rgb)


def test_a_view_of_nothing_reads_nothing_more(city, reads):
    shown = City(city)
    shown.render(CORNER, ALL)
    reads.clear()
    frame = shown.render(NOWHERE, ALL)
    assert not frame.opacity.any()
    assert reads == []


def test_a_camera_of_another_frame_sees_the_same_experts(city):
    assert experts_in_view(CORNER.in_frame(FrameName.ENU, FRAME), city) == experts_in_view(CORNER, city)


def test_a_city_is_cancelled_as_a_mixture_is(city):
    with pytest.raises(RenderCancelled):
        City(city).render(slanted_camera(), ALL, cancelled=lambda: True)


def test_several_threads_see_each_what_they_look_at(city):
    whole, shown, wrong = city.load().mixture("x"), City(city, most_experts=1), []
    expected = {name: whole.render(camera, ALL).rgb for name, camera in (("a", CORNER), ("b", OTHER_CORNER))}

    def look(name, camera):
        for _ in range(6):
            if not np.array_equal(shown.render(camera, ALL).rgb, expected[name]):
                wrong.append(name)
    threads = [threading.Thread(target=look, args=told) for told in (("a", CORNER), ("b", OTHER_CORNER))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_city_that_ran_short_of_memory_stays_careful(city):
    shown = City(city)
    mixture = shown.mixture_for(CORNER)
    mixture.memory_was_short, mixture.chunk_points = True, 8192
    assert shown.memory_was_short
    assert shown.mixture_for(OTHER_CORNER).chunk_points == 8192
    assert shown.memory_was_short


def test_the_shared_look_is_neutral(city):
    mixture = City(city).mixture_for(CORNER)
    assert torch.equal(mixture.look, city.load().appearance.neutral)
