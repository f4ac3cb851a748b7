"""Jobs in files: the messages that people keep in configs/, and job.json in the folder of each job.

job.json, version 1:
    {"v": 1, "job_id": "...",
     "spec": {...},      the message as sent; this is what makes two jobs the same
     "resolved": {...},  the same with every default, as the runner used it
     "runs": [{"at", "commit", "versions", "machine", "device"}, ...]}  one for each start of the runner, newest last
The mediator writes the first three keys before the first attempt and leaves the file alone afterwards; the runner adds
the others. The runner takes either kind of file.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from adaptive_nerf.common import atomic_files
from adaptive_nerf.common.errors import BadData, BadUsage
from adaptive_nerf.jobs.message import canonical, parse

NAME, VERSION = "job.json", 1
MOST_RUNS = 32


class FolderTaken(BadUsage):
    """A folder belongs to one job for ever: a later one would go on from its checkpoints."""


def read_message(path: Path) -> dict[str, Any]:
    """The message in a file, as it would be sent. Raises BadMessage for what is no JSON object."""
    content = _content(path)
    kept = _kept_by_us(content)
    if kept is None:
        return parse(content)
    _check_version(path, kept)
    return dict(kept["spec"])


def with_settings(sent: dict[str, Any], settings: Sequence[str]) -> dict[str, Any]:
    """The message with "key=value" on top. A value is JSON where it can be read as such, else a text."""
    changed = dict(sent)
    for setting in settings:
        name, equals, value = setting.partition("=")
        if not equals or not name:
            raise BadUsage(f"{setting!r} is no setting; give --set key=value, as in --set seed=3")
        changed[name] = _value(value)
    return changed


def create(path: Path, job_id: str, sent: dict[str, Any]) -> None:
    """Before the first attempt. What is there already stays, if it is the same job."""
    if path.exists():
        check_same(path, sent)
    else:
        atomic_files.write_json(path, {"v": VERSION, "job_id": job_id, "spec": sent})


def check_same(path: Path, sent: dict[str, Any]) -> None:
    if canonical(read_message(path)) != canonical(sent):
        raise FolderTaken(f"{path.parent} holds another job's results; choose another name, or remove that folder")


def record_run(path: Path, sent: dict[str, Any], resolved: dict[str, Any], run: dict[str, Any]) -> None:
    """Add what this start of the runner depends on."""
    kept = _kept_by_us(_content(path)) or {} if path.exists() else {}
    runs = [*kept.get("runs", []), run][-MOST_RUNS:]
    atomic_files.write_json(path, {"v": VERSION, "job_id": resolved["job_id"], **kept, "spec": sent,
                                   "resolved": resolved, "runs": runs})


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BadUsage(f"{path} cannot be read: {(error.strerror or 'unreadable').lower()}") from error


def _kept_by_us(content: bytes) -> dict[str, Any] | None:
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        return None  # the strict reader tells what is wrong with it
    ours = isinstance(value, dict) and "op" not in value and isinstance(value.get("spec"), dict)
    return value if ours else None


def _check_version(path: Path, kept: dict[str, Any]) -> None:
    if kept.get("v") != VERSION:
        raise BadData(path, f"has version {kept.get('v')}", key="v", expected=f"{VERSION}, or a newer program")


def _value(text: str) -> Any:
    try:
        return json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        return text


def _no_constant(name: str) -> None:
    raise ValueError(name)
