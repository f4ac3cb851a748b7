import pytest
from hypothesis import given
from hypothesis import strategies as st

from adaptive_nerf.common.errors import BadUsage
from adaptive_nerf.pipelines.eval_batches import batches_of

COUNTS = st.integers(2, 70)
SIZES = st.integers(2, 30)


def test_every_fourth_photo_is_held_out():
    (batch,) = batches_of(range(12), "held_out", 12)
    assert batch.scored == (3, 7, 11)
    assert batch.adapted == (0, 1, 2, 4, 5, 6, 8, 9, 10)


def test_the_existing_systems_protocol_scores_all_that_it_adapts_on():
    first, rest = batches_of(range(14), "same_images", 12)
    assert first.adapted == first.scored == tuple(range(12))
    assert rest.adapted == rest.scored == (12, 13)


@given(COUNTS, SIZES)
def test_no_photo_is_both_adapted_on_and_scored_and_none_is_left_out(count, size):
    batches = batches_of(range(count), "held_out", size)
    for batch in batches:
        assert batch.adapted
        assert batch.scored
        assert not set(batch.adapted) & set(batch.scored)
    assert sorted(sum((batch.adapted + batch.scored for batch in batches), ())) == list(range(count))


def test_a_small_remainder_joins_the_batch_before_it():
    sizes = [len(batch.adapted) + len(batch.scored) for batch in batches_of(range(62), "held_out", 12)]
    assert sizes == [12, 12, 12, 12, 14]


def test_of_few_photos_the_last_is_held_out():
    (batch,) = batches_of(range(3), "held_out", 12)
    assert (batch.adapted, batch.scored) == ((0, 1), (2,))


@pytest.mark.parametrize(("count", "size"), [(1, 12), (5, 1)])
def test_one_photo_cannot_be_held_out_of_itself(count, size):
    with pytest.raises(BadUsage, match="same_images"):
        batches_of(range(count), "held_out", size)
    assert len(batches_of(range(count), "same_images", size)) == max(1, count // size)
