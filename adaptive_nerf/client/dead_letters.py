"""Messages that were no jobs: what was wrong with each, and sending one again, as it was or corrected."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from rich.text import Text

from adaptive_nerf.client.event_stream import open_reader
from adaptive_nerf.client.plain_text import error_lines, printable
from adaptive_nerf.client.sending import NotAJob, as_bytes
from adaptive_nerf.client.tables import console
from adaptive_nerf.client.way import Way
from adaptive_nerf.common.errors import BadInput, BadUsage
from adaptive_nerf.jobs.job_file import with_settings
from adaptive_nerf.jobs.message import BadMessage, job_of, parse
from kafka_utils.reader import Record

SHOWN = 240  # characters of a message


def newest(way: Way, count: int) -> list[dict[str, Any]]:
    """Oldest of them first."""
    reader = open_reader(way, way.topics.dead_letters)
    try:
        return [_told(record, len(reader.partitions) > 1) for record in reader.last(count)]
    finally:
        reader.close()


def print_letters(letters: Sequence[Mapping[str, Any]]) -> None:
    screen = console()
    for letter in letters:
        field = f"{letter['field'].removeprefix('/')}: " if letter["field"] else ""
        hint = f"; {letter['hint']}" if letter["hint"] else ""
        screen.print(Text.assemble((letter["place"], "bold"), f"  {letter['at']}  ", (letter["code"], "red"),
                                   f"  {field}{letter['message']}{hint}"), soft_wrap=True)
        screen.print(Text(f"    from {letter['source']}: {letter['text']}", "dim"), soft_wrap=True)
    if not letters:
        screen.print("no dead letters")


def original(way: Way, place: str) -> tuple[str, bytes]:
    """(the topic that it came from, its bytes as they came)."""
    reader = open_reader(way, way.topics.dead_letters)
    try:
        partition, offset = _place(place, len(reader.partitions) > 1)
        record = reader.at(partition, offset)
    finally:
        reader.close()
    if record is None:
        raise BadInput(f"{way.topics.dead_letters} has no message at {place}; ./scripts/jobs.py dead-letters tells all")
    came_from = _header(record, "source_topic")
    return (came_from if came_from == way.topics.control else way.topics.jobs), record.value


def corrected(value: bytes, settings: Sequence[str]) -> bytes:
    """The message with settings on top, checked as the service will check it; without any just as it was."""
    if not settings:
        return value
    try:
        sent = with_settings(parse(value), settings)
        job_of(sent)
    except BadMessage as error:
        raise NotAJob(error_lines("the corrected message is no job", list(map(asdict, error.errors)))) from error
    return as_bytes(sent)


def job_id_of(value: bytes) -> str | None:
    try:
        job_id = parse(value).get("job_id")
    except BadMessage:
        return None
    return job_id if isinstance(job_id, str) else None


def _told(record: Record, with_partition: bool) -> dict[str, Any]:
    place = f"{record.partition}:{record.offset}" if with_partition else str(record.offset)
    source = "/".join(_header(record, f"source_{part}") for part in ("topic", "partition", "offset"))
    return {"place": place, "at": datetime.fromtimestamp(record.at_s, UTC).isoformat(timespec="seconds"),
            "code": _header(record, "error_code"), "field": _header(record, "json_pointer"),
            "message": _header(record, "message"), "hint": _header(record, "hint"), "source": source,
            "bytes": len(record.value), "text": printable(_text(record.value), SHOWN)}


def _text(value: bytes) -> str:
    text = value[:4 * SHOWN].decode(errors="backslashreplace")
    try:
        return json.dumps(json.loads(text), ensure_ascii=False)  # on one line
    except (ValueError, RecursionError):
        return text


def _header(record: Record, name: str) -> str:
    return printable(record.headers.get(name, b"").decode(errors="backslashreplace"), SHOWN)


def _place(text: str, with_partition: bool) -> tuple[int, int]:
    partition, colon, offset = text.rpartition(":")
    if not (offset.isdecimal() and (partition.isdecimal() if colon else not with_partition)):
        raise BadUsage(f"{printable(text)!r} is no place in the dead letters; give one as ./scripts/jobs.py "
                       f"dead-letters tells it, {'0:17' if with_partition else '17'}")
    return int(partition or 0), int(offset)
