import torch

from adaptive_nerf.models.parameters import initial
from tests.support.fields import tiny_architecture


def alike(first, second) -> bool:
    return all(torch.equal(one, other) for (_, one), (_, other) in zip(first.named(), second.named(), strict=True))


def test_the_same_seed_is_the_same_start_and_another_is_not():
    shape = tiny_architecture()
    assert alike(initial(shape, [0, 1], 7), initial(shape, [0, 1], 7))
    assert not alike(initial(shape, [0, 1], 7), initial(shape, [0, 1], 8))


def test_an_expert_starts_alike_whoever_is_loaded_beside_it():
    shape = tiny_architecture(head="own")
    together, alone = initial(shape, [0, 1, 2], 7), initial(shape, [2], 7)
    for name in ("tables", "trunks", "heads"):
        assert torch.equal(getattr(together, name)[2], getattr(alone, name)[0])
    assert not torch.equal(together.tables[0], together.tables[1])


def test_the_shape_is_that_of_the_architecture():
    shape = tiny_architecture(appearance="code", background_width=0)
    start = initial(shape, range(3), 0)
    assert start.tables.shape == (3, shape.grid.rows, 2)
    assert start.trunks.shape == (3, shape.trunk.network.n_weights)
    assert start.heads.shape == (1, shape.colour_head.n_weights)
    assert shape.colour_head.inputs == 16 + 16 + 8
    assert start.background.shape == (1, 0)


def test_a_copy_can_change_without_the_original():
    start = initial(tiny_architecture(), [0], 0)
    copy = start.copied()
    copy.tables.zero_()
    assert start.tables.any()
    assert all(value.requires_grad for _, value in start.learnable().named())
    assert not start.tables.requires_grad
