"""A test that could not send what it wanted to has proven nothing."""

import pytest

from tests.support.world import World


def test_what_could_not_be_sent_spoils_the_verdict(tmp_path):
    world = World(tmp_path / "world", "127.0.0.1:1", "jobs")
    world.ledger.send_bytes(bytes(9_000_000))  # more than its producer takes
    with pytest.raises(AssertionError, match=r"could not send all that it wanted to: .*too large"):
        world.verdict()
