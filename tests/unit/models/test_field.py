"""The field against plain loops in float64, and what must hold for every mixture."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from adaptive_nerf.engine.directions import spherical_harmonics
from adaptive_nerf.engine.samples import Rays
from adaptive_nerf.models.field import UNKNOWN, Field, Guard, radiance
from tests.support.engine_cases import loop_encode
from tests.support.fields import ground_at, ground_regions, known_field, random_field, tiny_architecture

CAPACITY = 1 << 18


def seen(field: Field, rays: Rays, **given):
    samples = field.march(rays, CAPACITY)
    return radiance(field, rays, samples, field.encode(samples), **given)


def rays_down(places, tilt=(1.0, 0.0, 0.0)) -> Rays:
    """From above, through places [n, 2] at X = 0."""
    places = torch.as_tensor(places, dtype=torch.float32)
    direction = torch.nn.functional.normalize(torch.tensor(tilt), dim=0)
    return Rays(torch.cat([torch.zeros(len(places), 1), places], 1) - direction, direction.repeat(len(places), 1))


def straight_across() -> Rays:
    """Through the overlap of all four experts, and along the border of two of them."""
    return rays_down([[0.02, -0.03], [-0.6, 0.01], [0.7, 0.7]], tilt=(1.0, 0.4, -0.2))


def emptied(field: Field) -> Field:
    grids = field.grids.copied()
    grids.occupancy.words.zero_()
    return replace(field, grids=grids)


def background(field: Field, rays: Rays):
    return seen(emptied(field), rays).colours


def loop_weights(place, regions):
    """Of each expert at a place: (m d_min - d) / d of those whose box holds it, of sum 1."""
    inside = [all(low <= x <= high for low, x, high in zip(box[:3], place, box[3:], strict=True))
              for box in regions.boxes]
    distance = [np.hypot(place[1] - centre[1], place[2] - centre[2]) if held else np.inf
                for centre, held in zip(regions.centroids, inside, strict=True)]
    nearest = min(distance)
    raw = np.array([max(0.0, (regions.margin * nearest - far) / far) if np.isfinite(far) else 0.0 for far in distance])
    return raw / raw.sum() if raw.sum() else raw


def loop_network(weights, shape, values):
    *hidden, last = (matrix.double().numpy() for matrix in shape.matrices(weights))
    for matrix in hidden:
        values = np.maximum(matrix @ values, 0)
    return last @ values


def loop_place(field, place, expert):
    """Density and 15 features that one expert says of a place."""
    box, side = field.regions.boxes[expert], field.regions.sides[expert]
    local = (np.asarray(place) - box[:3]) / side
    features = loop_encode(field.parameters.tables.double().numpy(), local[None], [expert], field.architecture.grid)
    raw = loop_network(field.parameters.trunks[expert], field.architecture.trunk.network, features.ravel())
    return np.exp(raw[0] + field.architecture.density_bias), raw[1:]


def loop_head(field, opacity, features, direction):
    harmonics = spherical_harmonics(torch.tensor(direction)[None])[0].double().numpy()
    told = np.concatenate([[opacity], features, harmonics])
    return 1 / (1 + np.exp(-loop_network(field.parameters.heads[0], field.architecture.colour_head, told)))


def loop_ray(field, origin, direction, deferred):
    """Opacity and colour over black: at each place one density, shared by weight, and one look, by weight x density."""
    low, high = np.array(field.regions.bounds[:3]), np.array(field.regions.bounds[3:])
    ends = np.sort(np.stack([(low - origin) / direction, (high - origin) / direction]), 0)
    enter, leave = max(ends[0].max(), 0.0), ends[1].min()
    left, opacity, gathered = 1.0, 0.0, 0.0
    for t in np.arange(enter + field.step / 2, leave, field.step):
        place = origin + t * direction
        shares = loop_weights(place, field.regions)
        told = [(share, *loop_place(field, place, expert)) for expert, share in enumerate(shares) if share > 0]
        dense = sum(share * density for share, density, _ in told)
        weight = left * -np.expm1(-dense * field.step)
        left, opacity = left - weight, opacity + weight
        for share, density, features in told:
            said = features if deferred else loop_head(field, 1.0, features, direction)
            gathered = gathered + weight * share * density / dense * said
    return opacity, opacity * loop_head(field, opacity, gathered, direction) if deferred else gathered


@pytest.mark.parametrize("deferred", [True, False])
def test_all_samples_of_a_ray_are_composited_together(deferred):
    field, rays = random_field(step=0.004, deferred=deferred, background_width=0, density_bias=1.5), straight_across()
    found = seen(field, rays)
    for ray, (origin, direction) in enumerate(zip(rays.origins.double(), rays.directions.double(), strict=True)):
        opacity, colour = loop_ray(field, origin.numpy(), direction.numpy(), deferred)
        assert float(found.opacity[ray]) == pytest.approx(opacity, abs=2e-4)
        np.testing.assert_allclose(found.colours[ray], colour, atol=2e-3)
        assert 0.3 < opacity < 1


def test_with_a_margin_of_one_the_nearest_expert_alone_is_asked():
    field = random_field(ground_regions(margin=1.0))
    for place, nearest in (([-0.1, -0.2], 0), ([-0.1, 0.2], 1), ([0.1, -0.2], 2), ([0.3, 0.2], 3)):
        rays = rays_down([place])
        assert set(field.march(rays, CAPACITY).slots.tolist()) == {nearest}
        alone = replace(field, grids=field.grids.only([nearest]))
        assert torch.equal(seen(field, rays).colours, seen(alone, rays).colours)


def test_where_two_experts_are_asked_their_shares_make_a_whole():
    field = random_field()
    samples = field.march(rays_down([[0.0, 0.5]]), CAPACITY)
    assert set(samples.slots.tolist()) == {1, 3}
    lengths = {t: float(samples.delta[samples.t == t].sum()) for t in samples.t.unique()}
    np.testing.assert_allclose(list(lengths.values()), field.step, rtol=1e-5)


def with_own_heads(field: Field) -> Field:
    """The same head, once for each expert."""
    heads = field.parameters.heads.repeat(len(field.experts), 1)
    return replace(field, architecture=replace(field.architecture, head="own"),
                   parameters=replace(field.parameters, heads=heads))


@pytest.mark.parametrize("deferred", [True, False])
def test_own_heads_that_are_alike_are_a_shared_head_where_one_expert_is_asked(deferred):
    field = random_field(ground_regions(margin=1.0), deferred=deferred)
    rays = rays_down([[-0.5, -0.4], [0.3, 0.6], [0.9, -0.9]])
    torch.testing.assert_close(seen(with_own_heads(field), rays).colours, seen(field, rays).colours)


@pytest.mark.parametrize("deferred", [True, False])
def test_own_heads_that_are_alike_are_a_shared_head_where_several_see_the_same(deferred):
    field = known_field(ground_at(0.1, thickness=30.0))
    field = replace(field, architecture=tiny_architecture(deferred=deferred))
    rays = straight_across()
    torch.testing.assert_close(seen(with_own_heads(field), rays).colours, seen(field, rays).colours)


def test_each_expert_speaks_through_its_own_head():
    field = with_own_heads(random_field(ground_regions(margin=1.0)))
    changed = field.parameters.heads.clone()
    changed[2] = -changed[2]
    other = replace(field, parameters=replace(field.parameters, heads=changed))
    before, after = (seen(model, rays_down([[-0.5, -0.5], [0.5, -0.5]])).colours for model in (field, other))
    assert torch.equal(before[0], after[0])
    assert (before[1] - after[1]).abs().max() > 0.01


def test_own_heads_learn_where_their_expert_is_seen():
    field = with_own_heads(random_field())
    field = replace(field, parameters=field.parameters.learnable())
    seen(field, rays_down([[0.7, 0.7], [0.0, 0.7]])).colours.sum().backward()
    gradients = field.parameters.heads.grad.abs().amax(1)
    assert torch.isfinite(field.parameters.trunks.grad).all()
    assert (gradients[[1, 3]] > 0).all()
    assert (gradients[[0, 2]] == 0).all()


def test_deferred_and_sample_by_sample_agree_where_everything_looks_alike():
    field = known_field(ground_at(0.0))
    each = replace(field, architecture=tiny_architecture(deferred=False))
    rays = straight_across()
    torch.testing.assert_close(seen(each, rays).colours, seen(field, rays).colours, atol=2e-3, rtol=0)


@pytest.mark.parametrize("head", ["shared", "own"])
@pytest.mark.parametrize("deferred", [True, False])
def test_rays_that_miss_every_box_are_the_background_exactly(head, deferred):
    field = random_field(head=head, deferred=deferred)
    origins = torch.tensor([[-1.0, 0, 0], [-1.0, 5, 5], [0.0, 3, 0], [-1.0, 0.5, 0.5]])
    directions = torch.tensor([[-1.0, 0, 0], [1.0, 0, 0], [0.0, 0, 1], [1.0, 0, 0]])
    found = seen(field, Rays(origins, directions))
    assert found.opacity[:3].tolist() == [0, 0, 0]
    assert found.opacity[3] > 0.5
    assert torch.equal(found.colours[:3], background(field, Rays(origins, directions))[:3])
    assert torch.isfinite(found.colours).all()


def test_where_no_ray_meets_anything_the_background_is_all_there_is():
    field = random_field()
    rays = Rays(torch.tensor([[-1.0, 9, 9]]), torch.tensor([[0.6, 0.8, 0]]))
    found = seen(field, rays)
    assert found.opacity.tolist() == [0]
    assert torch.equal(found.colours, background(field, rays))


def test_without_a_background_there_is_black_behind_the_boxes():
    rays = Rays(torch.tensor([[-1.0, 9, 9]]), torch.tensor([[0.6, 0.8, 0]]))
    assert seen(random_field(background_width=0), rays).colours.tolist() == [[0, 0, 0]]


def test_the_background_shows_as_far_as_the_boxes_let_it_through():
    field, rays = random_field(density_bias=0.5), straight_across()
    black = replace(field, architecture=replace(field.architecture, background_width=0))
    found, alone = seen(field, rays), seen(black, rays)
    assert ((found.opacity > 0.2) & (found.opacity < 0.8)).all()
    let_through = (1 - found.opacity[:, None]) * background(field, rays)
    torch.testing.assert_close(found.colours, alone.colours + let_through)


def largest_jump(field: Field) -> float:
    """Between neighbouring rays on a line over the border of two experts."""
    line = torch.linspace(-0.8, 0.8, 1601)
    places = torch.stack([line, torch.full_like(line, 0.5)], 1)
    return float(seen(field, rays_down(places)).colours.diff(dim=0).abs().max())


@pytest.mark.parametrize("head", ["shared", "own"])
def test_there_is_no_seam_between_two_experts(head):
    hard, soft = (random_field(ground_regions(margin=margin), head=head) for margin in (1.0, 1.2))
    assert largest_jump(hard) > 0.03
    assert largest_jump(soft) < 0.01


def test_a_code_changes_the_colour_and_not_the_shape():
    field = random_field(appearance="code")
    rays = straight_across()
    plain, coded = seen(field, rays), seen(field, rays, codes=torch.ones(3, field.architecture.code_length))
    assert torch.equal(plain.opacity, coded.opacity)
    assert (plain.colours - coded.colours).abs().max() > 1e-3
    assert torch.equal(plain.colours, seen(field, rays, codes=torch.zeros(3, field.architecture.code_length)).colours)


def test_near_and_far_cut_a_ray():
    field = known_field(ground_at(-0.1))
    rays = rays_down([[0.5, 0.5]])
    assert seen(field, rays).opacity > 0.99
    assert seen(field, replace(rays, far=0.8)).opacity == 0
    assert seen(field, replace(rays, near=3.0)).opacity == 0


def guarded(field: Field, rays: Rays, full_from: float):
    floor = torch.full((len(rays.origins), 3), 0.7)
    return seen(field, rays, guard=Guard(floor, full_from))


def test_in_training_the_floor_is_behind_rays_that_leave_through_it():
    field = emptied(random_field())
    down, past = rays_down([[0.2, 0.3]]), rays_down([[0.9, 0.9]], tilt=(0.3, 0.9, 0.1))
    assert torch.equal(guarded(field, down, 0.0).colours, torch.full((1, 3), 0.7))
    assert torch.equal(guarded(field, past, 0.0).colours, seen(field, past).colours)


def test_in_training_what_is_near_a_camera_learns_by_the_square_of_its_distance():
    field = random_field(background_width=0, density_bias=0.0)
    rays = rays_down([[0.2, 0.3]])
    pulls = []
    for full_from in (1e-6, 10.0):
        samples = field.march(rays, CAPACITY)
        features = field.encode(samples).requires_grad_()
        guard = Guard(torch.zeros(1, 3), full_from)
        radiance(field, rays, samples, features, guard=guard).colours.sum().backward()
        pulls.append(features.grad)
    torch.testing.assert_close(pulls[1], pulls[0] * (samples.t / 10.0).square()[:, None, None])
    assert pulls[0].any()


def test_where_there_should_be_ground_and_none_was_seen_it_is_grey_and_past_the_boxes_the_backdrop():
    field = emptied(random_field())
    down, past = rays_down([[0.2, 0.3]]), rays_down([[0.9, 0.9]], tilt=(0.3, 0.9, 0.1))
    assert torch.equal(seen(field, down).colours, torch.full((1, 3), UNKNOWN))
    assert not torch.isclose(seen(field, past).colours, torch.tensor(UNKNOWN)).all()
