"""What every command shares: help that teaches, exit codes 0/1/2, one clear line for an error.

Exit codes: 0 done, 1 the work failed, 2 the input or the command line was wrong. 130 after Ctrl-C.
"""

import argparse
import errno
import json
import os
import signal
import sys
from collections.abc import Callable
from typing import Any, NoReturn

from adaptive_nerf.common.atomic_files import OUT_OF_SPACE
from adaptive_nerf.common.errors import AdaptiveNerfError, BadUsage, DiskFull
from adaptive_nerf.common.say import say

# What a place in the file system can refuse through no fault of the program.
NOT_OURS = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT, errno.EISDIR, errno.ENOTDIR, errno.ENAMETOOLONG}


class TeachingFormatter(argparse.RawDescriptionHelpFormatter):
    """Keeps the lines of the description, and names every default that is one."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        default = action.default
        if default is None or default is False or default is argparse.SUPPRESS or not action.help:
            return action.help
        words = " ".join(f"{part:g}" for part in default) if isinstance(default, tuple) else str(default)
        return f"{action.help} (default: {words.replace('%', '%%')})"


class Parser(argparse.ArgumentParser):
    """Answers a wrong command line with one clear line instead of a page of usage."""

    def error(self, message: str) -> NoReturn:
        say(f"error: {message}; {self.prog} --help tells all flags")
        sys.exit(BadUsage.exit_code)


def parser(description: str | None, examples: str = "") -> Parser:
    """A parser whose help ends in examples that can be pasted."""
    epilog = f"examples:\n{examples}" if examples else None
    return Parser(description=description, epilog=epilog, formatter_class=TeachingFormatter, allow_abbrev=False)


def run(main: Callable[[], None]) -> None:
    """Run a command and leave with its exit code."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        main()
        code = 0
        sys.stdout.flush()
    except AdaptiveNerfError as error:
        say(f"error: {error}")
        code = error.exit_code
    except KeyboardInterrupt:
        say("stopped; run the same command again to go on")
        code = 130
    except BrokenPipeError:  # the reader of our output went away, as `| head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    except OSError as error:
        if error.errno in OUT_OF_SPACE:
            say(f"error: {DiskFull(error.filename or 'the output')}")
        elif error.filename is not None and error.errno in NOT_OURS:
            say(f"error: {error.filename}: {(error.strerror or 'cannot be used').lower()}")
        else:
            raise
        code = 2
    sys.exit(code)


def print_json(value: Any) -> None:
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")
