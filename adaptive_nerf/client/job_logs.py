"""What a job printed: its latest attempt so far, or, following, all attempts from there on until the job has ended."""

from __future__ import annotations

import codecs
import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, Protocol

from adaptive_nerf.client.plain_text import printable
from adaptive_nerf.common.errors import BadInput
from adaptive_nerf.common.say import say
from adaptive_nerf.jobs.attempt_files import output_files

LOOK_S, PIECE_BYTES = 0.3, 1 << 16
KEPT = "\n\r\t"  # of the control characters, what a terminal gets


class Follower:
    """Reads the output of the attempts of one job, each byte once, in order."""

    def __init__(self, folder: Path):
        self._folder = folder
        self._attempt = max(_attempts(folder), default=0)
        self._file: tuple[Path, BinaryIO] | None = None

    @property
    def attempt(self) -> int:
        return self._attempt

    def pieces(self) -> Iterator[bytes]:
        """What is there and was not read yet."""
        while True:
            yield from self._rest()
            if not (turn := self._next()):
                return
            yield from self._rest()  # what came before there was a next one, and after the look above
            self._turn_to(turn)

    def close(self) -> None:
        if self._file is not None:
            self._file[1].close()

    def _rest(self) -> Iterator[bytes]:
        while self._file is not None and (piece := self._file[1].read(PIECE_BYTES)):
            yield piece

    def _next(self) -> Path | int | None:
        """The next file of the attempt, or the next attempt; None when there is none yet."""
        there = self._file[0] if self._file else None
        files = [path for path in output_files(self._folder / "attempts" / str(self._attempt))
                 if there is None or path > there or path.parent != there.parent]
        if files:
            return files[0]
        return min((number for number in _attempts(self._folder) if number > self._attempt), default=None)

    def _turn_to(self, turn: Path | int) -> None:
        if isinstance(turn, int):
            if self._attempt:
                say(f"--- attempt {turn}")
            self._attempt = turn
            return
        try:
            stream = turn.open("rb")
        except FileNotFoundError:  # it was dropped just now, for it was the oldest; a later one is there
            return
        self.close()
        if self._file is not None and _is_gap(self._file[0], turn):
            say("--- what was printed in between was too much to be kept")
        self._file = turn, stream


class Output(Protocol):
    def write(self, piece: bytes, attempt: int) -> None: ...
    def close(self) -> None: ...


class Plain:
    """stdout: a terminal gets text without what would steer it, anything else gets byte for byte."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace") if sys.stdout.isatty() else None

    def write(self, piece: bytes, _: int) -> None:
        if self._decoder is not None:
            text = self._decoder.decode(piece)
            sys.stdout.write("".join(sign if sign in KEPT else printable(sign) for sign in text))
        else:
            sys.stdout.buffer.write(piece)
        sys.stdout.flush()

    def close(self) -> None:
        pass


class JsonLines:
    """stdout: an object a line, {"attempt": 1, "line": "..."}."""

    def __init__(self) -> None:
        self._attempt, self._rest = 0, b""

    def write(self, piece: bytes, attempt: int) -> None:
        if attempt != self._attempt:
            self.close()
        self._attempt = attempt
        *whole, self._rest = (self._rest + piece).split(b"\n")
        for line in whole:
            self._print(line)

    def close(self) -> None:
        """What was printed last may have no end of line."""
        if self._rest:
            self._print(self._rest)
        self._rest = b""

    def _print(self, line: bytes) -> None:
        text = line.removesuffix(b"\r").decode(errors="replace")
        sys.stdout.write(json.dumps({"attempt": self._attempt, "line": text}) + "\n")
        sys.stdout.flush()


def print_output(folder: Path, follows: bool, has_ended: Callable[[], bool], as_json: bool = False) -> None:
    """Of the latest attempt so far; `follows`: and what comes, until the job has ended."""
    follower, out = Follower(folder), JsonLines() if as_json else Plain()
    try:
        if follower.attempt == 0 and not follows:
            _print_log(folder, out)
            return
        ended = False
        while True:
            for piece in follower.pieces():
                out.write(piece, follower.attempt)
            if ended or not follows:
                return
            ended = has_ended()  # asked before the last look, so that its last words are read
            if not ended:
                time.sleep(LOOK_S)
    finally:
        out.close()
        follower.close()


def _print_log(folder: Path, out: Output) -> None:
    """Of a job that was run by hand, without attempts."""
    try:
        out.write((folder / "log.txt").read_bytes(), 0)
    except FileNotFoundError as error:
        raise BadInput(f"{folder} holds no output yet; follow it with -f") from error


def _attempts(folder: Path) -> list[int]:
    try:
        return [int(path.name) for path in (folder / "attempts").iterdir() if path.name.isdecimal()]
    except FileNotFoundError:
        return []


def _is_gap(before: Path, after: Path) -> bool:
    """Files are numbered, and the oldest are dropped; head, which stays, stands before number 1."""
    if before.parent != after.parent:
        return False
    return _number(after) > _number(before) + 1


def _number(path: Path) -> int:
    digits = path.name.split(".")[1]
    return int(digits) if digits.isdecimal() else 0
