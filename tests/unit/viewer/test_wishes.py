from adaptive_nerf.rendering.types import Quality
from adaptive_nerf.viewer.wishes import AUTO_PIXELS, MOST_PIXELS, Wish, last_rung, pixels_wanted


def test_best_means_every_pixel_of_the_window_up_to_a_bound():
    assert pixels_wanted(Wish.BEST, 1000 * 800) == 800_000
    assert pixels_wanted(Wish.BEST, 10**8) == MOST_PIXELS
    assert pixels_wanted(Wish.AUTO, 1000 * 800) == AUTO_PIXELS
    assert pixels_wanted(Wish.AUTO, 200 * 100) == 20_000


def test_fast_ends_one_rung_earlier():
    assert [last_rung(wish) for wish in (Wish.AUTO, Wish.FAST, Wish.BEST)] == [Quality.FULL, Quality.FAST, Quality.FULL]
