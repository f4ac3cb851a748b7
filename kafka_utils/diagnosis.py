"""Whether what answers at the broker's address is a broker."""

import importlib

from adaptive_nerf.common.findings import Finding, port_finding
from adaptive_nerf.common.transport import BrokerError

WAIT_S = 2.0


def broker_finding(name: str, address: str, remedy: str) -> Finding:
    found = port_finding(name, address, remedy)
    if found.state != "ok":
        return found
    try:
        reachable = importlib.import_module("kafka_utils.topic_manager").reachable
    except ImportError as error:  # the client library is what may be missing on the machine that is looked at
        return Finding(name, "wrong", f"something answers at {address}, and there is no Kafka client here to ask it "
                       f"({error})", "make setup")
    try:
        reachable({"bootstrap.servers": address}, WAIT_S)
    except BrokerError as error:
        return Finding(name, "missing", f"something answers at {address}, but not as a broker would: {error}", remedy)
    return Finding(name, "ok", f"a broker answers at {address}")
