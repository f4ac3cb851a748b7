"""Hands a command line to the program that it names, as far as the program's own parser, and no further."""

import argparse
import runpy
import signal
import sys
from pathlib import Path

import pytest

PYTHONS = {"python", "python3", ".venv/bin/python"}


class Accepted(Exception):
    """By the parser."""


def script_of(command: list[str], clone: Path) -> tuple[Path, list[str]] | None:
    """The program of ours that a command line names, and its flags."""
    if command[0] in PYTHONS and command[1:2] == ["-m"]:
        return clone / f"{command[2].replace('.', '/')}.py", command[3:]
    words = command[1:] if command[0] in PYTHONS else command
    return (clone / words[0], words[1:]) if words and words[0].endswith(".py") else None


def must_take(script: Path, flags: list[str], clone: Path) -> None:
    """A parser that does not take the flags ends the test with what it says."""
    real = argparse.ArgumentParser.parse_args

    def parse(parser: argparse.ArgumentParser, *_: object) -> None:
        real(parser, flags)
        raise Accepted

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(argparse.ArgumentParser, "parse_args", parse)
        patch.setattr(sys, "argv", [str(script), *flags])
        patch.chdir(clone)
        patch.syspath_prepend(script.parent)
        try:
            runpy.run_path(str(script), run_name="__main__")
        except Accepted:
            return
        except SystemExit as ending:
            if ending.code in (0, None):  # --help
                return
            pytest.fail(f"{script.name} does not take {' '.join(flags)}: it ends with {ending.code}")
        finally:
            signal.signal(signal.SIGINT, signal.default_int_handler)
    pytest.fail(f"{script} has no parser")
