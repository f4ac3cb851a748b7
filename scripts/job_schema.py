#!/usr/bin/env python3
"""Prints what a job message may hold: as JSON Schema, or as the page docs/job_message.md."""

import _launch  # noqa: F401  (first: finds the project's Python)

from adaptive_nerf.common.command_line import parser, print_json, run
from adaptive_nerf.jobs.schema import json_schema, markdown

EXAMPLES = """\
  ./scripts/job_schema.py > job.schema.json
  ./scripts/job_schema.py --markdown > docs/job_message.md"""


def main() -> None:
    command = parser(__doc__, EXAMPLES)
    command.add_argument("--markdown", action="store_true", help="the page for people instead of JSON Schema")
    if command.parse_args().markdown:
        print(markdown(), end="")
    else:
        print_json(json_schema())


if __name__ == "__main__":
    run(main)
