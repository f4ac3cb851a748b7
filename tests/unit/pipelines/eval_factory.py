"""A made-up evaluation of any size, with figures that differ everywhere so that none can stand in for another."""

import numpy as np

from adaptive_nerf.pipelines.eval_records import (
    Evaluation,
    ExpertRecord,
    ForgettingRecord,
    PhotoRecord,
    TtoRecord,
)
from adaptive_nerf.pipelines.metrics import DepthError, PhotoScore, PictureScore, mean_score

MADE_UP = (0, 16, 64, 128)


def score(at: float, depth: bool = True, lpips: float | None = None) -> PhotoScore:
    neutral = PictureScore(20 + at, 20.5 + at, 0.7 + at / 100, 0.71 + at / 100)
    fitted = PictureScore(23 + at, 23.5 + at, 0.75 + at / 100, 0.76 + at / 100)
    constant = PictureScore(14.4, 14.6, 0.2, 0.21)
    error = DepthError(0.5 - at / 20, 0.9 - at / 20, 3 - at / 20, 0.01) if depth else None
    return PhotoScore(neutral, fitted, constant, error, lpips, 0.956, 0)


def evaluation(names=("DJI_0001.JPG", "DJI_0005.JPG"), ttos=MADE_UP, depth=True, **changes) -> Evaluation:
    rng = np.random.default_rng(len(names))
    photos = tuple(PhotoRecord(name, f"{number:06d}", tto, score(np.log2(tto + 1) / 3 + rng.uniform(-1, 1), depth))
                   for number, name in enumerate(names) for tto in ttos)
    means = {tto: mean_score([record.score for record in photos if record.tto == tto]) for tto in ttos}
    records = tuple(TtoRecord(tto, tto * 0.022, len(names), means[tto]) for tto in ttos)
    experts = tuple(ExpertRecord(expert, tto, 10, 90_000 + 1000 * expert, 20 + expert / 7 + tto / 100,
                                 23 + expert / 7 + tto / 100) for expert in range(4) for tto in ttos)
    forgetting = tuple(ForgettingRecord(tto, 40, score(2, False), score(2 - tto / 1000, False), True)
                       for tto in ttos if tto)
    told = {"job_id": "eval-town-1", "protocol": "held_out", "scene": "data/town/out/prepared", "batch": "event",
            "checkpoint": "logs/train-town/checkpoints/step20000", "made_at": "2026-05-04T10:11:12+00:00",
            "machine": "2 cores of AMD EPYC 9R14", "photo_size": (192, 144), "photos_adapted": 12, "ttos": records,
            "photos": photos, "experts": experts, "forgetting": forgetting, "settings": {"support_rays": "4000"}}
    return Evaluation(**{**told, **changes})
