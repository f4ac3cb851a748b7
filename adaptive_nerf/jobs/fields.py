"""The groups of fields that a job message is made of; docs/job_message.md is made of their descriptions.

Everything is frozen and strict: a number in quotes is no number. Lengths are metres, times seconds, where the name or
the description says nothing else.
"""

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

MOST_NUMBERS = 64
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1, le=2**31)]
CountOrNone = Annotated[int, Field(ge=0, le=2**31)]


class Group(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", allow_inf_nan=False, defer_build=True)


def numbers_of(value: Any) -> Any:
    """16 -> (16,), "0,16,64" -> (0, 16, 64), a list -> a tuple; anything else is left for pydantic to refuse."""
    if isinstance(value, bool):
        return value
    if isinstance(value, int):
        return (value,)
    if isinstance(value, str) and re.fullmatch(r" *[0-9]{1,10} *(, *[0-9]{1,10} *)*", value, re.ASCII):
        value = [int(part) for part in value.split(",")]
    if isinstance(value, list):
        if len(value) > MOST_NUMBERS:  # said once, before each of them is looked at
            raise ValueError(f"holds more than {MOST_NUMBERS} numbers")
        return tuple(value)
    return value


def whole(value: Any) -> Any:
    """True and 1.0 equal 1, so that a choice of numbers would take them for it."""
    if type(value) is not int:
        raise ValueError("input should be a whole number")
    return value


def without_dots(name: str) -> str:
    if ".." in name:
        raise ValueError("holds '..'")
    return name


JOB_ID = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
JOB_ID_IN_WORDS = "1 to 64 letters, digits, '.', '_' and '-', the first a letter or a digit"
JobId = Annotated[str, Field(pattern=JOB_ID), AfterValidator(without_dots)]
Steps = Annotated[tuple[CountOrNone, ...], BeforeValidator(numbers_of), Field(min_length=1, max_length=MOST_NUMBERS)]


class Envelope(Group):
    """The same for every operation."""

    v: Annotated[Literal[1], BeforeValidator(whole)] = Field(1, description="version of the message")
    job_id: JobId | None = Field(None, description=(
        "name of the job and of its folder in logs/; without one it gets a name from where it lay in the topic"))
    priority: int = Field(5, ge=0, le=9, description="higher runs first")
    timeout_s: NonNegative = Field(0.0, description="stopped after this long; 0 = no limit")
    hang_timeout_s: NonNegative | None = Field(None, description=(
        "stopped when its progress stands still for so long; 0 = never. Without one: 900, for view 0"))
    max_attempts: Count | None = Field(None, description="runs at most so often; without one by the cause of a failure")
    gpus: int = Field(1, ge=0, le=64, description="1 takes a GPU where the host has any, else a CPU slot; 0 = CPU")


class Scene(Group):
    dataset: str = Field("", description="a label for people; selects nothing")
    data_path: str = Field(description="the scene is <data_path>/out/<data_dirname>; or straight a prepared scene")
    data_dirname: str = Field("", description="name of the prepared scene under <data_path>/out")
    mask_dirname: str = Field("", description=(
        "the partition: <scene>/masks/<mask_dirname>. eval, view, adapt, video may leave it out: the checkpoint knows "
        "its experts"))
    downscale: Annotated[float, Field(gt=0, le=1)] = Field(0.25, description=(
        "working size = round(full size x downscale); intrinsics scale with it"))


class Rendering(Group):
    ray_samples: Count = Field(96, description=(
        "upper bound of samples a ray where no occupancy grid helps, and the step size that follows from it"))
    chunk_points: Count = Field(262_144, description="most points evaluated at once; memory, never results")
    boundary_margin: Positive | None = Field(None, description=(
        "effective margin = min(max(1, boundary_margin), the partition's own)"))
    routing: Literal["smooth", "inverse"] = Field("smooth", description="how experts are blended where they overlap")
    use_amp: bool = Field(True, description="half precision where the device gains by it")
    seed: int = Field(0, ge=0, lt=2**63, description="everything random follows from it")


class Checkpoint(Group):
    checkpoint_path: str = Field("", description=(
        "a job_id, a job's folder or a checkpoint folder, with or without a leading logs/; empty = none"))
    prefix: str = Field("best", pattern=r"^(best|last|step[0-9]{1,12})$", description=(
        "which checkpoint there: best, last, step<N>"))
    use_stored_args: bool = Field(True, description=(
        "accepted; the architecture always comes from the checkpoint, and a field that disagrees is refused"))


class Depths(Group):
    near: NonNegative | None = Field(None, description=(
        "metres along the ray, clamped to the box; without one 15 % of the flying height, 0 = from the camera on"))
    far: Positive | None = Field(None, description="metres along the ray; without one as far as the box")


class LearningRates(Group):
    """A group not given follows from lr; none given at all: the rates of pipelines/rates.py."""

    optimizer: Literal["adam", "adamw", "sgd"] = Field("adam", description="adam is lazy on table rows")
    lr: Positive | None = Field(None, description="other rates follow from it: x 100, 20, 20, 10")
    encoding_lr: Positive | None = Field(None, description="of the hash tables (lr x 100)")
    sigma_lr: Positive | None = Field(None, description="of the density trunks (lr x 20)")
    color_lr: Positive | None = Field(None, description="of the colour head (lr x 20)")
    bg_lr: Positive | None = Field(None, description="of the background (lr x 10)")


class Appearance(Group):
    appearance: Literal["affine", "code", "none"] = Field("affine", description="what a photo's exposure may change")
    appearance_lr: Positive | None = Field(None, description="its learning rate; without one 0.001, in adapt 0.01")


class Architecture(Group):
    sigma_depth: Count = Field(1, description="hidden layers of the density trunk")
    color_depth: Count = Field(2, description="hidden layers of the colour head")
    dim_hidden: Count = Field(64, description="width of the density trunk")
    color_hidden: Count = Field(64, description="width of the colour head")
    log2_hashmap_size: int = Field(19, ge=8, le=28, description="entries a level of the hash grid, as a power of two")
    max_resolution: int = Field(4096, ge=16, le=2**20, description="of the finest level")
    levels: int = Field(8, ge=1, le=32, description="of the hash grid (the earlier system: 16)")
    features: Annotated[Literal[1, 2, 4, 8], BeforeValidator(whole)] = Field(4, description=(
        "of an entry (the earlier system: 2)"))
    no_bg_nerf: bool = Field(False, description="switch the background off")
    bg_hidden: Count = Field(32, description="width of the background")
    color_head: Literal["shared", "own"] = Field("shared", description="one colour head for all experts, or one each")
    deferred_color: bool = Field(True, description="colour head once a ray, on composited features")
    density_bias: float = Field(1.0, description="added before the exponential")
