import pytest

from adaptive_nerf.jobs.store import Store
from tests.support.stores import Clock


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def open_store(tmp_path, clock):
    """Opens the same store again and again, as restarts of the service do; an open one is closed first."""
    opened = []

    def open_again(boot="boot-1"):
        while opened:
            opened.pop().close()
        opened.append(Store(tmp_path / "state", "mediator-1", clock, lambda: boot))
        return opened[-1]

    yield open_again
    for store in opened:
        store.close()


@pytest.fixture
def store(open_store):
    return open_store()
