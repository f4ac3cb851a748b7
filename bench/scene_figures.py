"""What is measured of trained models: pictures of val photos, adaptation, rendering, the town's truth."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy import ndimage

from adaptive_nerf.data.episodes import ground_cells
from adaptive_nerf.data.ground_truth import GroundTruth
from adaptive_nerf.data.ray_store import LoadedPhoto, RayStore, load_photos
from adaptive_nerf.data.scene import Scene, open_scene
from adaptive_nerf.geometry.boxes import Box
from adaptive_nerf.models.mixture import Mixture
from adaptive_nerf.models.model import Model
from adaptive_nerf.pipelines.adaptation import OLD_PHOTOS, evenly
from adaptive_nerf.pipelines.adapter import Adapter, AdaptSettings
from adaptive_nerf.pipelines.eval_batches import batches_of
from adaptive_nerf.pipelines.eval_old_photos import MOST_SHARE_WATCHED
from adaptive_nerf.pipelines.meta import MetaSettings, outer_step
from adaptive_nerf.pipelines.metrics import DepthError, PhotoScore, depth_error, mean_score, psnr
from adaptive_nerf.pipelines.rates import TRAINING, for_a_base_of
from adaptive_nerf.pipelines.scoring import RGB_AND_DEPTH, picture_from, score_photos
from adaptive_nerf.pipelines.training_start import FREE_AIR, ground_x, height_m
from adaptive_nerf.pipelines.training_state import joint_of
from adaptive_nerf.rendering.types import Output, Quality
from bench.harness import Figure, seconds
from bench.jobs_here import Trained

RAYS, STEPS = 2000, 128
FIRST_VAL, BATCH, ELSEWHERE = 12, 12, 40
FEWEST_PIXELS, SEAM_PX = 50, 5
RGB = frozenset({Output.RGB})


@dataclass(frozen=True)
class Photos:
    scene: Scene
    train: list[LoadedPhoto]
    val: list[LoadedPhoto]

    @property
    def elsewhere(self) -> list[LoadedPhoto]:
        """These tell what is forgotten, and are never replayed."""
        return evenly(self.train, min(ELSEWHERE, int(len(self.train) * MOST_SHARE_WATCHED)))

    @property
    def old(self) -> list[LoadedPhoto]:
        """For replay."""
        watched = {photo.photo.photo_id for photo in self.elsewhere}
        return evenly([photo for photo in self.train if photo.photo.photo_id not in watched], OLD_PHOTOS)


def load(folder: Path, downscale: float) -> Photos:
    scene = open_scene(folder)
    photos = list(load_photos(scene.photos, downscale, scene.frame.metres_per_unit))
    return Photos(scene, [photo for photo in photos if photo.photo.split == "train"],
                  [photo for photo in photos if photo.photo.split != "train"])


def scored(model: Model, photos: Sequence[LoadedPhoto]) -> PhotoScore:
    found = mean_score(score_photos(model.mixture("bench"), photos))
    if found is None:
        raise ValueError("there is no photo to score")
    return found


def fitted_db(model: Model, photos: Sequence[LoadedPhoto]) -> float:
    found = scored(model, photos).fitted
    return found.psnr_db if found else float("nan")


def joint(trained: Trained, photos: Photos) -> list[Figure]:
    found = scored(trained.model(), photos.val)
    return [Figure("joint_120s_neutral_db", found.neutral.psnr_db, "dB", 24.6),
            Figure("joint_120s_fitted_db", found.fitted.psnr_db if found.fitted else float("nan"), "dB", 28.0)]


def long(trained: Trained, photos: Photos) -> list[Figure]:
    found = scored(trained.model(), photos.val)
    return [Figure("train_600s_neutral_db", found.neutral.psnr_db, "dB"),
            Figure("train_600s_fitted_db", found.fitted.psnr_db if found.fitted else float("nan"), "dB", 29.5),
            Figure("train_600s_ssim", found.neutral.ssim or float("nan"), "", 0.88)]


def adapter(model: Model, new: Sequence[LoadedPhoto], photos: Photos, replay: float = 0.25) -> Adapter:
    height = height_m(photos.scene) / photos.scene.frame.metres_per_unit
    settings = AdaptSettings(for_a_base_of(model.step), RAYS, replay, seed=0, near=FREE_AIR * height, full_from=height)
    return Adapter(model, new, photos.old, settings)


def adapted(adapting: Adapter, steps: int = STEPS) -> Model:
    while adapting.steps < steps:
        adapting.step()
    return adapting.model()


def same_images(trained: Trained, photos: Photos) -> list[Figure]:
    """The earlier system's protocol: scores what it adapted on, in linear light, each photo in its own look."""
    first = photos.val[:FIRST_VAL]
    began = time.perf_counter()
    model = adapted(adapter(trained.model(), first, photos, replay=0.0))
    took_s = time.perf_counter() - began
    scores = []
    for photo in first:
        row = model.appearance.rows([photo.photo.photo_id])
        mixture = replace(model.mixture("bench"), look=model.appearance.values[row][0])
        scores += score_photos(mixture, [photo])
    return [Figure("same_images_128_db", statistics.mean(score.neutral.psnr_linear_db for score in scores), "dB", 29),
            Figure("same_images_128_s", took_s, "s", 3, "lower")]


def held_out(trained: Trained, photos: Photos) -> list[Figure]:
    """As eval has it: of each batch three of four photos are adapted on, the fourth is scored."""
    model, elsewhere = trained.model(), photos.elsewhere
    gains, losses = [], []
    before_elsewhere = fitted_db(model, elsewhere)
    for batch in batches_of(photos.val, "held_out", BATCH):
        after = adapted(adapter(model, batch.adapted, photos))
        gains.append(fitted_db(after, batch.scored) - fitted_db(model, batch.scored))
        losses.append(before_elsewhere - fitted_db(after, elsewhere))
    return [Figure("held_out_gain_db", statistics.mean(gains), "dB", 1.5),
            Figure("elsewhere_loss_db", statistics.mean(losses), "dB", 0.2, "lower")]


def meta_against_joint(meta: Trained, joint_start: Trained, photos: Photos) -> list[Figure]:
    """Held-out photos after few steps, from a start of the same total time."""
    batch = batches_of(photos.val[:FIRST_VAL], "held_out", FIRST_VAL)[0]
    by_steps: dict[int, list[float]] = {8: [], 32: [], 128: []}
    for trained in (meta, joint_start):
        adapting = adapter(trained.model(), batch.adapted, photos)
        for steps, found in by_steps.items():
            found.append(fitted_db(adapted(adapting, steps), batch.scored))
    return [Figure(f"meta_minus_joint_{steps}_db", ours - theirs, "dB") for steps, (ours, theirs) in by_steps.items()]


def meta_step(meta: Trained, photos: Photos) -> Figure:
    """One task x 4 experts, 1024 rays to adapt on and 512 to score on, 4 inner steps of the trunks."""
    model, store = meta.model(), RayStore(photos.train)
    joint = joint_of(model, store, store.pool(range(len(store))), "adam", seed=0)
    ground = ground_x(photos.scene)
    boxes = [Box(np.array(box[:3]), np.array(box[3:])) for box in model.field.regions.boxes]
    cells = ground_cells(boxes, ground, store.photos, 5)
    by_slot = [[cell for cell in cells if cell.expert == slot] for slot in range(len(boxes))]
    settings = MetaSettings("fomaml", "mlp", 4, 0.015, 1, 1024, 512)
    outer_step(joint, by_slot, ground, settings, TRAINING)
    return Figure("meta_step_s", statistics.median(
        seconds(lambda: outer_step(joint, by_slot, ground, settings, TRAINING)) for _ in range(7)), "s", 0.15, "lower")


def rendering(trained: Trained, photos: Photos) -> list[Figure]:
    mixture, photo = trained.model().mixture("bench"), photos.val[0]
    large = photo.camera.scaled(2.0)
    times = {}
    for name, camera in (("render_256_s", photo.camera), ("render_512_s", large)):
        mixture.render(camera, RGB, Quality.FULL)
        times[name] = statistics.median(seconds(lambda camera=camera: mixture.render(camera, RGB, Quality.FULL))
                                        for _ in range(5))
    return [Figure("render_256_s", times["render_256_s"], "s", 0.1, "lower"),
            Figure("render_512_s", times["render_512_s"], "s", 0.35, "lower")]


def town(trained: Trained, folder: Path, scene_folder: Path) -> list[Figure]:
    """The second flight: three of four photos are adapted on, the fourth is scored where it changed, and elsewhere."""
    photos, truth, model = load(scene_folder, 0.5), GroundTruth.beside(folder), trained.model()
    flight = list(load_photos(photos.scene.flights["event"], 0.5, photos.scene.frame.metres_per_unit))
    batch = batches_of(flight, "held_out", len(flight))[0]
    began = time.perf_counter()
    after = adapted(adapter(model, batch.adapted, photos))
    took_s = time.perf_counter() - began
    old, new = (_by_change(one.mixture("bench"), batch.scored, truth) for one in (model, after))
    return [Figure("town_changed_gain_db", new[0] - old[0], "dB", 4),
            Figure("town_unchanged_loss_db", old[1] - new[1], "dB", 0.3, "lower"),
            Figure("town_adapt_s", took_s, "s", 5, "lower"), *_true_depth(model.mixture("bench"), photos.val, truth)]


def _by_change(mixture: Mixture, photos: Sequence[LoadedPhoto], truth: GroundTruth) -> tuple[float, float]:
    """PSNR, exposure fitted over the unchanged pixels, where the photos changed and where not."""
    found: list[tuple[float, float]] = []
    for photo in photos:
        known = truth.of(photo.photo.name, photo.camera.width, photo.camera.height)
        seen = picture_from(mixture, photo).rgb
        if known is None or known.changed is None or seen is None:
            continue
        changed, same = known.changed & photo.valid, ~known.changed & photo.valid
        if changed.sum() < FEWEST_PIXELS:
            continue
        fitted = np.stack([np.polyval(np.polyfit(seen[..., k][same], photo.colours[..., k][same], 1), seen[..., k])
                           for k in range(3)], -1).clip(0, 1)
        found.append((psnr(fitted, photo.colours, changed), psnr(fitted, photo.colours, same)))
    changed_db, same_db = np.mean(found, axis=0).tolist()
    return changed_db, same_db


def _true_depth(mixture: Mixture, photos: Sequence[LoadedPhoto], truth: GroundTruth) -> list[Figure]:
    errors: list[DepthError] = []
    seams = []
    for photo in photos:
        known = truth.of(photo.photo.name, photo.camera.width, photo.camera.height)
        frame = picture_from(mixture, photo, RGB_AND_DEPTH | {Output.EXPERT})
        if known is None or frame.depth_m is None or frame.rgb is None or frame.expert_id is None:
            continue
        error = depth_error(frame.depth_m, known.depth_m, photo.valid)
        errors += [error] if error else []
        ids = frame.expert_id
        least = ndimage.minimum_filter(ids, SEAM_PX)  # -1: the end of what is known, which is no seam
        border = (ndimage.maximum_filter(ids, SEAM_PX) != least) & (least >= 0)
        if (border & photo.valid).sum() >= FEWEST_PIXELS:
            seams.append(psnr(frame.rgb, photo.colours, border & photo.valid)
                         - psnr(frame.rgb, photo.colours, ~border & photo.valid))
    medians_m = [error.median_m for error in errors if error.median_m is not None]
    p95s_m = [error.p95_m for error in errors if error.p95_m is not None]
    return [Figure("town_depth_median_m", statistics.median(medians_m or [math.inf]), "m", 0.3, "lower"),
            Figure("town_depth_p95_m", statistics.mean(p95s_m or [math.inf]), "m"),
            Figure("town_depth_missing_pct", 100 * statistics.mean(error.missing_share for error in errors), "%",
                   better="lower"),
            Figure("town_seam_db", statistics.mean(seams), "dB", -0.5)]
