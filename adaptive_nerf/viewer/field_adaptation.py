"""A flight being absorbed by the trained model that the page shows."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

from adaptive_nerf.common.errors import Failure
from adaptive_nerf.common.run_progress import Run
from adaptive_nerf.data.scene import Scene
from adaptive_nerf.jobs.spec import Adapt, View
from adaptive_nerf.models.model import Model
from adaptive_nerf.pipelines.adaptation import old_photos, photos_to_absorb, settings_of
from adaptive_nerf.pipelines.adapter import Adapter
from adaptive_nerf.rendering.types import RenderCancelled
from adaptive_nerf.viewer.backend import StepTaken

STILL_LEARNING_S = 1.5  # after a step: the next one is under way


class FieldAdaptation:
    """`show`: the model has changed, and those who look want to see it. `settle(keep)`: it ends, kept or not.
    `looked_s`: seconds that were spent on pictures since it was shown last."""

    def __init__(self, run: Run[View], scene: Scene, base: Model, flight: str, show: Callable[[], None],
                 settle: Callable[[bool], None], looked_s: Callable[[], float]):
        self.flight, self._show, self._settle, self.looked_s = flight, show, settle, looked_s
        adapt = replace(run, spec=adapt_spec(run.spec, flight))  # type: ignore[arg-type]
        try:
            self._adapter = Adapter(base, photos_to_absorb(adapt, scene), old_photos(adapt, scene),  # type: ignore[arg-type]
                                    settings_of(adapt.spec, scene, base), run.stop_requested)  # type: ignore[arg-type]
        except RenderCancelled as error:
            raise Failure("the page ends; nothing was learned") from error
        self._stepped_at = 0.0

    @property
    def steps(self) -> int:
        return self._adapter.steps

    @property
    def touched(self) -> frozenset[int]:
        return frozenset(self._adapter.touched)

    def is_learning(self) -> bool:
        return time.monotonic() - self._stepped_at < STILL_LEARNING_S

    def live_model(self) -> Model:
        return self._adapter.live_model()

    def model(self, base_digest: str) -> Model:
        """A copy of it as it stands."""
        return self._adapter.model(self.flight, base_digest)

    def step(self) -> StepTaken:
        self._stepped_at = time.monotonic()
        taken = self._adapter.step()
        self._stepped_at = time.monotonic()
        return StepTaken(taken.loss, taken.psnr_db)

    def show(self) -> None:
        self._show()

    def reset(self) -> None:
        self._settle(False)

    def keep(self) -> None:
        self._settle(True)


def adapt_spec(spec: View, flight: str) -> Adapt:
    """What an adapt job would say that begins here: the fields that both have, as they were given."""
    common = spec.model_fields_set & set(Adapt.model_fields) - {"op"}
    return Adapt.model_validate({**{name: getattr(spec, name) for name in common}, "op": "adapt", "batch": flight})
