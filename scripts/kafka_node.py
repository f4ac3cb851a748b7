#!/usr/bin/env python3
"""One Apache Kafka node on this machine: the real broker, for development and for tests that must not be fooled.

Needs Java 17 and the jars that `make kafka` brings. Records survive a stop and a kill; they lie in the data folder.
It listens on 127.0.0.1 alone, without passwords. `status` ends with 1 where none runs.
"""

from argparse import Namespace
from pathlib import Path

import _launch

from adaptive_nerf.common.command_line import parser, run
from adaptive_nerf.common.errors import Failure
from adaptive_nerf.common.say import say
from kafka_utils import node

EXAMPLES = """\
  make kafka                                 # once: the jars
  ./scripts/kafka_node.py start              # answers at localhost:9092 after some seconds
  ./scripts/kafka_node.py status
  ./scripts/kafka_node.py stop"""
HOME = _launch.CLONE / ".kafka"


def main() -> None:
    options = _options()
    {"start": _start, "stop": _stop, "status": _status}[options.verb](options)


def _start(options: Namespace) -> None:
    before = node.find(options.data)
    extra = {"log.flush.interval.messages": "1"} if options.sync else {}
    identity = node.start(node.Node(options.data, HOME / "libs", options.port, extra=extra))
    say(f"the Kafka node {'runs already' if before else 'answers'} at {node.address(options.data)} "
        f"(process {identity.pid}, data in {options.data})")


def _stop(options: Namespace) -> None:
    say("the Kafka node has stopped" if node.stop(options.data) else f"no Kafka node of {options.data} runs")


def _status(options: Namespace) -> None:
    identity = node.find(options.data)
    if identity is None:
        raise Failure(f"no Kafka node of {options.data} runs; ./scripts/kafka_node.py start starts one")
    say(f"the Kafka node runs at {node.address(options.data)} (process {identity.pid}, log {options.data / node.LOG})")


def _options() -> Namespace:
    command = parser(__doc__, EXAMPLES)
    command.add_argument("verb", choices=("start", "stop", "status"), help="what to do")
    command.add_argument("--data", type=Path, default=HOME / "node", metavar="FOLDER", help="data, settings and log")
    command.add_argument("--port", type=int, default=9092, help="where clients connect")
    command.add_argument("--sync", action="store_true", help="with start: each record is on the disk before it is "
                         "acknowledged, so that a power cut loses none; slower")
    return command.parse_args()


if __name__ == "__main__":
    run(main)
