"""A world with a node of its own, which may be hurt."""

import pytest

from tests.support.kafka import KafkaNode
from tests.support.world import World, topic_for


@pytest.fixture
def fragile(tmp_path, request):
    with KafkaNode(tmp_path / "kafka") as kafka:
        world = World(tmp_path / "w", kafka.address, topic_for(request.node.originalname))
        yield world, kafka
        world.close()
