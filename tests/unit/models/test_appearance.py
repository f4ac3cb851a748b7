import pytest
import torch

from adaptive_nerf.models.appearance import Appearance, as_taken, codes
from tests.support.fields import tiny_architecture


def looks(kind: str, photo_ids=(4, 9)) -> Appearance:
    return Appearance.of(tiny_architecture(appearance=kind), photo_ids)


@pytest.mark.parametrize(("kind", "width"), [("affine", 6), ("code", 8), ("none", 0)])
def test_every_kind_has_its_width_and_starts_neutral(kind, width):
    found = looks(kind)
    assert found.values.shape == (2, width)
    assert found.neutral.shape == (width,)
    assert not found.values.any()


def test_scales_and_offsets_are_what_a_photo_does_to_the_colours():
    colours = torch.tensor([[0.5, 0.2, 0.1], [1.0, 0.0, 0.4]])
    look = torch.tensor([0.1, -0.5, 0.0, 0.0, 0.1, 0.2])
    torch.testing.assert_close(as_taken("affine", colours, look),
                               torch.tensor([[0.55, 0.2, 0.3], [1.1, 0.1, 0.6]]))
    each = torch.stack([look, torch.zeros(6)])
    torch.testing.assert_close(as_taken("affine", colours, each)[1], colours[1])


@pytest.mark.parametrize("kind", ["code", "none"])
def test_without_scales_the_colours_are_left_alone(kind):
    colours = torch.rand(3, 3)
    assert as_taken(kind, colours, torch.rand(3, 8)) is colours


def test_codes_go_into_the_head_of_that_kind_alone():
    values = torch.rand(3, 8)
    assert codes("code", values) is values
    assert codes("affine", values) is None
    assert codes("none", values) is None


@pytest.mark.parametrize("kind", ["affine", "code", "none"])
def test_new_photos_start_at_the_neutral_look_and_the_others_keep_theirs(kind):
    known = looks(kind)
    known.values.add_(0.3)
    known.neutral.add_(0.1)
    more = known.with_photos([9, 12, 4, 30])
    assert more.photo_ids == (4, 9, 12, 30)
    assert torch.equal(more.values[:2], known.values)
    assert torch.equal(more.values[2:], known.neutral.expand(2, -1))
    assert more.rows([30, 4]).tolist() == [3, 0]
    assert known.photo_ids == (4, 9)


def test_no_photos_are_no_rows():
    assert looks("affine", ()).values.shape == (0, 6)
    assert torch.zeros(5)[looks("affine").rows([])].shape == (0,)
    assert looks("affine").with_photos([]).photo_ids == (4, 9)
