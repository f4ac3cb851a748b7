#!/usr/bin/env python3
"""Sends a job to the service, and says whether the service has it.

The message is checked here first, field by field, so that a slip of the finger costs no round trip. Success means that
the mediator has written the job to its disk. The job's name is printed on stdout; all else goes to stderr.

Exit codes: 0 accepted (with --wait: done), 1 the broker or the mediator did not answer, 2 it is no job. With --wait the
exit code of the job: 64 bad job, 65 bad data, 70 own fault, 75 cancelled, 76 out of memory, ...
"""

import sys
from argparse import Namespace
from datetime import datetime
from pathlib import Path

import _launch  # noqa: F401  (first: finds the project's Python)

from adaptive_nerf.client import following, sending
from adaptive_nerf.client.event_stream import EventStream
from adaptive_nerf.client.way import Way, add_broker, add_state, way_of
from adaptive_nerf.common.command_line import parser, run
from adaptive_nerf.common.say import say

EXAMPLES = """\
  ./scripts/send_config.py --configPath configs/train.json --wait
  ./scripts/send_config.py --topic nerfConfigs --configPath configs/train.json --set seconds=600 --set seed=1
  job=$(./scripts/send_config.py --configPath configs/view.json) && ./scripts/jobs.py show $job"""


def main() -> None:
    given = _options()
    sent = sending.message_of(given.configPath, given.set or [], given.job_id, datetime.now())
    way, job_id, message = way_of(given), str(sent["job_id"]), sending.as_bytes(sent)
    way.check()
    if given.no_wait:
        sending.deliver_only(way, message)
        print(job_id, flush=True)
        return
    with EventStream(way) as stream:
        sending.deliver(way, way.topics.jobs, message)
        print(job_id, flush=True)
        try:
            sys.exit(_watch(stream, way, given, job_id))
        except KeyboardInterrupt:
            say(f"no longer watching; {job_id} goes on: ./scripts/jobs.py show {job_id}, or cancel {job_id}")
            sys.exit(130)


def _watch(stream: EventStream, way: Way, given: Namespace, job_id: str) -> int:
    told = sending.answer_of(stream, job_id, given.timeout)
    if not told:
        raise sending.no_answer(way, given.state, job_id, given.timeout)
    if given.wait:
        return following.follow(stream, job_id, told)
    for line in filter(None, map(following.line_of, told)):
        say(f"{job_id} {line}")
    return 0


def _options() -> Namespace:
    command = parser(__doc__, EXAMPLES)
    command.add_argument("--configPath", type=Path, required=True, metavar="FILE", help="the message, as in configs/")
    command.add_argument("--set", action="append", metavar="KEY=VALUE", help="change a field; may be given again")
    command.add_argument("--job_id", help="name of the job; without one it gets its operation and the time")
    waits = command.add_mutually_exclusive_group()
    waits.add_argument("--wait", action="store_true", help="follow the job to its end; Ctrl-C only stops following")
    waits.add_argument("--no-wait", action="store_true", help="return when the broker has the message")
    command.add_argument("--timeout", type=float, default=15.0, metavar="S", help="seconds to wait for the mediator")
    add_broker(command)
    add_state(command)
    return command.parse_args()


if __name__ == "__main__":
    run(main)
