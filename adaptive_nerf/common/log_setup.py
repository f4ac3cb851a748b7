"""Where log lines go: the terminal, a plain file for people, a JSON file for programs. Secrets go nowhere.

A line is one line: what a sender or a child wrote cannot start a second one, nor reach the terminal as control
characters. A log that cannot be written, as on a full disk, never stops the work: the terminal still has the line.
"""

import json
import logging
import re
import sys
from datetime import UTC, datetime
from logging.handlers import RotatingFileHandler
from pathlib import Path

from adaptive_nerf.common import atomic_files

LINE, TIME = "%(asctime)s %(levelname)s %(message)s", "%Y-%m-%d %H:%M:%S"
MOST_BYTES, KEPT_FILES = 16 * 2**20, 4  # of each file, and how many older ones stay beside it
EXTRAS = ("job_id", "attempt")  # what `logger.info(text, extra={...})` adds to a JSON line
SECRET_NAME = r"[\w.\-]*(?:passw(?:or)?d|passphrase|secret|token|credential|api[_-]?key)[\w.\-]*"
VALUE = r"""(?:\\"[^"]*"|"(?:[^"\\]|\\.)*"|'[^']*'|[^\s,;&"'}\])]+)"""
SECRETS = re.compile(rf"""(?i)({SECRET_NAME}\\?["']?\s*[=:]\s*){VALUE}""")
BEARERS = re.compile(r"(?i)\b((?:bearer|basic)\s+)[\w.~+/=\-]{8,}")
LOGINS = re.compile(r"(://[^\s/:@]+:)[^\s/@]+(@)")
CONTROL = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160)) if chr(code) not in "\n\t"}


def set_up(folder: Path) -> None:
    """The mediator's log: <folder>/mediator.txt, <folder>/mediator.jsonl, and the terminal."""
    atomic_files.make_folder(folder)
    _use(_file(folder / "mediator.txt", PlainLine()), _file(folder / "mediator.jsonl", JsonLine()), _terminal())


def set_up_file(path: Path) -> None:
    """The log of one job: a plain file and the terminal."""
    atomic_files.make_folder(path.parent)
    _use(_file(path, PlainLine()), _terminal())


def without_secrets(text: str) -> str:
    """The last line of defence: whatever looks like password=..., a bearer token or a login in an address."""
    text = SECRETS.sub(r"\1***", text)
    return LOGINS.sub(r"\1***\2", BEARERS.sub(r"\1***", text))


class PlainLine(logging.Formatter):
    """2026-11-21 10:08:20 INFO text; further lines, as of a traceback, are indented."""

    def __init__(self) -> None:
        super().__init__(LINE, TIME)

    def format(self, record: logging.LogRecord) -> str:
        text = without_secrets(super().format(record)).translate(CONTROL)
        return text.replace("\n", "\n    ")


class JsonLine(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {"at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
                "level": record.levelname, "logger": record.name, "message": without_secrets(record.getMessage())}
        line |= {name: getattr(record, name) for name in EXTRAS if hasattr(record, name)}
        if record.exc_info:
            line["traceback"] = without_secrets(self.formatException(record.exc_info))
        return json.dumps(line, default=str)


class SteadyFile(RotatingFileHandler):
    """A log file that drops a line, rather than the work, when it cannot be written."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  (logging's name)
        if not isinstance(sys.exc_info()[1], OSError):
            super().handleError(record)


def _file(path: Path, formatter: logging.Formatter) -> logging.Handler:
    handler = SteadyFile(path, maxBytes=MOST_BYTES, backupCount=KEPT_FILES, encoding="utf-8",
                         errors="backslashreplace")
    handler.setFormatter(formatter)
    return handler


def _terminal() -> logging.Handler:
    handler = logging.StreamHandler()
    handler.setFormatter(PlainLine())
    return handler


def _use(*handlers: logging.Handler) -> None:
    logging.basicConfig(level=logging.INFO, handlers=handlers, force=True)
    logging.captureWarnings(True)
