"""Asking the mediator, and telling it what to do: one JSON line in, one JSON line out, through a socket in its state
folder that only its owner can open. The same wishes come as messages on the control topic."""

from __future__ import annotations

import errno
import json
import os
import socket
import socketserver
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from adaptive_nerf.common.errors import AdaptiveNerfError, BadInput, Failure
from adaptive_nerf.jobs.fields import JOB_ID_IN_WORDS, Group, JobId
from adaptive_nerf.jobs.message import BadMessage, FieldError, parse
from adaptive_nerf.jobs.serving import FewCallers, Serving
from adaptive_nerf.jobs.states import Verb

SOCKET = "control.sock"
PATIENCE_S = 10.0
LONGEST_LINE = 1 << 20
LOG_TELLS = "its log, logs/mediator.txt, tells why"
NOBODY = {errno.ENOENT, errno.ECONNREFUSED, errno.ENOTDIR}


class NoMediator(Failure):
    def __init__(self, state: Path):
        super().__init__(f"no mediator runs with the state folder {state}; start one with: "
                         f"python3 mediator.py --state {state}")


class ControlMessage(Group):
    v: Literal[1] = 1
    verb: Literal["cancel", "retry"]
    job_id: JobId


def read_control(content: bytes) -> tuple[Verb, str]:
    """A message of the control topic: {"verb": "cancel", "job_id": "train-1"}."""
    sent = parse(content)
    try:
        control = ControlMessage.model_validate(sent)
    except ValidationError as error:
        raise BadMessage("bad_control", [_told(item) for item in error.errors(include_input=False)]) from None
    return Verb(control.verb), control.job_id


def _told(item: Any) -> FieldError:
    name = str(item["loc"][0])
    if name not in ControlMessage.model_fields:
        return FieldError("", "holds an unknown field", "give verb and job_id")
    if item["type"] == "missing":
        return FieldError(f"/{name}", "is missing", "give verb and job_id")
    if item["type"] == "string_pattern_mismatch":
        return FieldError(f"/{name}", "is no name of a job", JOB_ID_IN_WORDS)
    return FieldError(f"/{name}", item["msg"][0].lower() + item["msg"][1:])


class ControlServer:
    """Serves a socket until `close`. `answer` is called from several threads."""

    def __init__(self, path: Path, answer: Callable[[dict[str, Any]], dict[str, Any]]):
        self._path = path
        self._serving = Serving(_UnixServer(path, answer), "control")

    def close(self) -> None:
        self._serving.close()
        self._path.unlink(missing_ok=True)


def ask(state: Path, request: Mapping[str, Any]) -> dict[str, Any]:
    """What the mediator with this state folder answers; its refusals are raised."""
    line = _exchange(state, json.dumps(request).encode() + b"\n")
    if not line.endswith(b"\n"):
        raise Failure(f"the mediator with the state folder {state} gave no answer; {LOG_TELLS}")
    answer: dict[str, Any] = json.loads(line)
    if "error" in answer:
        raise (Failure if answer.get("failed") else BadInput)(str(answer["error"]))
    return answer


def _exchange(state: Path, line: bytes) -> bytes:
    path = state / SOCKET
    try:
        with socket.socket(socket.AF_UNIX) as link, _short(path) as short:
            link.settimeout(PATIENCE_S)
            link.connect(short)
            link.sendall(line)
            with link.makefile("rb") as stream:
                return stream.readline()
    except (TimeoutError, BlockingIOError) as error:  # the latter from a queue of callers that is full
        raise Failure(f"the mediator with the state folder {state} did not answer within {PATIENCE_S:g} s; "
                      f"{LOG_TELLS}") from error
    except PermissionError as error:
        raise BadInput(f"{path} belongs to another user; ask as the user that runs the mediator") from error
    except (ConnectionResetError, BrokenPipeError):
        return b""
    except OSError as error:
        if error.errno in NOBODY:
            raise NoMediator(state) from error
        raise


@contextmanager
def _short(path: Path) -> Iterator[str]:
    """A name of the socket that fits into the 107 bytes that the kernel has for it, however deep its folder lies."""
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


class _UnixServer(FewCallers, socketserver.UnixStreamServer):
    def __init__(self, path: Path, answer: Callable[[dict[str, Any]], dict[str, Any]]):
        self.path, self.answer = path, answer
        super().__init__(str(path), _Talk)

    def server_bind(self) -> None:
        self.path.unlink(missing_ok=True)  # a killed mediator left it; the store's lock says that it is dead
        os.fchmod(self.socket.fileno(), 0o600)  # before it has a name, so that there is no instant for others
        with _short(self.path) as short:
            self.socket.bind(short)


class _Talk(socketserver.StreamRequestHandler):
    timeout = PATIENCE_S
    server: _UnixServer

    def handle(self) -> None:
        line = self.rfile.readline(LONGEST_LINE)
        if line.endswith(b"\n"):
            answer = _answer(line, self.server.answer)
            self.wfile.write(json.dumps(answer).encode() + b"\n")


def _answer(line: bytes, answer: Callable[[dict[str, Any]], dict[str, Any]]) -> dict[str, Any]:
    try:
        return answer(parse(line))
    except AdaptiveNerfError as error:
        return {"error": str(error), "failed": not isinstance(error, BadInput)}
