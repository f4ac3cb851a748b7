import numpy as np

from adaptive_nerf.synth.noise import make_tile, visible
from adaptive_nerf.synth.randomness import generator, hash01


def test_a_draw_depends_on_seed_purpose_and_index_alone():
    first = generator(1, "trees", 4).random(3)
    generator(1, "trees", 3).random(100)
    np.testing.assert_array_equal(generator(1, "trees", 4).random(3), first)
    others = [generator(*key).random(3) for key in ((2, "trees", 4), (1, "cars", 4), (1, "trees", 5))]
    assert all((other != first).all() for other in others)


def test_hashes_fill_the_unit_interval_evenly():
    x, y = np.meshgrid(np.arange(-100, 100), np.arange(-100, 100))
    numbers = hash01(x.ravel(), y.ravel(), 7)
    counts = np.histogram(numbers, 10, (0, 1))[0]
    assert counts.min() > 0.9 * counts.mean()
    assert counts.sum() == numbers.size


def test_noise_repeats_nowhere_sharply_and_is_smoother_from_afar():
    tile = make_tile(0)
    x = np.linspace(0, 20, 5000, dtype=np.float32)
    near, far = (tile.at(x, x * 0, 0.1, np.full(len(x), size, np.float32)) for size in (0.05, 0.8))
    assert np.abs(np.diff(near)).max() < 0.5  # interpolated: no steps between texels
    assert np.abs(np.diff(far)).mean() < 0.3 * np.abs(np.diff(near)).mean()


def test_a_pattern_finer_than_a_pixel_is_not_drawn():
    sizes = np.array([0.01, 0.1, 0.5], np.float32)
    np.testing.assert_allclose(visible(0.3, sizes), [1, 1, 0], atol=1e-6)
