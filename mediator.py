#!/usr/bin/env python3
"""The mediator: takes jobs from a Kafka topic and runs each in a process of its own. It loses nothing.

Jobs go on when it is stopped or killed, and are taken back at its next start.
"""

import signal
from argparse import Namespace
from pathlib import Path

import scripts._launch  # noqa: F401  (first: finds the project's Python)
from adaptive_nerf.common import command_line, log_setup
from adaptive_nerf.common.atomic_files import disk_full_named
from adaptive_nerf.common.errors import BadUsage, DiskFull, Failure
from adaptive_nerf.jobs.cleanup import clean_up
from adaptive_nerf.jobs.launch import default_runner
from adaptive_nerf.jobs.paths import Roots
from adaptive_nerf.jobs.service import Service
from adaptive_nerf.jobs.settings import Settings, Topics
from kafka_utils.broker import EMBEDDED, broker_of

EXAMPLES = """\
  python3 mediator.py --topic nerfConfigs --broker embedded    # a look: no Kafka needed, messages only in memory
  python3 mediator.py --topic nerfConfigs --broker kafka:9092 --http 127.0.0.1:9108
  python3 mediator.py --topic nerfConfigs --kafka-config /etc/adaptive-nerf/kafka.properties --devices 0,1"""


def arguments() -> command_line.Parser:
    command = command_line.parser(__doc__, EXAMPLES)
    command.add_argument("--topic", default="nerfConfigs", help="jobs come from here; .control, .events and "
                         ".dead-letters stand beside it")
    command.add_argument("--broker", help=f"host:port, or '{EMBEDDED}' for one of our own, in memory, for development; "
                         "without it the embedded one that runs, else localhost:9092")
    command.add_argument("--kafka-config", type=Path, metavar="FILE", help="TLS and login, as properties or JSON")
    command.add_argument("--group_id", default="nerf-mediator", help="consumer group; one mediator in each")
    command.add_argument("--cleanup", action="store_true", help="first remove finished jobs with their checkpoints "
                         "from the logs folder, without asking; logs/example, other jobs and foreign files stay")
    command.add_argument("--devices", metavar="0,1", help="GPUs to use, by number or UUID; without it all")
    command.add_argument("--slots", type=int, metavar="N", help="jobs at once on the CPU; without it one")
    command.add_argument("--light-slots", type=int, default=4, metavar="N", help="viewers at once")
    command.add_argument("--root", type=Path, action="append", metavar="DIR", help="jobs may read here; can be given "
                         "again; without it data/ (and always the logs folder)")
    command.add_argument("--logs", type=Path, default=Path("logs"), metavar="DIR", help="a folder for each job")
    command.add_argument("--state", type=Path, default=Path(".state"), metavar="DIR", help="the service's memory: "
                         "outside of the logs, on a disk that lasts")
    command.add_argument("--http", default="127.0.0.1:9108", metavar="HOST:PORT", help="/livez /readyz /metrics /jobs, "
                         "read-only; 'off' for none")
    command.add_argument("--grace", type=float, default=30.0, metavar="S", help="seconds between the polite stop of a "
                         "job and its kill")
    command.add_argument("--retry-base", type=float, default=10.0, metavar="S", help="wait before the first retry; "
                         "doubles each time")
    command.add_argument("--backlog", type=int, default=100_000, metavar="N", help="take no more messages while so "
                         "many jobs wait")
    command.add_argument("--runner", type=Path, default=default_runner(), metavar="FILE",
                         help="the program that runs one job")
    stop = command.add_mutually_exclusive_group()
    stop.add_argument("--drain", action="store_true", help="when stopped: wait for running jobs first")
    stop.add_argument("--stop-jobs", action="store_true", help="when stopped: cancel running jobs politely first")
    return command


def main() -> None:
    given = arguments().parse_args()
    topics = Topics(given.topic)
    for root in given.root or []:
        if not root.is_dir():
            raise BadUsage(f"--root {root} is no folder; name one that holds what jobs may read")
    try:
        with disk_full_named(given.state):
            serve(given, topics)
    except DiskFull as error:  # exit 1 and not 2, which tells systemd that another try is of no use
        raise Failure(str(error)) from error


def serve(given: Namespace, topics: Topics) -> None:
    log_setup.set_up(given.logs)
    logs = given.logs.resolve()
    settings = Settings(
        topics=topics, group_id=given.group_id, roots=Roots.of(logs, given.root or [Path("data")]),
        state=given.state.resolve(), logs=logs, runner=given.runner.resolve(), devices=given.devices,
        slots=given.slots, light_slots=given.light_slots, http="" if given.http == "off" else given.http,
        grace_s=given.grace, retry_base_s=given.retry_base, backlog=given.backlog,
        at_stop="drain" if given.drain else "stop" if given.stop_jobs else "leave")
    broker = broker_of(given.broker, given.state, given.kafka_config)
    try:
        service = Service(settings, broker)
        if given.cleanup:
            clean_up(logs, service.store.unfinished())
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: service.leave())
        service.run()
    finally:
        broker.close()


if __name__ == "__main__":
    command_line.run(main)
