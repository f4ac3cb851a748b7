import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from adaptive_nerf.pipelines.metrics import (
    Truth,
    decibels,
    depth_error,
    fitted_on_left,
    linear_from_srgb,
    mean_colour,
    mean_score,
    psnr,
    score_photo,
    ssim,
)

EVERYWHERE = np.ones((24, 32), bool)


@pytest.fixture
def pictures():
    rng = np.random.default_rng(1)
    real = rng.random((24, 32, 3))
    return np.clip(real + rng.normal(0, 0.1, real.shape), 0, 1), real


def grey(value, shape=(24, 32)):
    return np.full((*shape, 3), value)


def test_a_difference_of_a_tenth_everywhere_is_20_db():
    assert psnr(grey(0.5), grey(0.6), EVERYWHERE) == pytest.approx(20.0)


def test_equal_pictures_have_120_db():
    assert psnr(grey(0.5), grey(0.5), EVERYWHERE) == 120.0


def test_linear_light_is_what_the_standard_says():
    np.testing.assert_allclose(linear_from_srgb(np.array([0.0, 0.04045, 0.5, 1.0])), [0, 0.0031308, 0.2140411, 1],
                               atol=1e-6)


def test_linear_figures_are_of_linear_pictures():
    score = score_photo(grey(0.5), Truth(grey(0.6), EVERYWHERE))
    by_hand = ((0.655 / 1.055) ** 2.4 - (0.555 / 1.055) ** 2.4) ** 2
    assert score.neutral.psnr_linear_db == pytest.approx(decibels(by_hand))


def test_whole_pictures_score_as_skimage_says(pictures):
    seen, real = pictures
    assert psnr(seen, real, EVERYWHERE) == pytest.approx(peak_signal_noise_ratio(real, seen, data_range=1))
    theirs = structural_similarity(seen, real, channel_axis=2, data_range=1.0, gaussian_weights=True, sigma=1.5,
                                   use_sample_covariance=False)
    assert ssim(seen, real, EVERYWHERE) == pytest.approx(theirs)


def test_what_lies_outside_the_valid_pixels_has_no_part(pictures):
    seen, real = pictures
    valid = EVERYWHERE.copy()
    valid[:, :4] = False
    spoilt = seen.copy()
    spoilt[:, :4] = np.nan
    assert score_photo(spoilt, Truth(real, valid)) == score_photo(seen, Truth(real, valid))
    assert score_photo(spoilt, Truth(real, valid)).valid_share == 28 / 32


def test_the_ssim_of_valid_pixels_is_the_mean_of_the_map_over_them(pictures):
    seen, real = pictures
    valid = EVERYWHERE.copy()
    valid[:12] = False
    pasted = np.where(valid[..., None], seen, real)
    _, similarity = structural_similarity(pasted, real, channel_axis=2, data_range=1.0, gaussian_weights=True,
                                          sigma=1.5, use_sample_covariance=False, full=True)
    assert ssim(seen, real, valid) == pytest.approx(similarity[12:19, 5:27].mean())


def test_a_picture_too_small_for_a_window_has_no_ssim():
    assert ssim(grey(0.5, (10, 40)), grey(0.5, (10, 40)), np.ones((10, 40), bool)) is None


def test_another_exposure_costs_the_neutral_figure_and_not_the_fitted_one(pictures):
    _, real = pictures
    darker = real * np.array([0.5, 0.7, 0.8]) + 0.1
    score = score_photo(darker, Truth(real, EVERYWHERE))
    assert score.neutral.psnr_db < 20
    assert score.fitted.psnr_db > 100


def test_the_fit_knows_the_left_half_only(pictures):
    seen, real = pictures
    changed = real.copy()
    changed[:, 16:] = 1 - changed[:, 16:]
    np.testing.assert_array_equal(fitted_on_left(seen, real, EVERYWHERE), fitted_on_left(seen, changed, EVERYWHERE))


def test_the_fit_is_numpys_own_line(pictures):
    seen, real = pictures
    valid = np.random.default_rng(2).random((24, 32)) < 0.7
    fitted = fitted_on_left(seen, real, valid)
    left = valid[:, :16]
    for channel in range(3):
        scale, offset = np.polyfit(seen[:, :16, channel][left], real[:, :16, channel][left], 1)
        np.testing.assert_allclose(fitted[..., channel], np.clip(seen[..., channel] * scale + offset, 0, 1))


def test_without_a_valid_pixel_on_a_side_nothing_is_fitted(pictures):
    seen, real = pictures
    right_only = EVERYWHERE.copy()
    right_only[:, :16] = False
    score = score_photo(seen, Truth(real, right_only))
    assert score.fitted is None
    assert score.neutral.psnr_db > 0
    assert score_photo(seen, Truth(real, ~EVERYWHERE)) is None


def test_one_constant_colour_is_the_baseline(pictures):
    seen, _ = pictures
    score = score_photo(seen, Truth(grey(0.5), EVERYWHERE, constant_colour=np.array([0.4, 0.5, 0.5])))
    assert score.constant.psnr_db == pytest.approx(decibels(0.01 / 3))


def test_the_mean_colour_is_that_of_valid_pixels():
    half = EVERYWHERE.copy()
    half[:12] = False
    np.testing.assert_allclose(mean_colour([(grey(0.2), EVERYWHERE), (grey(0.8), half)]), 0.4)


def test_values_that_are_no_numbers_count_as_black_and_are_counted():
    seen = grey(0.0)
    seen[0, 0] = np.nan
    seen[0, 1, 2] = np.inf
    score = score_photo(seen, Truth(grey(0.0), EVERYWHERE))
    assert score.pixels_without_number == 2
    assert score.neutral.psnr_db == 120.0


def test_depth_errors_by_hand():
    truth = np.array([[10.0, 10, 10, np.nan, 10, 10]])
    seen = np.array([[11.0, 9, 13, 5, np.nan, 99]])
    error = depth_error(seen, truth, np.array([[True, True, True, True, True, False]]))
    assert (error.median_m, error.mean_abs_m, error.missing_share) == (1.0, pytest.approx(5 / 3), 0.25)
    assert error.p95_m == pytest.approx(2.8)


def test_no_surface_is_no_depth_error():
    nothing = np.full((2, 2), np.nan)
    assert depth_error(np.ones((2, 2)), nothing, np.ones((2, 2), bool)) is None


def test_a_picture_without_any_depth_is_missing_all_of_it_and_counts_in_the_mean():
    truth = Truth(grey(0.6), EVERYWHERE, depth_m=np.ones((24, 32)))
    none, all_of_it = (score_photo(grey(0.5), truth, np.full((24, 32), depth_m)) for depth_m in (np.nan, 3.0))
    assert (none.depth.median_m, none.depth.missing_share) == (None, 1.0)
    mean = mean_score([none, all_of_it])
    assert (mean.depth.median_m, mean.depth.missing_share) == (2.0, 0.5)


def test_the_mean_is_over_the_photos_that_have_the_figure():
    dark = score_photo(grey(0.5), Truth(grey(0.6), EVERYWHERE), lpips=0.2)
    near = score_photo(grey(0.5), Truth(grey(0.51), EVERYWHERE, depth_m=np.ones((24, 32))), np.full((24, 32), 3.0))
    mean = mean_score([dark, near])
    assert mean.neutral.psnr_db == pytest.approx(30.0)
    assert (mean.lpips, mean.depth.median_m, mean.constant) == (0.2, 2.0, None)
    assert mean_score([]) is None
