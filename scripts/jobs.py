#!/usr/bin/env python3
"""Looks at the jobs of the mediator on this machine, and tells it what to do with them.

It asks through a socket in the mediator's state folder (--state), which only the user that runs it can open.
dead-letters, and cancel or retry with --via-topic, go through the broker instead. Flags stand behind the verb, --state
before it as well; each verb has a --help of its own.
"""

from argparse import SUPPRESS, ArgumentParser
from pathlib import Path

import _launch  # noqa: F401  (first: finds the project's Python)

from adaptive_nerf.client import actions
from adaptive_nerf.client.way import add_broker, add_state
from adaptive_nerf.common.command_line import TeachingFormatter, parser, run
from adaptive_nerf.jobs.states import State

EXAMPLES = """\
  ./scripts/jobs.py list --in running --in failed
  ./scripts/jobs.py show train-1
  ./scripts/jobs.py logs -f train-1
  ./scripts/jobs.py cancel train-1
  ./scripts/jobs.py dead-letters replay 17 --set seed=3"""


def main() -> None:
    given = _parser().parse_args()
    given.action(given)


def _parser() -> ArgumentParser:
    command = parser(__doc__, EXAMPLES)
    add_state(command)
    verbs = command.add_subparsers(metavar="VERB", required=True)

    def verb(name: str, action, text: str, wants_job: bool = False) -> ArgumentParser:
        own = verbs.add_parser(name, help=text, description=text, formatter_class=TeachingFormatter, allow_abbrev=False)
        own.set_defaults(action=action)
        if wants_job:
            own.add_argument("job", metavar="JOB", help="its job_id")
        own.add_argument("--json", action="store_true", help="print JSON instead of text")
        add_state(own, SUPPRESS)
        return own

    for name, action, text in (("list", actions.list_jobs, "the jobs, newest last"),
                               ("watch", actions.watch, "the same list, again every second until Ctrl-C")):
        own = verb(name, action, text)
        own.add_argument("--in", dest="in_state", action="append", type=str.upper, metavar="STATE",
                         choices=[state.value for state in State],
                         help="only those: running, failed, ...; may be given again")
        own.add_argument("--last", type=int, default=30, metavar="N", help="so many of the newest, 1000 at most")
    verb("status", actions.status, "the mediator itself: ready or why not, devices, counts")
    verb("show", actions.show, "everything about a job, its history and its last words", True)
    own = verb("logs", actions.logs, "what a job printed in its latest attempt", True)
    own.add_argument("-f", "--follow", action="store_true", help="and what it prints from now on, to its end")
    own.add_argument("--logs", type=Path, default=Path("logs"), metavar="DIR", help="for when no mediator runs")
    for name, action, text in (
            ("cancel", actions.cancel, "stop a job politely, or do not start it; also one that is still to come"),
            ("retry", actions.retry, "make the next attempt now; or one that has ended again, as a new job")):
        own = verb(name, action, text, True)
        own.add_argument("--via-topic", action="store_true", help="by a message, without a mediator on this machine")
        add_broker(own)
    own = verb("dead-letters", actions.dead_letters, "messages that were no jobs; 'replay OFFSET' sends one again")
    own.add_argument("replay", nargs="*", metavar="replay OFFSET", help="send that one again, as it was or corrected")
    own.add_argument("--set", action="append", metavar="KEY=VALUE", help="replay: change a field; may be given again")
    own.add_argument("--last", type=int, default=20, metavar="N", help="list so many of the newest")
    add_broker(own)
    return command


if __name__ == "__main__":
    run(main)
