"""manifest.json of a checkpoint: everything but the numbers. A model can be placed in the world without its scene."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from adaptive_nerf.common.errors import BadData

FORMAT_VERSION = 1
NAME = "manifest.json"


class Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class FileRecord(Part):
    file: str = Field(pattern=r"^[A-Za-z0-9_]+\.safetensors$")  # a plain name: nothing outside the folder is opened
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    bytes: int = Field(ge=0)


class ExpertRecord(FileRecord):
    id: int = Field(ge=0)
    steps: int = Field(ge=0)


Place = Annotated[list[float], Field(min_length=3, max_length=3)]
Box = Annotated[list[float], Field(min_length=6, max_length=6)]  # low, then high


class RegionRecord(Part):
    """Where the experts lie, in scene units; by expert, in the order of `experts`."""

    boxes: list[Box]
    centroids: list[Place]
    margin: float = Field(ge=1)
    axes: Annotated[list[Literal[0, 1, 2]], Field(min_length=1, max_length=3)]
    routing: Literal["smooth", "inverse"]
    cell: float = Field(gt=0)  # edge of an occupancy cell
    step: float = Field(gt=0)  # along a ray


class LineageRecord(Part):
    base: str
    op: str
    batch: str
    steps: int
    at: str


class Manifest(Part):
    format_version: int
    kind: Literal["train", "adapt", "merge"]
    step: int = Field(ge=0)
    architecture: dict[str, Any]
    scene_frame: dict[str, Any]
    scene_id: str
    regions: RegionRecord
    experts: list[ExpertRecord] = Field(min_length=1)
    shared: FileRecord
    photo_ids: list[int]
    optimiser: list[FileRecord] | None
    training: dict[str, Any]
    lineage: list[LineageRecord]
    made_by: dict[str, Any]


def read(content: bytes, path: str) -> Manifest:
    """Refuses a newer format by name, and anything that is not whole."""
    _require_known_version(content, path)
    try:
        found = Manifest.model_validate_json(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the whole file"
        raise BadData(path, first["msg"], key=where, expected="the manifest of a checkpoint") from error
    n = len(found.experts)
    if not len(found.regions.boxes) == len(found.regions.centroids) == n:
        raise BadData(path, f"has {len(found.regions.boxes)} boxes for {n} experts", key="regions",
                      expected="one box and one centroid an expert")
    if len({record.id for record in found.experts}) != n:
        raise BadData(path, "names an expert twice", key="experts", expected="one entry an expert")
    return found


def _require_known_version(content: bytes, path: str) -> None:
    """First of all: a newer manifest may hold what this program does not know."""
    try:
        version = json.loads(content)["format_version"]
    except (ValueError, KeyError, TypeError) as error:
        raise BadData(path, "is not the manifest of a checkpoint", key="format_version",
                      expected=str(FORMAT_VERSION)) from error
    if version != FORMAT_VERSION:
        raise BadData(path, f"is {version}", key="format_version",
                      expected=f"{FORMAT_VERSION}; a newer program reads newer checkpoints")
