"""One plain line for a person, on stderr; stdout stays free for results."""

import sys


def say(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()
