"""The job models told to others: as JSON Schema for programs, as a page for people."""

import json
from typing import Any

from pydantic import TypeAdapter
from pydantic.fields import FieldInfo

from adaptive_nerf.jobs.spec import MODELS, Job

HEAD = """# The job message

One JSON object in the topic is one job. This page is made from the models (`./scripts/job_schema.py --markdown`).

- An unknown field is refused with the nearest right name; one of another operation is accepted with a warning.
- Numbers are numbers, not text; `NaN` and keys given twice are refused; a message has at most 256 KiB.
- A small message: `{"op": "train", "data_path": "data/town/out/prepared", "mask_dirname": "g22_grid_bm105_ss20"}`.
- Relative paths are meant from the folder that the mediator runs in; each must lie in a `--root` folder or in `logs/`.
- What the service answers is on [a page of its own](events.md).
"""


def json_schema() -> dict[str, Any]:
    return TypeAdapter(Job).json_schema()


def markdown() -> str:
    """Every field once: its operations, its default in each, its meaning."""
    lines = [HEAD, "| operation | what it does |", "|---|---|"]
    lines += [f"| `{op}` | {_cell(model.__doc__ or '')} |" for op, model in MODELS.items()]
    lines += ["", "| field | operations | default | meaning |", "|---|---|---|---|"]
    names = dict.fromkeys(name for model in MODELS.values() for name in model.model_fields)
    lines += [_row(name) for name in names if name != "op"]
    return "\n".join(lines) + "\n"


def summary() -> str:
    """The same in short, for the README: every field with its default, by the operations that have it."""
    groups: dict[str, list[str]] = {"all": ["`op`"]}
    for name in dict.fromkeys(name for model in MODELS.values() for name in model.model_fields if name != "op"):
        fields = _fields(name)
        default = _defaults(fields).replace("`", "")
        groups.setdefault(_operations(fields), []).append(f"`{name}`" + ("" if default == "–" else f" ({default})"))
    rows = [f"| {operations} | {', '.join(names)} |" for operations, names in groups.items()]
    return "\n".join(["| operation | fields |", "|---|---|", *rows]) + "\n"


def _row(name: str) -> str:
    fields = _fields(name)
    meanings = dict.fromkeys(field.description or "" for field in fields.values())
    return f"| `{name}` | {_operations(fields)} | {_defaults(fields)} | {_cell('; '.join(meanings))} |"


def _fields(name: str) -> dict[str, FieldInfo]:
    return {op: model.model_fields[name] for op, model in MODELS.items() if name in model.model_fields}


def _operations(fields: dict[str, FieldInfo]) -> str:
    return "all" if len(fields) == len(MODELS) else ", ".join(fields)


def _defaults(fields: dict[str, FieldInfo]) -> str:
    told = {op: "required" if field.is_required() else _default(field.default) for op, field in fields.items()}
    if len(set(told.values())) == 1:
        return next(iter(told.values()))
    return ", ".join(f"{op}: {default}" for op, default in told.items())


def _default(value: Any) -> str:
    return "–" if value is None or value == "" else f"`{json.dumps(value)}`"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")
