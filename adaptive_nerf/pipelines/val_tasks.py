"""What a start is worth: tasks over val photos, adapted on some of them and scored on others, always the same ones.

Their photos have no look of their own yet: they are taken in the neutral one, before and after.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from adaptive_nerf.data.episodes import Cell
from adaptive_nerf.data.ray_store import LoadedPhoto, RayStore
from adaptive_nerf.models.appearance import Appearance
from adaptive_nerf.pipelines.joint import Joint
from adaptive_nerf.pipelines.meta import MetaSettings, adapted, cells_by_slot, drawn, query_loss

MOST_RAYS = 1024  # a task and side: an evaluation is to be cheap
BEFORE, AFTER = "val_query_before_db", "val_query_after_db"


@dataclass(frozen=True)
class ValTasks:
    store: RayStore
    cells: list[list[Cell]]  # of each slot
    ground_x: float

    @classmethod
    def of(cls, joint: Joint, learners: Collection[int], photos: list[LoadedPhoto], place: tuple[float, int],
           ) -> ValTasks | None:
        """None where no two val photos see the same ground. `place`: the ground's X, cells along a side."""
        cells = cells_by_slot(joint.field, learners, photos, *place)
        return cls(RayStore(photos), cells, place[0]) if any(cells) else None

    def score(self, joint: Joint, neutral: Tensor, settings: MetaSettings) -> dict[str, float]:
        """PSNR on the query rays before and after the inner steps. settings.rounds: tasks an expert."""
        sizes = min(settings.support_rays, MOST_RAYS), min(settings.query_rays, MOST_RAYS)
        settings = replace(settings, support_rays=sizes[0], query_rays=sizes[1])
        looks = Appearance(joint.appearance.kind, (), joint.appearance.values[:0], neutral)
        ours = replace(joint, store=self.store, pool=torch.empty(0), step=0,
                       appearance=looks.with_photos(self.store.photo_ids))
        start = replace(ours.field, step=ours.sampling.step)
        losses = torch.zeros(2, dtype=torch.float64)
        for number in range(settings.rounds):
            support, query, n_tasks = drawn(ours, self.cells, self.ground_x, settings, number)
            after = adapted(ours, support, settings, n_tasks)
            losses += torch.tensor([query_loss(ours, field, query) for field in (start, after)])
        return {name: -10 * math.log10(max(loss, 1e-12)) if math.isfinite(loss) else -math.inf
                for name, loss in zip((BEFORE, AFTER), (losses / settings.rounds).tolist(), strict=True)}
