"""Memory for the library, and rows cut into pieces of one slot."""

import errno

import pytest
import torch

from adaptive_nerf.engine.cpu import buffers
from adaptive_nerf.engine.hash_grid import HashGrid

LARGE = (buffers.LARGE,)


def memory_refused(monkeypatch, times):
    """The system has no more, so often; then as it is."""
    left, given = [times], buffers._from_the_system

    def refuse(n_bytes):
        left[0] -= 1
        if left[0] >= 0:
            raise OSError(errno.ENOMEM, "Cannot allocate memory")
        return given(n_bytes)
    monkeypatch.setattr(buffers, "_from_the_system", refuse)


def test_where_memory_is_short_what_lies_spare_is_given_back(monkeypatch):
    large = buffers.large(LARGE, torch.uint8)
    del large
    assert len(buffers._spare) > 0
    memory_refused(monkeypatch, times=1)
    larger = buffers.large((4 * buffers.LARGE,), torch.uint8)
    assert len(larger) == 4 * buffers.LARGE
    assert len(buffers._spare) == 0


def test_where_there_is_none_it_is_a_want_of_memory_as_any_other(monkeypatch):
    buffers._spare.clear()
    memory_refused(monkeypatch, times=2)
    with pytest.raises(MemoryError, match="no 16 MiB for the engine"):
        buffers.large(LARGE, torch.uint8)


@pytest.mark.parametrize("runs", [1, 3, 52, 200])
def test_what_a_forward_takes_its_backward_takes(cpu, runs):
    """However often the slots change from row to row."""
    grid, slots = HashGrid(2, 2, 8, 4, 16), (torch.arange(runs) % 2).to(torch.int32).repeat_interleave(236)
    tables, local = torch.rand(2, grid.rows, 2, requires_grad=True), torch.rand(len(slots), 3)
    cpu.encode(tables, local, slots, grid).sum().backward()
    by_slot = torch.zeros(2).index_add(0, slots.long(), torch.ones(len(slots)))
    torch.testing.assert_close(tables.grad.sum((1, 2)), by_slot * 4)  # weights of a place's corners sum to one
