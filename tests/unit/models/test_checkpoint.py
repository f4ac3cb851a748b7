"""Checkpoints that are whole: what comes back, what is linked, what is read."""

import json
import os
import shutil
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from adaptive_nerf.common import atomic_files
from adaptive_nerf.common.errors import BadInput, OutputExists
from adaptive_nerf.models.checkpoint import open_checkpoint, save
from adaptive_nerf.models.checkpoint_store import CheckpointStore
from adaptive_nerf.models.model import Lineage, Model
from adaptive_nerf.rendering.types import Output
from tests.support.fields import ground_regions, random_field, slanted_camera, tiny_model

ALL = frozenset(Output)


def alike(first: Model, second: Model) -> bool:
    fields = [(first.field, second.field)]
    numbers = [(one, other) for a, b in fields for (_, one), (_, other) in
               zip(a.parameters.named(), b.parameters.named(), strict=True)]
    numbers += [(a.grids.occupancy.words, b.grids.occupancy.words) for a, b in fields]
    numbers += [(first.appearance.values, second.appearance.values), (first.appearance.neutral,
                                                                      second.appearance.neutral)]
    told = [(model.field.architecture, model.field.experts, model.field.regions, model.field.step,
             model.field.grids.occupancy.cell, model.appearance.photo_ids, model.appearance.kind, model.scene_frame,
             model.scene_id, model.step, dict(model.expert_steps), model.lineage, dict(model.training))
            for model in (first, second)]
    return told[0] == told[1] and all(torch.equal(one, other) for one, other in numbers)


@pytest.mark.parametrize("shape", [{}, {"head": "own"}, {"appearance": "code"}, {"appearance": "none"},
                                   {"background_width": 0, "deferred": False}], ids=str)
def test_a_model_comes_back_bit_for_bit(tmp_path, shape):
    model = tiny_model(random_field(**shape))
    save(tmp_path / "step000040", model, "train")
    assert alike(open_checkpoint(tmp_path / "step000040").load(), model)


def test_pictures_are_the_same_after_opening_without_the_scene(tmp_path):
    model = tiny_model()
    folder = tmp_path / "elsewhere"
    save(folder, model, "train")
    found = open_checkpoint(folder).load().mixture("x").render(slanted_camera(), ALL)
    np.testing.assert_array_equal(found.rgb, model.mixture("x").render(slanted_camera(), ALL).rgb)
    assert open_checkpoint(folder).scene_frame == model.scene_frame


def test_lineage_and_what_resume_needs_come_back(tmp_path):
    lineage = Lineage("ab" * 32, "adapt", "second flight", 64, "2026-01-02T03:04:05+00:00")
    model = replace(tiny_model(), lineage=(lineage,), training={"taken": 12, "sampling": {"stretch": 1 / 3}})
    loaded = save(tmp_path / "one", model, "adapt").load()
    assert loaded.lineage == (lineage,)
    assert loaded.training == {"taken": 12, "sampling": {"stretch": 1 / 3}}


def test_tensors_of_the_optimiser_are_kept_apart_and_can_be_left_out(tmp_path):
    extra = {"optimiser_000": {"maxima": torch.arange(5, dtype=torch.uint8)}, "optimiser_shared": {}}
    kept = save(tmp_path / "with", tiny_model(), "train", extra)
    assert torch.equal(kept.optimiser()["optimiser_000"]["maxima"], extra["optimiser_000"]["maxima"])
    assert set(kept.optimiser()) == set(extra)
    assert save(tmp_path / "without", tiny_model(), "train").optimiser() == {}


def test_experts_that_did_not_change_are_links_to_the_files_of_the_base(tmp_path):
    model = tiny_model()
    base = save(tmp_path / "base", model, "train")
    tables = model.field.parameters.tables.clone()
    tables[2] += 1
    changed = replace(model, field=replace(model.field, parameters=replace(model.field.parameters, tables=tables)))
    adapted = save(tmp_path / "adapted", changed, "adapt", base=base, unchanged=(0, 1, 3))
    for expert in range(4):
        name = f"expert_{expert:03d}.safetensors"
        assert (tmp_path / "base" / name).samefile(tmp_path / "adapted" / name) == (expert != 2)
    assert alike(adapted.load(), changed)
    assert alike(base.load(), model)


def test_where_links_are_not_possible_files_are_copied(tmp_path, monkeypatch):
    def no_links(*_):
        raise OSError(18, "Invalid cross-device link")
    base = save(tmp_path / "base", tiny_model(), "train")
    monkeypatch.setattr(os, "link", no_links)
    copied = save(tmp_path / "copied", tiny_model(), "adapt", base=base, unchanged=(0, 1, 2, 3))
    assert not (tmp_path / "base" / "expert_000.safetensors").samefile(tmp_path / "copied" / "expert_000.safetensors")
    assert alike(copied.load(), tiny_model())


def test_a_base_may_be_removed_once_others_link_to_it(tmp_path):
    base = save(tmp_path / "step000001", tiny_model(), "train")
    later = save(tmp_path / "step000002", tiny_model(), "adapt", base=base, unchanged=(0, 1, 2, 3))
    CheckpointStore(tmp_path).prune(1)
    assert not base.folder.exists()
    assert alike(later.load(), tiny_model())


def test_a_base_that_is_gone_meanwhile_is_not_needed(tmp_path):
    """Of a training that is still at work, and saves on."""
    base = save(tmp_path / "step000001", tiny_model(), "train")
    (base.folder / "expert_001.safetensors").unlink()
    assert alike(save(tmp_path / "first", tiny_model(), "adapt", base=base, unchanged=(0, 1)).load(), tiny_model())
    shutil.rmtree(base.folder)
    assert alike(save(tmp_path / "second", tiny_model(), "adapt", base=base, unchanged=(0, 1)).load(), tiny_model())


def test_what_is_there_is_not_written_over(tmp_path):
    save(tmp_path / "one", tiny_model(), "train")
    with pytest.raises(OutputExists):
        save(tmp_path / "one", tiny_model(seed=5), "train")
    assert alike(open_checkpoint(tmp_path / "one").load(), tiny_model())


@pytest.fixture
def reads(monkeypatch) -> list[str]:
    """Names of the files whose bytes are read."""
    found, read = [], Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", lambda path: found.append(path.name) or read(path))
    return found


def test_two_experts_of_nine_are_two_files(tmp_path, reads):
    field = random_field(ground_regions(side=3))
    whole = tiny_model(field)
    checkpoint = save(tmp_path / "nine", whole, "train")
    reads.clear()
    part = checkpoint.load([7, 2])
    assert sorted(reads) == ["expert_002.safetensors", "expert_007.safetensors", "shared.safetensors"]
    assert part.field.experts == (2, 7)
    assert torch.equal(part.field.parameters.tables, field.parameters.tables[[2, 7]])
    assert part.expert_steps == {2: 40, 7: 40}
    first, last = field.grids.occupancy.first_words[7:9]
    assert torch.equal(part.field.grids.occupancy.words[part.field.grids.occupancy.first_words[1]:],
                       field.grids.occupancy.words[first:last])


def test_opening_reads_the_manifest_alone(tmp_path, reads):
    save(tmp_path / "one", tiny_model(), "train")
    reads.clear()
    found = open_checkpoint(tmp_path / "one")
    assert (found.experts, found.architecture) == ((0, 1, 2, 3), tiny_model().field.architecture)
    assert reads == ["manifest.json"]


def test_what_a_model_holds_already_is_not_read_again(tmp_path, reads):
    checkpoint = save(tmp_path / "one", tiny_model(random_field(head="own")), "train")
    held = checkpoint.load([0, 3])
    reads.clear()
    grown = checkpoint.load([0, 1, 3], held=held)
    assert sorted(reads) == ["expert_001.safetensors", "shared.safetensors"]
    assert alike(grown, checkpoint.load([0, 1, 3]))


@pytest.mark.parametrize("experts", [[9], [0, 9], []])
def test_an_expert_that_is_not_there_is_named(tmp_path, experts):
    checkpoint = save(tmp_path / "one", tiny_model(), "train")
    with pytest.raises(BadInput, match="it has 0, 1, 2, 3"):
        checkpoint.load(experts)


def test_the_version_tells_the_folder_and_the_bytes(tmp_path):
    first = save(tmp_path / "a" / "step000040", tiny_model(), "train")
    second = save(tmp_path / "b" / "step000040", tiny_model(seed=3), "train")
    assert first.version.startswith("step000040-")
    assert first.version != second.version
    assert first.version == open_checkpoint(first.folder).version


def test_made_by_tells_the_commit_and_the_machine(tmp_path):
    save(tmp_path / "one", tiny_model(), "train")
    told = json.loads((tmp_path / "one" / "manifest.json").read_text())["made_by"]
    assert {"at", "commit", "versions", "machine", "device"} <= set(told)


@pytest.mark.parametrize("nth", range(8))
def test_killed_while_saving_the_old_checkpoint_stays_and_the_new_one_is_absent(tmp_path, nth):
    """A child gets SIGKILL at its nth file; the last is the moment before the folder gets its name."""
    store, newer = CheckpointStore(tmp_path), tiny_model(seed=4)
    store.point("last", save(store.place(1), tiny_model(), "train").folder)
    child = os.fork()
    if child == 0:
        _kill_at(nth)
        save(store.place(2), newer, "train", {"optimiser_000": {}})
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    assert list(store.steps()) == [1]
    assert alike(open_checkpoint(store.find("last")).load(), tiny_model())
    assert alike(save(store.place(2), newer, "train").load(), newer)
    store.prune(5)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["last", "step000001", "step000002"]


def _kill_at(nth: int) -> None:
    """In the child alone: 4 experts, what they share, the optimiser and the manifest are files 0 to 6."""
    made = iter(range(100))
    write, publish = atomic_files.write_bytes, atomic_files.publish_folder

    def killed(function):
        def call(*arguments, **named):
            if next(made) == nth:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*arguments, **named)
        return call
    atomic_files.write_bytes, atomic_files.publish_folder = killed(write), killed(publish)
