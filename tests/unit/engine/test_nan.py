"""Where a NaN goes: to the outputs that depend on it, so that a field that has diverged is seen, and to no others."""

from dataclasses import replace

import pytest
import torch

from adaptive_nerf.engine.engines import CPU_HALF, TORCH
from adaptive_nerf.engine.network import colour_head, trunk
from tests.support.engine_cases import ragged_samples

SHAPES = trunk(12, depth=2), colour_head()
LENGTHS = (30, 0, 41, 50, 7)


@pytest.fixture(params=["cpu", "halves", "torch"])
def serving(request, cpu):
    return {"cpu": cpu, "halves": CPU_HALF, "torch": TORCH}[request.param]


def inputs():
    """Samples, weights of trunk and head, features, directions; two slots."""
    samples, generator = ragged_samples(LENGTHS, 3), torch.Generator().manual_seed(3)
    weights = [torch.stack([shape.initial(generator) for _ in range(2)]) for shape in (SHAPES[0].network, SHAPES[1])]
    return samples, *weights, torch.randn(sum(LENGTHS), 6, 2, generator=generator), torch.randn(
        len(LENGTHS), 16, generator=generator)


def only_these_are_nan(found, expected, rows):
    touched = torch.zeros(len(found), dtype=torch.bool)
    touched[rows] = True
    assert found[touched].isnan().all()
    assert torch.equal(found[~touched], expected[~touched])


def values_of(serving, samples, weights, head, features, directions):
    return (serving.trunk(weights, features, samples.slots, SHAPES[0]),
            serving.field(weights, head, features, directions, samples, SHAPES))


def test_a_nan_in_features_is_seen_in_its_sample_alone(serving):
    samples, weights, head, features, directions = inputs()
    expected = values_of(serving, samples, weights, head, features, directions)
    features[77, 3, 1] = torch.nan
    for found, before in zip(values_of(serving, samples, weights, head, features, directions), expected, strict=True):
        only_these_are_nan(found, before, 77)


def test_a_nan_in_weights_is_seen_in_its_slot_alone(serving):
    samples, weights, head, features, directions = inputs()
    expected = values_of(serving, samples, weights, head, features, directions)
    weights[1] = torch.nan
    for found, before in zip(values_of(serving, samples, weights, head, features, directions), expected, strict=True):
        only_these_are_nan(found, before, samples.slots == 1)


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_a_density_that_is_no_number_is_seen_in_its_ray_alone(serving, value):
    samples = ragged_samples(LENGTHS, 3)
    values = torch.rand(sum(LENGTHS), 4, generator=torch.Generator().manual_seed(3))
    expected = serving.composite(values, samples)
    values[samples.order[35].long(), 0] = value  # of the third ray
    found = serving.composite(values, samples)
    others = torch.arange(len(LENGTHS)) != 2
    for name in ("image", "depth", "median", "distortion"):
        assert torch.equal(getattr(found, name)[others], getattr(expected, name)[others]), name
    assert found.image[2].isnan().all() == (value != torch.inf)
    assert found.image[2, 0].isnan() or abs(float(found.image[2, 0]) - 1) < 1e-6  # opaque from there on
    for name in ("weights", "relative"):
        of_others = samples.rays != 2
        assert torch.equal(getattr(found, name)[of_others], getattr(expected, name)[of_others]), name


def test_the_densest_sample_is_as_dense_as_before(serving):
    """The clamp of the density, which NaN passes, still holds everything else."""
    samples, weights, _, features, _ = inputs()
    dense = serving.trunk(weights, features * 1e4, samples.slots, replace(SHAPES[0], density_bias=40.0))[:, 0]
    assert float(dense.max()) == pytest.approx(float(torch.tensor(11.0).exp()), rel=1e-6)
