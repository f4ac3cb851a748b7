"""What the page stands on: a scene, a model that may come later and change, and a flight being absorbed.

The page knows this alone, so it is built and tested over the town's mesh as well as over a trained model. Everything
here may be called from any thread, and answers at once where nothing else is said.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from adaptive_nerf.data.scene import Scene
from adaptive_nerf.geometry.boxes import Box
from adaptive_nerf.geometry.types import Array
from adaptive_nerf.rendering.types import Renderer
from adaptive_nerf.viewer.status_words import ModelState


@dataclass(frozen=True)
class Points:
    """The sparse points of the survey."""

    positions_viewer: Array  # [n, 3] in the VIEWER frame
    colours: npt.NDArray[np.uint8]  # [n, 3] sRGB


@dataclass(frozen=True)
class PointsNow:
    """The points as far as they are known."""

    points: Points | None = None
    words: str = ""  # why there are none; empty: they are there, or still being read

    @property
    def known(self) -> bool:
        return self.points is not None or bool(self.words)


class SoloRenderer(Renderer, Protocol):
    """A Renderer that can leave experts out."""

    def only(self, experts: Collection[int]) -> SoloRenderer:
        """The same with nothing to see of the other experts: what they hid shows."""
        ...

    @property
    def memory_was_short(self) -> bool:
        """It renders more slowly since, in smaller pieces."""
        ...


@dataclass(frozen=True)
class ModelNow:
    """The model at one moment; all of it belongs together."""

    state: ModelState = ModelState.NONE
    words: str = ""  # why there is none, what is being loaded, why it failed; foreign text
    renderer: SoloRenderer | None = None  # None until there is a model; the former one while another is loaded
    version: str = ""  # for people: which checkpoint
    epoch: int = 0  # grows with every change of what is rendered
    expert_boxes: tuple[Box, ...] = ()  # scene units
    notice: str = ""  # what people should know besides: why no newer one comes; foreign text


class Backend(Protocol):
    @property
    def scene(self) -> Scene:
        """Frame, photos with cameras, names, splits and pixels on demand, later flights."""
        ...

    def look_for_flights(self) -> None:
        """Later flights that were added since are in `scene` from now on; reading one takes seconds."""
        ...

    def points(self) -> PointsNow:
        """Subscribers are told when they have been read."""
        ...

    def model(self) -> ModelNow: ...

    def subscribe(self, changed: Callable[[], None]) -> Callable[[], None]:
        """`changed` is called after each change of what `model` tells, from any thread; it must be quick. Returns what
        ends that."""
        ...

    def states(self) -> Sequence[str]:
        """What the model can be compared with, newest first: before the adaptation, other checkpoints."""
        ...

    def renderer_of(self, state: str) -> SoloRenderer:
        """May take seconds. AdaptiveNerfError where it is gone or damaged."""
        ...

    def begin_adaptation(self, flight: str) -> LiveAdaptation:
        """Read the photos of a later flight; takes seconds. The model stays as it is until the first step."""
        ...

    def undo(self) -> None:
        """Take back what was kept last, if anything was."""
        ...

    def can_undo(self) -> bool: ...

    def write_kept(self) -> Path:
        """What was kept, as a checkpoint of this job, lest it go with the process; it does not become the newest one
        before `save`, for it may be undone. Takes seconds."""
        ...

    def save(self) -> Path:
        """Write the model that is shown now as the newest checkpoint of this job; takes seconds."""
        ...


class StepTaken(NamedTuple):
    loss: float
    psnr_db: float  # of the photos' rays of this step


class LiveAdaptation(Protocol):
    """One flight being absorbed. Used by one thread; viewer/shared_adaptation.py shares it among people."""

    def step(self) -> StepTaken:
        """The model that the backend shows changes; `show` tells those who look."""
        ...

    def show(self) -> None:
        """Subscribers are told that the model has changed."""
        ...

    def looked_s(self) -> float:
        """Seconds that were spent on pictures since then, for all who look."""
        ...

    def reset(self) -> None:
        """Back to the model from before the first step."""
        ...

    def keep(self) -> None:
        """The model as it stands is the one from now on; later adaptations begin with it."""
        ...


@dataclass(frozen=True)
class AdaptationStatus:
    """What everybody sees of the one adaptation that there is."""

    flight: str = ""  # empty: none was begun
    started_by: str = ""  # empty: nobody holds it
    running: bool = False
    busy: str = ""  # what takes long at the moment: reading photos, saving
    steps: int = 0
    of: int = 0
    curve: tuple[tuple[int, float, float], ...] = field(default=())  # step, loss, psnr_db, thinned where long
    changed: bool = False  # the model shown is neither the one from before nor kept
    can_undo: bool = False
    error: str = ""  # of the last action; foreign text
    saved: str = ""  # where the last checkpoint was written, inside the job's folder
    kept: str = ""  # where what was kept last lies, inside the job's folder
