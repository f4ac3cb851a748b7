import math

import torch
from hypothesis import given
from hypothesis import strategies as st

from adaptive_nerf.engine.samples import Rays, Regions
from adaptive_nerf.models.backdrop import contracted, far_ground, leaves_at, leaves_downwards

BOX = Regions.of([(-0.25, -1.0, -1.0, 0.25, 1.0, 1.0)])
UP, DOWN, LEVEL = [-1.0, 0, 0], [1.0, 0, 0], [0.0, 1, 0]


def rays(directions, origin=(-1.0, 0.2, 0.1)) -> Rays:
    directions = torch.nn.functional.normalize(torch.tensor(directions), dim=1)
    return Rays(torch.tensor([origin]).expand(len(directions), 3), directions)


def test_rays_that_do_not_go_down_meet_no_ground():
    found = far_ground(rays([UP, LEVEL, DOWN]), BOX)
    assert found.shape == (3, 16)
    assert not found[:2].any()
    assert found[2].any()


def test_the_same_place_on_the_ground_is_the_same_from_everywhere():
    place = torch.tensor([0.25, 4.0, -3.0])
    origins = torch.tensor([[-1.0, 0.2, 0.1], [-2.0, 5.0, 1.0], [-0.5, 1.0, -2.0]])
    found = far_ground(Rays(origins, torch.nn.functional.normalize(place - origins, dim=1)), BOX)
    torch.testing.assert_close(found, found[:1].expand(3, -1), atol=1e-4, rtol=0)


@given(st.floats(-1e9, 1e9, width=32), st.floats(-1e9, 1e9, width=32))
def test_all_of_the_plane_is_drawn_into_a_square_of_two(y, z):
    found = contracted(torch.tensor([[y, z]]))[0].tolist()
    assert max(map(abs, found)) <= 2
    if max(abs(y), abs(z)) <= 1:
        assert found == [y, z]


def test_towards_the_horizon_nothing_is_infinite():
    flat = [[10.0**-power, 1.0, 0.3] for power in range(0, 40, 3)]
    assert torch.isfinite(far_ground(rays(flat), BOX)).all()


def test_which_rays_leave_through_the_floor():
    steep, slanted = [1.0, 0.2, 0.1], [0.2, 1.0, 0.0]
    assert leaves_downwards(rays([DOWN, steep, slanted, LEVEL, UP]), BOX).tolist() == [True, True, False, False, False]


def test_a_ray_just_within_the_edge_of_the_floor_leaves_through_it():
    for offset, through in ((-0.01, True), (0.01, False)):
        angle = math.atan2(0.8 + offset, 1.25)  # from 1.25 above the floor to its edge, 0.8 away
        assert leaves_downwards(rays([[math.cos(angle), math.sin(angle), 0.0]]), BOX).tolist() == [through]


def test_rays_leave_the_boxes_at_the_nearest_wall_ahead_and_at_once_where_they_are_beside_them():
    low, high = (torch.tensor(BOX.bounds[part]) for part in (slice(3), slice(3, 6)))
    seen = rays([DOWN, LEVEL])
    places = seen.origins + leaves_at(seen, BOX)[:, None] * seen.directions
    assert ((places - low).abs().amin(1).minimum((places - high).abs().amin(1)) < 1e-5).all()
    past = Rays(high[None] + 1, torch.tensor([DOWN]))
    assert leaves_at(past, BOX).tolist() == [0.0]
