"""What a job is: one frozen model for each operation, told apart by `op`."""

from typing import Annotated, Literal

from pydantic import Field

from adaptive_nerf.jobs.fields import (
    Appearance,
    Architecture,
    Checkpoint,
    Count,
    CountOrNone,
    Depths,
    Envelope,
    LearningRates,
    NonNegative,
    Positive,
    Rendering,
    Scene,
    Share,
    Steps,
)


class Train(Architecture, Appearance, LearningRates, Depths, Checkpoint, Rendering, Scene, Envelope):
    """Meta-learning over tasks drawn per expert and ground cell, after a joint phase."""

    op: Literal["train"]
    algo: Literal["fomaml", "reptile", "joint"] = Field("fomaml", description="joint is plain training, the baseline")
    warmup_joint: Share = Field(0.8, description="share of the steps that goes to a joint phase first")
    inner_params: Literal["mlp", "all"] = Field("mlp", description="what the inner loop changes: trunks, or tables too")
    inner_iter: CountOrNone = Field(8, description="steps of the inner loop")
    inner_lr: Positive = Field(0.015, description="rate of the inner loop")
    batch_size: Count = Field(3, description="tasks per expert and outer step")
    support_rays: Count = Field(4000, description="rays a task to adapt on")
    query_rays: Count = Field(2000, description="rays a task to score on, from other photos")
    cell_dim: Count = Field(5, description="tasks are drawn from cell_dim x cell_dim ground cells per expert")
    test_batch_size: Count = Field(3, description="tasks per evaluation")
    num_submodules: Count | None = Field(None, description="must equal the partition's number of experts")
    outer_steps: CountOrNone = Field(20_000, description="steps to take in this job, on top of a checkpoint's")
    seconds: NonNegative = Field(0.0, description="bounds the run by time instead of steps; 0 = steps")
    rays: Count | None = Field(None, description="upper bound of rays a step in joint training")
    samples: Count = Field(262_144, description=(
        "upper bound of samples a step in joint training; the first 2000 steps take 65,536 at most"))
    experts: Steps | None = Field(None, description="ids to train, all else frozen; without one all are trained")
    no_scheduler: bool = Field(False, description="keep the learning rates constant")
    schedule: Literal["exponential", "cosine"] = Field("exponential", description="how the rates decay after warm-up")
    decay_factor: Annotated[float, Field(gt=0, le=1)] = Field(0.03, description="the rates' last share of their first")
    eval_step: Count = Field(200, description="evaluate every so many steps")
    save_step: Count = Field(1000, description="save every so many steps")
    keep: Count = Field(3, description="newest checkpoints kept besides best and last")


class Adapt(Appearance, LearningRates, Depths, Checkpoint, Rendering, Scene, Envelope):
    """Test-time optimisation of a checkpoint on new photos; saved as a new version with its lineage."""

    op: Literal["adapt"]
    batch: str = Field("", description="a later flight continual/<batch>; empty: the val photos")
    tto: Steps = Field((128,), description='steps: a number, a list, or "0,16,64,128"')
    seconds: NonNegative = Field(0.0, description="bounds the run by time instead of steps; 0 = steps")
    support_rays: Count = Field(4000, description="rays a step")
    replay: Share = Field(0.25, description="share of rays from old photos, where the new ones show no news")
    rays: Count | None = Field(None, description="upper bound of rays a step")
    samples: Count = Field(65_536, description="upper bound of samples a step")


class Eval(LearningRates, Depths, Checkpoint, Rendering, Scene, Envelope):
    """Adapts for every value of tto, each from the base, and scores."""

    op: Literal["eval"]
    protocol: Literal["held_out", "same_images"] = Field("held_out", description=(
        "score other photos than those adapted on, or the same ones as the earlier system did"))
    batch: str = Field("", description="a later flight continual/<batch>; empty: the val photos")
    tto: Steps = Field((0, 16, 64, 128), description='steps: a number, a list, or "0,16,64,128"')
    support_rays: Count = Field(4000, description="rays a step")
    test_batch_size: Count = Field(12, description="photos adapted on together")
    replay: Share = Field(0.25, description="share of rays from old photos, where the new ones show no news")
    lpips_weights: str = Field("", description="a file with the AlexNet weights; empty: torch's hub cache, else none")


class View(Checkpoint, Rendering, Scene, Envelope):
    """A web page to fly through the scene."""

    op: Literal["view"]
    viewer_host: str = Field("0.0.0.0", description="address to listen on")
    viewer_port: int = Field(7070, ge=1, le=65_535, description="refused if taken")
    viewer_timeout: NonNegative = Field(0.0, description="ends after so many seconds; 0 = no limit")
    stay: bool = Field(False, description="outlives a graceful stop of the mediator")
    follow: bool = Field(False, description="opens without a checkpoint and takes each newer one of a running job")


class Video(Checkpoint, Rendering, Scene, Envelope):
    """A camera path to an MP4 that plays in a browser."""

    op: Literal["video"]
    camera_path: Literal["turntable", "spiral_in", "north_south", "east_west", "full_coverage"] = Field(
        "turntable", description="a preset path; keyframes rule where they are given")
    keyframes: str = Field("", description="a file of key-frames")
    frames: int = Field(120, ge=1, le=100_000, description="of the video")
    fps: int = Field(24, ge=1, le=240, description="frames a second")
    width: int = Field(960, ge=16, le=8192, multiple_of=2, description="pixels")
    height: int = Field(540, ge=16, le=8192, multiple_of=2, description="pixels")


Job = Annotated[Train | Adapt | Eval | View | Video, Field(discriminator="op")]
MODELS: dict[str, type[Envelope]] = {"train": Train, "adapt": Adapt, "eval": Eval, "view": View, "video": Video}
