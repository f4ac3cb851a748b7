#!/usr/bin/env python3
"""Tells in plain words what this machine has, which engine serves and why, and what to do about each missing thing.

Looks at Python, torch, the GPU and its driver, the C++ compiler, the CPU, the broker, and the service's port. Changes
nothing, but builds the cpu engine where it is not built yet. Exit code 1 where something is wrong.
"""

import sys
from argparse import Namespace
from pathlib import Path

import _launch  # noqa: F401  (first: finds the project's Python)

from adaptive_nerf.common.command_line import parser, print_json, run
from adaptive_nerf.common.errors import AdaptiveNerfError
from adaptive_nerf.common.findings import Finding, port_finding
from adaptive_nerf.engine.diagnosis import findings
from adaptive_nerf.jobs.control import ask
from kafka_utils.diagnosis import broker_finding

EXAMPLES = """\
  ./scripts/doctor.py
  ./scripts/doctor.py --broker localhost:9092 --json"""


def main() -> None:
    command = parser(__doc__, EXAMPLES)
    command.add_argument("--broker", metavar="HOST:PORT", help="where Kafka should be; without it what the mediator "
                         "says that runs with --state, else localhost:9092")
    command.add_argument("--state", type=Path, default=Path(".state"), metavar="DIR",
                         help="state folder of the mediator")
    command.add_argument("--http", metavar="HOST:PORT", default="127.0.0.1:9108", help="where the mediator should be")
    command.add_argument("--json", action="store_true", help="print one JSON list instead of lines")
    options = command.parse_args()
    found = [*findings(), _broker(options), port_finding("mediator", options.http, "start it: python3 mediator.py")]
    if options.json:
        print_json([vars(finding) for finding in found])
    else:
        for finding in found:
            print(finding.line())
    if any(finding.state == "wrong" for finding in found):
        sys.exit(1)


def _broker(options: Namespace) -> Finding:
    """A mediator that is connected knows best: it has the login and the certificates."""
    try:
        told = ask(options.state, {"verb": "status"})
    except AdaptiveNerfError:  # none runs, or none that we may ask
        told = {}
    address = options.broker or told.get("broker") or "localhost:9092"
    if told.get("line") == "connected" and told.get("broker") == address:
        return Finding("Kafka broker", "ok", f"the mediator is connected with {address}")
    return broker_finding("Kafka broker", address, "start one (make kafka; ./scripts/kafka_node.py start), name "
                          "another with --broker, or run: python3 mediator.py --broker embedded")


if __name__ == "__main__":
    run(main)
