"""Which broker is meant by the flags."""

from pathlib import Path

import pytest

from adaptive_nerf.common.errors import BadUsage
from kafka_utils.broker import broker_of


def test_the_embedded_broker_with_a_file_of_logins_is_refused(tmp_path):
    with pytest.raises(BadUsage, match=r"leave --kafka-config kafka\.properties out"):
        broker_of("embedded", tmp_path, Path("kafka.properties"))
    assert not any(tmp_path.iterdir())
