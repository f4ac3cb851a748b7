"""A message's bytes -> a job, or a list of what is wrong with it, field by field. Nothing a sender can write gets by.

Canonical JSON is the message *as sent*, before defaults, so that an upgrade of the program changes no identity.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from adaptive_nerf.common.errors import BadInput
from adaptive_nerf.jobs.fields import JOB_ID_IN_WORDS, Envelope
from adaptive_nerf.jobs.spec import MODELS

MOST_BYTES, DEEPEST, LONGEST_NUMBER, MOST_ERRORS = 256 * 1024, 32, 64, 20
KNOWN_FIELDS = {name for model in MODELS.values() for name in model.model_fields}


@dataclass(frozen=True)
class FieldError:
    """One thing that is wrong. `field` is a JSON pointer; values are never quoted, for they may be secrets."""

    field: str
    message: str
    hint: str = ""

    def __str__(self) -> str:
        return f"{self.field or 'message'}: {self.message}" + (f", {self.hint}" if self.hint else "")


class BadMessage(BadInput):
    """A message that is no job."""

    def __init__(self, code: str, errors: list[FieldError]):
        self.code, self.errors = code, errors
        super().__init__("; ".join(map(str, errors)))


@dataclass(frozen=True)
class ReadJob:
    job: Envelope
    canonical: str  # the message as sent, keys sorted
    warnings: tuple[str, ...]  # fields that have no effect in this operation
    idle: Mapping[str, Any] = field(default_factory=dict)  # those fields, as sent


def read_job(content: bytes) -> ReadJob:
    sent = parse(content)
    return job_of(sent)


def job_of(sent: dict[str, Any]) -> ReadJob:
    op = sent.get("op")
    if not isinstance(op, str) or op not in MODELS:
        problem = "is missing" if op is None else "is no operation"
        raise BadMessage("bad_op", [FieldError("/op", problem, f"give one of {', '.join(MODELS)}")])
    model = MODELS[op]
    idle = [name for name in sent if name in KNOWN_FIELDS and name not in model.model_fields]
    try:
        job = model.model_validate({name: value for name, value in sent.items() if name not in idle})
    except ValidationError as error:
        raise BadMessage("bad_spec", _listed(error, model)) from None
    return ReadJob(job, canonical(sent), tuple(f"{name} has no effect in {op}" for name in idle),
                   {name: sent[name] for name in idle})


def canonical(sent: dict[str, Any]) -> str:
    return json.dumps(sent, sort_keys=True, separators=(",", ":"), allow_nan=False)


def parse(content: bytes) -> dict[str, Any]:
    """Strict JSON: UTF-8, one object, no key twice, no NaN, no endless numbers, no deep nesting."""
    if len(content) > MOST_BYTES:
        raise _unreadable("too_large", f"has {len(content)} bytes, more than {MOST_BYTES}")
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _unreadable("not_utf8", f"is not UTF-8 at byte {error.start}") from error
    if _depth(text) > DEEPEST:
        raise _unreadable("too_deep", f"is nested deeper than {DEEPEST}")
    try:
        value = json.loads(text, object_pairs_hook=_distinct, parse_constant=_no_constant, parse_int=_whole,
                           parse_float=_finite)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno} column {error.colno}"
        raise _unreadable("not_json", f"is not JSON at {where}: {error.msg}") from error
    if not isinstance(value, dict):
        raise _unreadable("not_an_object", "is not a JSON object")
    if "\\ud" in text.lower() and not _is_text(value):
        raise _unreadable("not_utf8", "holds half of a surrogate pair, which is no character")
    return value


def _is_text(value: Any) -> bool:
    """Escapes can spell what no file, database or terminal can hold."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def _depth(text: str) -> int:
    """The deepest nesting of brackets outside of strings; more than the parser would see is no harm."""
    depth = deepest = 0
    quoted = escaped = False
    for character in text:
        if quoted:
            quoted, escaped = escaped or character != '"', character == "\\" and not escaped
        elif character == '"':
            quoted = True
        elif character in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif character in "]}":
            depth -= 1
    return deepest


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for name, inner in pairs:
        if name in value:
            raise _unreadable("duplicate_key", f"has the key '{_shown(name)}' twice")
        value[name] = inner
    return value


def _no_constant(name: str) -> None:
    raise _unreadable("not_a_number", f"holds {name}, which is no JSON number")


def _whole(digits: str) -> int:
    if len(digits) > LONGEST_NUMBER:
        raise _unreadable("not_a_number", f"holds a number of {len(digits)} digits")
    return int(digits)


def _finite(digits: str) -> float:
    number = float(digits)
    if number in (float("inf"), float("-inf")):
        raise _unreadable("not_a_number", "holds a number too large for a float")
    return number


def _unreadable(code: str, problem: str) -> BadMessage:
    return BadMessage(code, [FieldError("", problem)])


def _listed(error: ValidationError, model: type[Envelope]) -> list[FieldError]:
    """The first few: an answer must not be larger than what a broker takes, whatever was sent."""
    items = error.errors(include_input=False, include_url=False, include_context=False)
    more = len(items) - MOST_ERRORS
    told = [_told(item, model) for item in items[:MOST_ERRORS]]
    return [*told, FieldError("", f"has {more} more errors")] if more > 0 else told


def _told(item: Any, model: type[Envelope]) -> FieldError:
    place = item["loc"]
    pointer = "".join(f"/{_shown(str(part).replace('~', '~0').replace('/', '~1'))}" for part in place)
    if item["type"] == "extra_forbidden":
        near = difflib.get_close_matches(str(place[0])[:80], model.model_fields, 1, 0.6)
        return FieldError(pointer, "unknown", f"did you mean {near[0]}?" if near else "no field has such a name")
    if item["type"] == "missing":
        return FieldError(pointer, "is missing", model.model_fields[str(place[0])].description or "")
    if item["type"] == "string_pattern_mismatch":
        name = str(place[0])
        hint = JOB_ID_IN_WORDS if name == "job_id" else model.model_fields[name].description
        return FieldError(pointer, "is no such name", hint or "")
    return FieldError(pointer, item["msg"][0].lower() + item["msg"][1:])


def _shown(name: str) -> str:
    """A name that a sender chose, safe in a line of a log: short, ASCII, no control characters."""
    return json.dumps(name)[1:-1][:80]
