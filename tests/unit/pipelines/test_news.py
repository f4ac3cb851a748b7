"""Where photos show news: told by differences that are larger than usual over more than a speck."""

from dataclasses import replace

import numpy as np
import torch

from adaptive_nerf.data.ray_store import RayStore
from adaptive_nerf.pipelines.news import news_pool, with_news
from adaptive_nerf.pipelines.replay import seen_by
from tests.support.fields import FRAME
from tests.unit.pipelines.looks import FINER, look_of

UNIT_M = FRAME.metres_per_unit
ROWS, COLUMNS = 36, 48
HOUSE = (slice(10, 20), slice(24, 36))


def street(seed=0):
    """What a photo shows, and a model that is a little off everywhere."""
    draws = np.random.default_rng(seed)
    photo = draws.uniform(0.2, 0.8, (ROWS, COLUMNS, 3))
    return photo, np.clip(photo + draws.normal(0, 0.05, photo.shape), 0, 1)


def fallen_house(valid=None):
    photo, model = street()
    photo[HOUSE] = 1 - photo[HOUSE]
    return look_of(model, photo, np.full((ROWS, COLUMNS), UNIT_M, np.float32), valid)


def test_a_fallen_house_is_news_and_a_wrong_pixel_is_not():
    look = fallen_house()
    look.frame.rgb[30, 8] = 1 - look.frame.rgb[30, 8]
    (told,) = with_news([look])
    assert told.news[12:18, 27:33].all()
    assert not told.news[:, :12].any()
    assert not told.news[28:, :].any()


def test_what_is_usual_is_told_by_all_photos_together():
    photo, model = street(1)
    quiet = look_of(model, photo)
    assert with_news([quiet, fallen_house()])[0].news.mean() < 0.01


def test_news_are_pixels_of_the_photo_where_it_has_a_picture():
    valid = np.ones((ROWS, COLUMNS))
    valid[14:16, 28:30] = 0
    (look,) = with_news([fallen_house(valid)])
    store = RayStore([replace(look.photo, photo=None)])
    pixels = news_pool([look], store.starts)
    row, column = pixels // (FINER * COLUMNS), pixels % (FINER * COLUMNS)
    assert len(pixels) > 0
    assert look.photo.valid[row, column].all()
    assert look.news[row // FINER, column // FINER].all()


def test_photos_without_a_picture_have_no_news():
    (look,) = with_news([fallen_house(np.zeros((ROWS, COLUMNS)))])
    assert not len(news_pool([look], torch.zeros(2, dtype=torch.int64)))


def test_old_rays_to_where_nothing_is_new_are_kept():
    (look,) = with_news([fallen_house()])
    camera = look.frame.camera
    at = np.array([[30.5, 15.5], [6.5, 30.5]])  # of the house; of the street
    right, down = ((at - [camera.cx, camera.cy]) / camera.fx).T[..., None]
    places = camera.c2w[:, 3] + np.array([1.0, 0, 0]) + right * camera.c2w[:, 0] - down * camera.c2w[:, 1]
    assert seen_by(places, [look], UNIT_M).tolist() == [True, False]
    assert seen_by(places, [replace(look, news=None)], UNIT_M).all()
