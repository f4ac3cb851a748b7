"""First-order meta-learning: a start from which a few steps on new photos go a long way.

An outer step takes some rounds. In a round every expert has one task (a cell of its ground): all trunks, or trunks and
tables, take inner steps on the tasks' support rays, as `adapt` would; then
  fomaml   the gradient of the query rays' loss at the adapted weights is the gradient of the start,
  reptile  the way that the weights went is.
What the inner steps leave alone (what experts share, the tables with `mlp`) learns from the query rays, in either.
Tasks do not lead everywhere: where there is something, and how long steps are, is told by rays of all photos.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from adaptive_nerf.data.episodes import Cell, ground_cells, pixels_of, points_in
from adaptive_nerf.data.ray_store import LoadedPhoto, RayBatch
from adaptive_nerf.engine import draws
from adaptive_nerf.engine.samples import Rays, Samples
from adaptive_nerf.engine.table_gradients import TableGradients
from adaptive_nerf.geometry.boxes import Box
from adaptive_nerf.models.appearance import as_taken, codes
from adaptive_nerf.models.field import Field, radiance
from adaptive_nerf.pipelines.joint import ROOM, SAMPLES_A_RAY, Joint
from adaptive_nerf.pipelines.optimiser import gradients_are_numbers
from adaptive_nerf.pipelines.rates import Rates

PHOTOS_A_SIDE = 4  # at most, to adapt on and to score on
TABLE_RATE_OF_INNER = 1.0  # inner rate of the tables over that of the trunks
CANDIDATES = 2  # points drawn for a ray that is wanted: not every point is in the picture


@dataclass(frozen=True)
class MetaSettings:
    algo: str  # fomaml, reptile
    inner_params: str  # mlp, all
    inner_steps: int
    inner_rate: float
    rounds: int  # tasks an expert and outer step
    support_rays: int
    query_rays: int


@dataclass(frozen=True)
class Task:
    support: Tensor  # pixel numbers
    query: Tensor


def draw_task(joint: Joint, cells: Sequence[Cell], ground_x: float, key: tuple[int, ...],
              sizes: tuple[int, int]) -> Task:
    """A cell, and rays to it from photos that are all on one side, support or query. `sizes`: rays of each."""
    pick = draws.stream(joint.seed, "task", *key)
    cell = cells[pick % len(cells)]
    order = torch.argsort(draws.uniform(pick ^ 1, torch.arange(len(cell.photos)))).tolist()
    photos = [cell.photos[place] for place in order[:2 * PHOTOS_A_SIDE]]
    return Task(*(_pixels(joint, cell, ground_x, photos[side::2], draws.stream(pick, "points", side), size)
                  for side, size in enumerate(sizes)))


def _pixels(joint: Joint, cell: Cell, ground_x: float, photos: Sequence[int], key: int, count: int) -> Tensor:
    found = []
    each = -(-count // len(photos))
    for place, photo in enumerate(photos):
        index = torch.arange(2 * CANDIDATES * each) + place * (1 << 20)
        shares = draws.uniform(key, index).numpy().astype(np.float64).reshape(-1, 2)
        within = pixels_of(points_in(cell, ground_x, shares), joint.store.photos[photo])
        found.append(torch.from_numpy(within[within >= 0][:each]) + joint.store.starts[photo])
    return torch.cat(found)[:count]


def cells_by_slot(field: Field, learners: Collection[int], photos: Sequence[LoadedPhoto], ground_x: float,
                  cell_dim: int) -> list[list[Cell]]:
    """The pieces of ground that some photos see; none for experts that do not learn."""
    boxes = [Box(np.array(box[:3]), np.array(box[3:])) for box in field.regions.boxes]
    cells = ground_cells(boxes, ground_x, photos, cell_dim)
    return [[cell for cell in cells if cell.expert == slot and field.experts[slot] in learners]
            for slot in range(len(boxes))]


def drawn(joint: Joint, cells: Sequence[Sequence[Cell]], ground_x: float, settings: MetaSettings,
          number: int) -> tuple[RayBatch, RayBatch, int]:
    """Support and query rays of one round, a task of each expert, and how many tasks that are."""
    sizes = settings.support_rays, settings.query_rays
    tasks = [draw_task(joint, own, ground_x, (joint.step, slot, number), sizes)
             for slot, own in enumerate(cells) if own]
    support, query = (joint.batch_of(torch.cat([getattr(task, side) for task in tasks]))
                      for side in ("support", "query"))
    return support, query, len(tasks)


def outer_step(joint: Joint, cells: Sequence[Sequence[Cell]], ground_x: float, settings: MetaSettings,
               rates: Rates) -> float:
    """One step of the start. cells: of each slot. Returns the loss on the query rays after the inner steps."""
    total = 0.0
    parameters = joint.field.parameters
    gathered = torch.zeros_like(parameters.trunks)
    for number in range(settings.rounds):
        support, query, n_tasks = drawn(joint, cells, ground_x, settings, number)
        reached = adapted(joint, support, settings, n_tasks)
        total += _score(joint, reached, query, gathered, settings)
    if not math.isfinite(total):
        joint.forget_step()
        return total
    parameters.trunks.grad = gathered / settings.rounds
    if not gradients_are_numbers(parameters, joint.appearance.values):
        joint.forget_step()
        return math.nan
    for pending in joint.sink.pending:
        pending.features.div_(settings.rounds)
    for name in ("heads", "background"):
        values = getattr(parameters, name)
        if values.grad is not None:
            values.grad = values.grad / settings.rounds
    if joint.appearance.values.grad is not None:
        joint.appearance.values.grad /= settings.rounds
    joint.optimiser.step(parameters, joint.sink, joint.appearance.values, rates)
    if rates.appearance:
        joint.centre()
    joint.look_around()
    joint.step += 1
    return total / settings.rounds


def adapted(joint: Joint, support: RayBatch, settings: MetaSettings, n_tasks: int) -> Field:
    """The field after the inner steps; what it started from is left as it was.

    Each expert steps down the mean over its own task's rays, however many tasks share the round.
    """
    rays, samples = _marched(joint, support)
    frozen = joint.field.parameters.map(Tensor.detach)
    tables = frozen.tables.clone() if settings.inner_params == "all" else frozen.tables
    field = replace(joint.field, step=joint.sampling.step, parameters=replace(frozen, tables=tables))
    sink = TableGradients(field.architecture.grid, len(tables), tables.device) \
        if settings.inner_params == "all" else None
    features = field.encode(samples)  # once: the tables stay
    for _ in range(settings.inner_steps):
        trunks = field.parameters.trunks.detach().requires_grad_()
        field = replace(field, parameters=replace(field.parameters, trunks=trunks))
        if sink is not None:
            learning = replace(field, parameters=replace(field.parameters, tables=tables.requires_grad_()))
            features = learning.encode(samples, sink)
        loss = n_tasks * _loss(joint, field, (rays, samples, features), support)
        (gradient,) = torch.autograd.grad(loss, trunks) if sink is None else _with_tables(loss, trunks)
        with torch.no_grad():
            trunks = trunks - settings.inner_rate * gradient
            if sink is not None:
                joint.field.engine.scatter(sink)
                tables.sub_(settings.inner_rate * TABLE_RATE_OF_INNER * sink.total)
                sink.clear()
        field = replace(field, parameters=replace(field.parameters, trunks=trunks, tables=tables.detach()))
    return field


def _with_tables(loss: Tensor, trunks: Tensor) -> tuple[Tensor]:
    """The trunks' gradient, while that of the tables goes into the sink."""
    loss.backward()
    if trunks.grad is None:
        return (torch.zeros_like(trunks),)
    return (trunks.grad,)


def _score(joint: Joint, adapted: Field, query: RayBatch, gathered: Tensor, settings: MetaSettings) -> float:
    """Add what this round says of the start to the gradients. Returns the query loss."""
    parameters, went_there = joint.field.parameters, settings.inner_params == "all"
    trunks = adapted.parameters.trunks.detach().requires_grad_()
    by_the_way = settings.algo == "reptile" and went_there  # the tables' gradient is not that of the query
    tables = adapted.parameters.tables.detach().requires_grad_(not by_the_way) if went_there else parameters.tables
    field = replace(adapted, parameters=replace(parameters, trunks=trunks, tables=tables))
    rays, samples = _marched(joint, query)
    loss = _loss(joint, field, (rays, samples, field.encode(samples, joint.sink)), query, outer=True)
    loss.backward()
    if settings.algo == "reptile":
        gathered += _way(parameters.trunks, trunks, settings)
    elif trunks.grad is not None:
        gathered += trunks.grad
    if by_the_way:
        add_whole(joint.sink, _way(parameters.tables, tables, settings) / settings.rounds)
    return float(loss.detach())


@torch.no_grad()
def query_loss(joint: Joint, field: Field, query: RayBatch) -> float:
    """Nothing is learned from it: what is seen through holes counts as pictures show it, not as the guard punishes."""
    rays, samples = _marched(joint, query)
    return float(_loss(joint, field, (rays, samples, field.encode(samples)), query, guarded=False))


def _way(start: Tensor, end: Tensor, settings: MetaSettings) -> Tensor:
    """The mean gradient of the inner steps."""
    return (start.detach() - end.detach()) / (max(1, settings.inner_steps) * settings.inner_rate)


def add_whole(sink: TableGradients, gradient: Tensor) -> None:
    """Add a gradient of whole tables, [n_slots, rows, features], most of it 0."""
    sink.total.add_(gradient)
    lines = sink.total.view(len(sink.touched), -1)
    sink.touched.copy_((lines != 0).any(1))


def _marched(joint: Joint, batch: RayBatch) -> tuple[Rays, Samples]:
    rays = Rays(batch.origins, batch.directions, joint.near, joint.far)
    room = int(len(batch) * 2 * max(SAMPLES_A_RAY, joint.sampling.mean_samples) * ROOM)
    field = replace(joint.field, step=joint.sampling.step)
    return rays, field.march(rays, room, draws.stream(joint.seed, "meta march", joint.step))


def _loss(joint: Joint, field: Field, seen: tuple[Rays, Samples, Tensor], batch: RayBatch,
          outer: bool = False, guarded: bool = True) -> Tensor:
    rays, samples, features = seen
    kind, look = joint.appearance.kind, joint.appearance.values[joint.rows[batch.photos]]
    look = look if outer else look.detach()
    guard = joint.guard(len(batch)) if guarded else None
    found = radiance(field, rays, samples, features, codes(kind, look), guard)
    error = as_taken(kind, found.colours, look) - batch.colours
    return error[~samples.dropped].square().mean()
