import numpy as np
import pytest

from adaptive_nerf.pipelines.expert_scores import ExpertScores
from adaptive_nerf.pipelines.metrics import Truth, decibels, psnr

REAL = np.random.default_rng(0).random((12, 16, 3))
HALVES = np.repeat([[0] * 8 + [1] * 8], 12, 0)
EVERYWHERE = np.ones((12, 16), bool)


def test_each_expert_answers_for_its_own_pixels():
    scores = ExpertScores()
    seen = np.where(HALVES[..., None] == 0, REAL * 0.9, REAL * 0.5)
    scores.add(seen, Truth(REAL, EVERYWHERE), HALVES)
    left, right = scores.records(16)
    assert (left.expert, left.tto, left.pixels, left.photos) == (0, 16, 96, 1)
    assert left.neutral_db == pytest.approx(psnr(seen, REAL, HALVES == 0))
    assert right.neutral_db == pytest.approx(psnr(seen, REAL, HALVES == 1))
    assert left.fitted_db is None, "it has no pixel in the right half"
    assert right.fitted_db is not None


def test_photos_are_pooled_pixel_by_pixel():
    scores = ExpertScores()
    scores.add(np.full((2, 4, 3), 0.5), Truth(np.full((2, 4, 3), 0.6), np.ones((2, 4), bool)), np.zeros((2, 4), int))
    few = np.zeros((2, 4), bool)
    few[0, :2] = True
    scores.add(np.full((2, 4, 3), 0.5), Truth(np.full((2, 4, 3), 0.9), few), np.zeros((2, 4), int))
    (record,) = scores.records(0)
    assert (record.pixels, record.photos) == (10, 2)
    assert record.neutral_db == pytest.approx(decibels((8 * 0.01 + 2 * 0.16) / 10))


def test_pixels_of_nobody_and_outside_the_photo_count_for_none():
    scores = ExpertScores()
    scores.add(REAL, Truth(REAL, HALVES == 0), np.where(HALVES == 0, -1, 1))
    assert scores.records(0) == ()


def test_parts_joined_are_the_whole():
    whole, first, second = ExpertScores(), ExpertScores(), ExpertScores()
    for scale, part in ((0.9, first), (0.5, second)):
        for scores in (whole, part):
            scores.add(REAL * scale, Truth(REAL, EVERYWHERE), HALVES)
    first.join(second)
    assert first.records(8) == whole.records(8)
