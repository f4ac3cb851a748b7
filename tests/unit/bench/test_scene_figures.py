"""Which photos the bench's figures are of."""

from types import SimpleNamespace

import pytest

from bench.scene_figures import ELSEWHERE, Photos


@pytest.fixture
def photos():
    def made(count):
        return Photos(None, [SimpleNamespace(photo=SimpleNamespace(photo_id=number)) for number in range(count)], [])
    return made


@pytest.mark.parametrize(("count", "watched", "replayed"), [(187, ELSEWHERE, 32), (30, 7, 23), (4, 1, 3)])
def test_no_photo_that_tells_what_is_forgotten_is_replayed(photos, count, watched, replayed):
    flown = photos(count)
    elsewhere, old = ({photo.photo.photo_id for photo in part} for part in (flown.elsewhere, flown.old))
    assert (len(elsewhere), len(old)) == (watched, replayed)
    assert not elsewhere & old
