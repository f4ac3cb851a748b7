"""A world for each test, on the development broker for speed and on real Kafka for the verdict."""

import pytest

from tests.support.kafka import dev_broker, real_kafka  # noqa: F401
from tests.support.world import World, topic_for


@pytest.fixture
def real_world(real_kafka,  # noqa: F811
               tmp_path, request):
    """On real Kafka; nothing runs yet."""
    world = World(tmp_path / "w", real_kafka.address, topic_for(request.node.originalname))
    yield world
    world.close()


@pytest.fixture
def dev_world(dev_broker,  # noqa: F811
              tmp_path, request):
    world = World(tmp_path / "w", dev_broker.address, topic_for(request.node.originalname))
    yield world
    world.close()


@pytest.fixture(scope="module", params=["dev_broker", pytest.param("real_kafka", marks=pytest.mark.system)])
def service(request, tmp_path_factory):
    """A mediator that runs for all tests of a file, on either broker; they tell their jobs apart by name.

    The judge looks at all that they did at the end.
    """
    broker = request.getfixturevalue(request.param)
    topic = topic_for(request.module.__name__.rpartition(".")[2])
    world = World(tmp_path_factory.mktemp("service"), broker.address, topic)
    try:
        world.start()
        yield world
        world.must_be_clean()
    finally:
        world.close()
