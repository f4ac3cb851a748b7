"""A backend for the page over the town itself: the model is the town as it stands, and what happened to it is learned.

Learning the flight `event` turns the town before the event into the town after it, at once.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np

from adaptive_nerf.common.errors import Failure
from adaptive_nerf.data.partition import Partition
from adaptive_nerf.data.scene import Scene
from adaptive_nerf.geometry.cameras import Camera
from adaptive_nerf.rendering.types import Output
from adaptive_nerf.synth.world import World
from adaptive_nerf.viewer.backend import ModelNow, PointsNow, SoloRenderer, StepTaken
from adaptive_nerf.viewer.status_words import ModelState
from tests.support.town_renderer import TownRenderer

BEFORE = "Before the adaptation"


class TownBackend:
    def __init__(self, scene: Scene, partition: Partition, worlds: tuple[World, World], folder: Path):
        self.scene, self._folder = scene, folder
        self.before, self.after = (TownRenderer(world, scene.frame, partition, name)
                                     for world, name in zip(worlds, ("before", "after"), strict=True))
        self._boxes = partition.boxes
        self._lock = threading.Lock()
        self._subscribers: list[Callable[[], None]] = []
        self._kept = False
        self._now = ModelNow(ModelState.READY, "", self.before, "before", 1, self._boxes)

    def look_for_flights(self) -> None:
        """It has those that it was made with."""

    def points(self) -> PointsNow:
        return PointsNow(words="this town is a mesh")

    def model(self) -> ModelNow:
        with self._lock:
            return self._now

    def become(self, now: ModelNow) -> None:
        with self._lock:
            self._now, subscribers = now, list(self._subscribers)
        for changed in subscribers:
            changed()

    def turn(self, after: bool) -> None:
        """Show the town after the event, or before it."""
        renderer, name = (self.after, "after") if after else (self.before, "before")
        self.become(ModelNow(ModelState.READY, "", renderer, name, self.model().epoch + 1, self._boxes))

    def subscribe(self, changed: Callable[[], None]) -> Callable[[], None]:
        with self._lock:
            self._subscribers.append(changed)

        def end() -> None:
            with self._lock:
                self._subscribers.remove(changed)

        return end

    def states(self) -> list[str]:
        return [BEFORE] if self.model().version == "after" else []

    def renderer_of(self, state: str) -> SoloRenderer:
        if state != BEFORE:
            raise Failure(f"{state} is gone")
        return self.before

    def begin_adaptation(self, flight: str) -> TownAdaptation:
        return TownAdaptation(self, flight)

    def pictures(self, camera: Camera) -> list[np.ndarray]:
        """Before and after the event."""
        return [renderer.render(camera, frozenset({Output.RGB})).rgb for renderer in (self.before, self.after)]

    def undo(self) -> None:
        self._kept = False
        self.turn(False)

    def can_undo(self) -> bool:
        return self._kept

    def keep(self) -> None:
        self._kept = True

    def write_kept(self) -> Path:
        return self.save()

    def save(self) -> Path:
        path = self._folder / "checkpoints" / f"{self.model().version}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self.model().version)
        return path.relative_to(self._folder)


class TownAdaptation:
    def __init__(self, backend: TownBackend, flight: str):
        if flight not in backend.scene.flights:
            raise Failure(f"there is no flight {flight}")
        self._backend, self._steps = backend, 0
        photo = backend.scene.flights[flight][0]
        camera = photo.camera(backend.scene.frame.metres_per_unit).resized(64, 48)
        self._pictures = backend.pictures(camera)

    def step(self) -> StepTaken:
        """What a photo of the flight differs from the model, if a step brought it a twentieth nearer."""
        self._steps += 1
        before, after = self._pictures
        loss = float((((before - after) * np.exp(-self._steps / 20)) ** 2).mean()) + 1e-4
        return StepTaken(loss, -10 * math.log10(loss))

    def show(self) -> None:
        self._backend.turn(True)

    def looked_s(self) -> float:
        return 0.0

    def reset(self) -> None:
        self._backend.turn(False)

    def keep(self) -> None:
        self._backend.keep()
