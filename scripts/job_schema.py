#!/usr/bin/env python3
"""Prints what a job message may hold: as JSON Schema, as the page docs/job_message.md, or as the README's table."""

import _launch  # noqa: F401  (first: finds the project's Python)

from adaptive_nerf.common.command_line import parser, print_json, run
from adaptive_nerf.jobs.schema import json_schema, markdown, summary

EXAMPLES = """\
  ./scripts/job_schema.py > job.schema.json
  ./scripts/job_schema.py --markdown > docs/job_message.md"""


def main() -> None:
    command = parser(__doc__, EXAMPLES)
    shown = command.add_mutually_exclusive_group()
    shown.add_argument("--markdown", action="store_true", help="the page for people instead of JSON Schema")
    shown.add_argument("--summary", action="store_true", help="the README's table of fields instead")
    given = command.parse_args()
    if given.markdown or given.summary:
        print(markdown() if given.markdown else summary(), end="")
    else:
        print_json(json_schema())


if __name__ == "__main__":
    run(main)
