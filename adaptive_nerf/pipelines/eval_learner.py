"""Takes one batch of photos in, up to ever more steps, and keeps the time that this alone takes."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from adaptive_nerf.common.run_progress import StopRequested
from adaptive_nerf.data.ray_store import LoadedPhoto
from adaptive_nerf.models.model import Model
from adaptive_nerf.pipelines.adapter import Adapter, AdaptSettings
from adaptive_nerf.pipelines.joint import Taken
from adaptive_nerf.pipelines.patience import Patience


@dataclass
class Learner:
    """`seconds` begin with the photos in memory: first looks, the choice of what is replayed (`set_up_s`), steps."""

    base: Model
    new: Sequence[LoadedPhoto]
    old: Sequence[LoadedPhoto]  # for replay
    settings: AdaptSettings
    stopped: Callable[[], bool]
    told: Callable[[int, Taken], None]  # how many steps are done, and what the last one came to
    seconds: float = 0.0
    set_up_s: float = 0.0
    patience: Patience = field(default_factory=Patience)
    _adapter: Adapter | None = None

    def after(self, steps: int) -> Model:
        """As it stands after so many steps, no fewer than last time; after none it is the base."""
        if steps == 0:
            return self.base
        adapter = self._adapter = self._adapter or self._begun()
        while adapter.steps < steps:
            if self.stopped():
                raise StopRequested("stopped between two steps")
            began = time.monotonic()
            try:
                taken = adapter.step()
            except (MemoryError, RuntimeError) as error:
                self.patience.make_do_with_less(error, adapter.joint)
                continue
            finally:
                self.seconds += time.monotonic() - began
            self.patience.look_at(taken.loss, adapter.steps, self.settings.rates)
            self.told(adapter.steps, taken)
        return adapter.model()

    def _begun(self) -> Adapter:
        began = time.monotonic()
        adapter = Adapter(self.base, self.new, self.old, self.settings, self.stopped)
        self.set_up_s = time.monotonic() - began
        self.seconds += self.set_up_s
        return adapter
