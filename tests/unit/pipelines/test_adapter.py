"""Steps on new photos: what they change, what they must not, and what each setting does."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from adaptive_nerf.data.ray_store import RayBatch
from adaptive_nerf.engine import precision
from adaptive_nerf.engine.optimise import Moments
from adaptive_nerf.models.model import Model
from adaptive_nerf.pipelines.adaptation import base_of, old_photos, photos_to_absorb, settings_of
from adaptive_nerf.pipelines.adapter import Adapter
from adaptive_nerf.pipelines.opening import scene_of
from adaptive_nerf.rendering.types import Output, Quality
from tests.unit.pipelines.adapt_scene import FLIGHT, LATER_IDS, adapt_run, make_adapted_root, small_world

LOOK = frozenset({Output.RGB, Output.DEPTH})


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return make_adapted_root(tmp_path_factory.mktemp("adapted"))


@pytest.fixture(autouse=True)
def coarse_cells(monkeypatch):
    small_world(monkeypatch)
    monkeypatch.setattr(precision, "_wish", [False])


@pytest.fixture
def begun(root, tmp_path):
    """An adaptation that has not taken a step, as a job with these fields begins it."""
    def begin(**fields) -> Adapter:
        run = adapt_run(root, tmp_path / "job", **fields)
        scene = scene_of(run)
        model = base_of(run, scene)[1]
        return Adapter(model, photos_to_absorb(run, scene), old_photos(run, scene), settings_of(run.spec, scene, model))
    return begin


def after(adapter: Adapter, steps: int) -> Model:
    while adapter.steps < steps:
        adapter.step()
    return adapter.model(FLIGHT, "base")


def learned(model: Model) -> dict[str, torch.Tensor]:
    return dict(model.field.parameters.named()) | {"words": model.field.grids.occupancy.words,
                                                   "looks": model.appearance.values}


def same(first: Model, second: Model) -> bool:
    other = learned(second)
    return all(torch.equal(value, other[name]) for name, value in learned(first).items())


def test_the_first_step_moves_what_is_news_and_hardly_what_the_photos_confirm(begun):
    careful, eager = begun(), begun()
    eager.joint.optimiser.usual = None
    eager.joint.optimiser.moments["tables"] = Moments.of(eager.joint.field.parameters.tables)
    ways = [after(each, 1).field.parameters.tables - each.base.field.parameters.tables for each in (careful, eager)]
    far = [way[way != 0].abs() for way in ways]
    assert float(far[0].median()) < 0.5 * float(far[1].median())
    assert float(far[0].max()) > 0.5 * float(far[1].max())


def words_of(model: Model, slot: int) -> torch.Tensor:
    occupancy = model.field.grids.occupancy
    return occupancy.words[occupancy.first_words[slot]:occupancy.first_words[slot + 1]]


def looks_of(model: Model, photo_ids) -> torch.Tensor:
    return model.appearance.values[model.appearance.rows(photo_ids)]


def moved(adapter: Adapter, model: Model) -> float:
    """How far the tables went."""
    return float((model.field.parameters.tables - adapter.base.field.parameters.tables).abs().max())


def test_steps_lower_the_loss_on_the_new_photos(begun):
    adapter = begun()
    losses = [adapter.step().loss for _ in range(60)]
    assert np.mean(losses[-10:]) < 0.7 * np.mean(losses[:3])


def test_the_state_after_n_steps_is_the_same_whether_n_or_twice_as_many_were_asked_for(begun):
    long = begun(tto=10)
    halfway = after(long, 5)
    assert same(halfway, after(begun(tto=5), 5))
    there = after(long, 10)
    assert same(halfway, after(begun(tto=5), 5)), "what was handed out does not go on learning"
    assert same(there, after(begun(tto=10), 10))
    assert not same(halfway, there)


def test_untouched_experts_and_all_that_is_shared_are_bit_for_bit_as_before(begun):
    adapter = begun()
    base, new = adapter.base, after(adapter, 20)
    assert 0 < len(adapter.touched) < 4
    for slot, expert in enumerate(base.field.experts):
        is_same = expert not in adapter.touched
        for one, other in ((base.field.parameters.tables, new.field.parameters.tables),
                           (base.field.parameters.trunks, new.field.parameters.trunks)):
            assert torch.equal(one[slot], other[slot]) is is_same
        assert torch.equal(words_of(base, slot), words_of(new, slot)) or not is_same
    assert torch.equal(base.field.parameters.heads, new.field.parameters.heads)
    assert torch.equal(base.field.parameters.background, new.field.parameters.background)
    assert torch.equal(base.appearance.neutral, new.appearance.neutral)
    assert new.field.step == base.field.step


def test_old_photos_keep_their_looks_though_they_are_replayed_and_new_ones_find_theirs(begun):
    adapter = begun(replay=0.5)
    base, new = adapter.base, after(adapter, 20)
    assert len(adapter.replayed)
    assert torch.equal(base.appearance.values, looks_of(new, base.appearance.photo_ids))
    assert (looks_of(new, LATER_IDS) != base.appearance.neutral).any(1).all()


def test_photos_of_the_flight_that_the_base_knows_already_go_on_from_there(root, tmp_path):
    run = adapt_run(root, tmp_path / "job")
    scene = scene_of(run)
    model = base_of(run, scene)[1]
    model = replace(model, appearance=model.appearance.with_photos(LATER_IDS))
    adapter = Adapter(model, photos_to_absorb(run, scene), old_photos(run, scene), settings_of(run.spec, scene, model))
    new = after(adapter, 10)
    assert new.appearance.photo_ids == model.appearance.photo_ids
    assert (looks_of(new, LATER_IDS) != looks_of(model, LATER_IDS)).any(1).all()


def test_cells_that_an_untouched_expert_could_open_are_shut_again(begun, monkeypatch):
    """What is saved for it is the base's file: nothing else may be looked at before either."""
    monkeypatch.setattr(Adapter, "_touched", lambda self: (0,))
    new = begun().model()
    assert all(torch.equal(words_of(new, slot), words_of(begun().base, slot)) for slot in (1, 2, 3))


def test_what_is_told_of_the_way_here(begun):
    adapter = begun()
    base, new = adapter.base, after(adapter, 3)
    (lineage,) = new.lineage[len(base.lineage):]
    assert (lineage.base, lineage.op, lineage.batch, lineage.steps) == ("base", "adapt", FLIGHT, 3)
    assert new.step == base.step + 3
    told = {expert: steps + 3 * (expert in adapter.touched) for expert, steps in base.expert_steps.items()}
    assert new.expert_steps == told


def test_cells_are_opened_before_the_first_step_and_close_again_where_nothing_came(begun):
    adapter = begun()
    before = adapter.base.field.grids.occupancy.words
    start = adapter.model().field.grids.occupancy.words
    opened = start & ~before
    assert (opened != 0).any()
    end = after(adapter, 96).field.grids.occupancy.words
    assert (opened & ~end != 0).any()
    for words in (start, end):
        assert torch.equal(words & before, before)


def test_replay_0_uses_no_old_photo(begun):
    adapter = begun(replay=0.0)
    assert not len(adapter.replayed)
    assert adapter.joint.store.photo_ids == LATER_IDS
    assert adapter.step().rays == 128


@pytest.mark.parametrize(("replay", "old"), [(0.25, 32), (0.5, 64), (1.0, 128)])
def test_replay_is_the_share_of_rays_from_old_photos(begun, replay, old):
    adapter = begun(replay=replay)
    photos = adapter._draw().photos
    assert int((photos >= len(LATER_IDS)).sum()) == old
    assert len(photos) == 128


def test_where_samples_have_no_room_old_and_new_rays_go_without_alike(begun):
    adapter = begun(support_rays=1000)
    batch = adapter._draw()
    rays = adapter.joint.rays_of(batch)
    field = replace(adapter.joint.field, step=adapter.joint.sampling.step)
    needed = int(field.march(rays, 200_000).count)
    kept = ~field.march(rays, needed // 2).dropped
    assert 300 < int(kept.sum()) < 700
    assert float((batch.photos[kept] >= len(LATER_IDS)).float().mean()) == pytest.approx(0.25, abs=0.06)


def test_rays_and_samples_of_a_step_are_bounded(begun):
    assert begun(support_rays=200).step().rays == 200
    assert begun(support_rays=200, rays=100).step().rays == 100
    assert begun(support_rays=200).step().samples > 1500
    assert begun(support_rays=200, samples=800).step().samples <= 1000


def test_a_step_whose_loss_is_no_number_changes_nothing_and_the_next_one_does(begun, monkeypatch):
    adapter = begun()
    before, draw = after(adapter, 2), adapter._draw

    def spoilt() -> RayBatch:
        return replace(draw(), colours=torch.full((128, 3), torch.nan))
    monkeypatch.setattr(adapter, "_draw", spoilt)
    assert math.isnan(adapter.step().loss)
    assert same(before, adapter.model())
    monkeypatch.undo()
    assert math.isfinite(adapter.step().loss)
    assert not same(before, adapter.model())
    assert all(value.isfinite().all() for value in learned(adapter.model()).values())


@pytest.mark.parametrize("cut", [{"far": 5.0}, {"near": 200.0}])
def test_near_and_far_cut_the_rays_short(begun, cut):
    """At 24 m above ground of -10 m there is nothing nearer than 5 m, nor farther than 200 m."""
    adapter = begun(replay=0.0, **cut)
    assert adapter.touched == ()
    new = after(adapter, 3)
    assert torch.equal(new.field.parameters.tables, adapter.base.field.parameters.tables)


def test_near_and_far_in_metres_beyond_all_that_is_seen_change_nothing(begun):
    assert same(after(begun(near=8.0), 4), after(begun(near=8.0, far=500.0), 4))


def test_boundary_margin_and_routing_decide_who_is_asked(begun):
    usual = begun()
    margin = usual.base.field.regions.margin
    assert begun(boundary_margin=99.0).base.field.regions.margin == margin > 1
    hard, inverse = begun(boundary_margin=1.0), begun(routing="inverse")
    assert hard.base.field.regions.margin == 1
    assert inverse.base.field.regions.routing == "inverse"
    assert hard.base.field.grids.regions == hard.base.field.regions
    camera = usual.joint.store.photos[-1].camera
    pictures = [adapter.base.mixture("now").render(camera, LOOK).rgb for adapter in (usual, hard, inverse)]
    assert not np.array_equal(pictures[0], pictures[1])
    assert not np.array_equal(pictures[0], pictures[2])


def test_every_optimizer_learns_in_its_own_way(begun):
    # The gradients of a mean over all rays are small: without Adam's scaling the rate has to be large.
    results = [after(begun(optimizer=kind, encoding_lr=rate), 6)
               for kind, rate in (("adam", 1e-2), ("adamw", 1e-2), ("sgd", 10.0))]
    assert all(moved(begun(), result) > 0 for result in results)
    assert not any(same(one, other) for one in results for other in results if one is not other)


def test_rates_are_those_of_the_job(begun):
    usual = moved(begun(), after(begun(encoding_lr=1e-2), 6))
    assert moved(begun(), after(begun(encoding_lr=1e-3), 6)) < 0.3 * usual
    assert moved(begun(), after(begun(lr=1e-5), 6)) < 0.3 * usual, "a hundred times lr"
    trunks = [after(begun(sigma_lr=rate), 6).field.parameters.trunks for rate in (1e-3, 1e-5)]
    start = begun().base.field.parameters.trunks
    assert (trunks[1] - start).abs().max() < 0.1 * (trunks[0] - start).abs().max()


def test_rates_of_what_is_shared_change_nothing(begun):
    parameters = after(begun(color_lr=1e-2, bg_lr=1e-2, lr=1e-4), 4).field.parameters
    start = begun().base.field.parameters
    assert torch.equal(parameters.heads, start.heads)
    assert torch.equal(parameters.background, start.background)


def test_the_rate_of_the_appearance_is_that_of_the_job_and_none_leaves_the_neutral_look(begun):
    start = looks_of(begun().model(), LATER_IDS)
    slow, fast = (looks_of(after(begun(appearance_lr=rate), 6), LATER_IDS) - start for rate in (1e-4, 1e-2))
    assert 0 < slow.abs().max() < 0.1 * fast.abs().max()
    adapter = begun(appearance="none")
    assert (looks_of(after(adapter, 6), LATER_IDS) == adapter.base.appearance.neutral).all()


def test_the_seed_decides_and_nothing_else_does(begun):
    assert same(after(begun(seed=5), 4), after(begun(seed=5), 4))
    assert not same(after(begun(seed=5), 4), after(begun(seed=6), 4))


def test_photos_of_another_exposure_begin_with_theirs(begun, monkeypatch):
    monkeypatch.setattr("adaptive_nerf.pipelines.disagreement._exposure",
                        lambda *_: (np.array([0.5, 1.0, 2.0]), np.array([0.1, 0.0, -0.1])))
    adapter = begun()
    neutral, colours = adapter.base.appearance.neutral, torch.tensor([0.3, 0.4, 0.5])
    shown = colours * (1 + neutral[:3]) + neutral[3:]
    guess = looks_of(adapter.model(), LATER_IDS)
    expected = shown * torch.tensor([0.5, 1.0, 2.0]) + torch.tensor([0.1, 0.0, -0.1])
    torch.testing.assert_close(colours * (1 + guess[:, :3]) + guess[:, 3:], expected.expand(3, 3))


def test_the_live_model_renders_and_moves_with_the_steps(begun):
    adapter = begun(encoding_lr=0.1)
    live, camera = adapter.live_model(), adapter.new[0].camera
    before = live.mixture("live").render(camera, LOOK, Quality.FAST).rgb
    base = adapter.base.mixture("base").render(camera, LOOK, Quality.FAST).rgb
    copy = after(adapter, 10)
    frame = live.mixture("live").render(camera, LOOK, Quality.FAST)
    assert np.isfinite(frame.rgb).all()
    assert not np.array_equal(frame.rgb, before)
    np.testing.assert_array_equal(frame.rgb, copy.mixture("copy").render(camera, LOOK, Quality.FAST).rgb)
    np.testing.assert_array_equal(base, adapter.base.mixture("base").render(camera, LOOK, Quality.FAST).rgb)


def test_the_rays_of_a_step_go_to_where_the_field_is(begun):
    """`meta` stands for any device that is not the host's."""
    adapter = begun(replay=0.5)
    field = adapter.joint.field
    adapter.joint.field = replace(field, parameters=field.parameters.map(lambda value: value.to("meta")))
    assert {value.device.type for value in vars(adapter._draw()).values()} == {"meta"}
