"""manifest.json of a checkpoint: everything but the numbers. A model can be placed in the world without its scene."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from adaptive_nerf.common.errors import BadData

FORMAT_VERSION = 1
NAME = "manifest.json"


class Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class FileRecord(Part):
    file: str = Field(pattern=r"^[A-Za-z0-9_]+\.safetensors$")  # a plain name: nothing outside the folder is opened
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    bytes: int = Field(ge=0)


class ExpertRecord(FileRecord):
    id: int = Field(ge=0)
    steps: int = Field(ge=0)


class RegionRecord(Part):
    """Where the experts lie, in scene units; by expert, in the order of `experts`."""

    boxes: list[list[float]]
    centroids: list[list[float]]
    margin: float
    axes: list[int]
    routing: Literal["smooth", "inverse"]
    cell: float  # edge of an occupancy cell
    step: float  # along a ray


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
    try:
        found = Manifest.model_validate_json(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the whole file"
        raise BadData(path, first["msg"], key=where, expected="the manifest of a checkpoint") from error
    if found.format_version != FORMAT_VERSION:
        raise BadData(path, f"is {found.format_version}", key="format_version",
                      expected=f"{FORMAT_VERSION}; a newer program reads newer checkpoints")
    n = len(found.experts)
    if not len(found.regions.boxes) == len(found.regions.centroids) == n:
        raise BadData(path, f"has {len(found.regions.boxes)} boxes for {n} experts", key="regions",
                      expected="one box and one centroid an expert")
    return found
