"""Checkpoints that are not whole are refused by the name of what is wrong, and nothing random stands in."""

import hashlib
import json
from pathlib import Path

import pytest
import safetensors.torch
import torch

from adaptive_nerf.common.errors import AdaptiveNerfError, BadData
from adaptive_nerf.models import tensor_files
from adaptive_nerf.models.checkpoint import open_checkpoint, save
from tests.support.fields import tiny_model

FILES = ("expert_000.safetensors", "expert_003.safetensors", "shared.safetensors", "optimiser_000.safetensors")


@pytest.fixture
def folder(tmp_path) -> Path:
    files = {name: {"maxima": torch.zeros(9)} for name in ("optimiser_000", "optimiser_001")}
    save(tmp_path / "step000040", tiny_model(), "train", files)
    return tmp_path / "step000040"


def edited(folder: Path, **changes) -> Path:
    path = folder / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    return folder


def manifest_of(folder: Path) -> dict:
    return json.loads((folder / "manifest.json").read_text())


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_was_cut_short_is_named(folder, name):
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[:-1])
    with pytest.raises(BadData, match=rf"{name}.*has {len(content) - 1} bytes.*not whole"):
        open_checkpoint(folder)


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_missing_is_named(folder, name):
    (folder / name).unlink()
    with pytest.raises(BadData, match=rf"{name}.*is missing"):
        open_checkpoint(folder)


def test_the_optimisers_files_may_be_dropped_all_together(folder, caplog):
    for path in folder.glob("optimiser_*"):
        path.unlink()
    found = open_checkpoint(folder)
    assert found.optimiser() == {}
    assert found.load().field.parameters.tables.isfinite().all()
    assert [record.getMessage().split(";")[0] for record in caplog.records] == [
        f"{folder} is without its optimiser's files"]


@pytest.mark.parametrize("name", FILES)
def test_a_byte_that_was_flipped_is_found(folder, name):
    content = bytearray((folder / name).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / name).write_bytes(content)
    found = open_checkpoint(folder)
    with pytest.raises(BadData, match=rf"{name}.*digest"):
        found.optimiser() if name.startswith("optimiser") else found.load()


def test_a_file_that_vanishes_between_opening_and_reading_is_named(folder):
    found = open_checkpoint(folder)
    (folder / "expert_002.safetensors").unlink()
    with pytest.raises(BadData, match=r"expert_002\.safetensors.*cannot be read"):
        found.load()
    assert found.load([0, 1]).field.experts == (0, 1)


@pytest.mark.parametrize(("key", "value"), [
    ("cell", float("inf")), ("step", float("nan")), ("margin", float("inf")), ("axes", []),
    ("boxes", [[0, 0, 0, 1, 1, float("inf")]] * 4)])
def test_numbers_that_are_none_are_refused(folder, key, value):
    edited(folder, regions=manifest_of(folder)["regions"] | {key: value})
    with pytest.raises(BadData, match=rf"regions.{key}"):
        open_checkpoint(folder)


def test_cells_that_no_file_holds_take_no_memory(folder):
    edited(folder, regions=manifest_of(folder)["regions"] | {"cell": 1e-7})
    with pytest.raises(BadData, match=r"more cells than expert_000\.safetensors has room for"):
        open_checkpoint(folder)


def test_a_newer_format_is_refused_by_its_version_whatever_else_it_says(folder):
    edited(folder, format_version=2, hologram={"a": 1})
    with pytest.raises(BadData, match=r"manifest\.json: key 'format_version': is 2; expected 1"):
        open_checkpoint(folder)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", b"7", b'"x"', b"\xff\xfe\x00"], ids=repr)
def test_what_is_no_manifest_is_told(folder, content):
    (folder / "manifest.json").write_bytes(content)
    with pytest.raises(BadData, match="manifest"):
        open_checkpoint(folder)


def test_a_folder_without_a_manifest_is_no_checkpoint(folder):
    (folder / "manifest.json").unlink()
    with pytest.raises(BadData, match="is no checkpoint"):
        open_checkpoint(folder)


@pytest.mark.parametrize("file", ["../secret.safetensors", "/etc/passwd", "a/b.safetensors", "..", "x.pt",
                                  "expert_000.safetensors\n", "a\\..\\b.safetensors"], ids=repr)
def test_a_file_outside_the_folder_is_never_opened(folder, file):
    experts = manifest_of(folder)["experts"]
    experts[1]["file"] = file
    edited(folder, experts=experts)
    with pytest.raises(BadData, match=r"experts\.1\.file"):
        open_checkpoint(folder)


def rewritten(folder: Path, name: str, **changes) -> None:
    """A file with other tensors, its digest set right: somebody else's architecture."""
    tensors = safetensors.torch.load_file(folder / name) | changes
    record = tensor_files.write(folder, name, {key: value for key, value in tensors.items() if value is not None})
    told = manifest_of(folder)
    experts = [record.model_dump() | {"id": old["id"], "steps": old["steps"]} if old["file"] == name else old
               for old in told["experts"]]
    edited(folder, experts=experts, shared=record.model_dump() if name == told["shared"]["file"] else told["shared"])


@pytest.mark.parametrize(("name", "changes", "said"), [
    ("expert_001.safetensors", {"table": torch.zeros(5, 2)}, r"expert_001.*key 'table': has shape \[5, 2\]"),
    ("expert_001.safetensors", {"trunk": None}, r"expert_001.*key 'trunk': is missing"),
    ("expert_001.safetensors", {"occupancy": torch.zeros(3, dtype=torch.int64)}, r"expert_001.*key 'occupancy'"),
    ("shared.safetensors", {"head": torch.zeros(4)}, r"shared.*key 'head'"),
    ("shared.safetensors", {"appearance": torch.zeros(1, 6)}, r"shared.*key 'appearance'")])
def test_tensors_of_another_shape_are_refused(folder, name, changes, said):
    rewritten(folder, name, **changes)
    with pytest.raises(BadData, match=said):
        open_checkpoint(folder).load()


@pytest.mark.parametrize(("name", "changes"), [("expert_001.safetensors", {"trunk": torch.float16}),
                                               ("expert_001.safetensors", {"occupancy": torch.float32}),
                                               ("shared.safetensors", {"head": torch.float64})], ids=str)
def test_tensors_of_another_kind_of_number_are_refused(folder, name, changes):
    there = safetensors.torch.load_file(folder / name)
    rewritten(folder, name, **{key: there[key].to(kind) for key, kind in changes.items()})
    with pytest.raises(BadData, match=rf"{name}.*key '{next(iter(changes))}': holds"):
        open_checkpoint(folder).load()


def test_a_file_that_is_no_safetensors_file_is_named(folder):
    content = b"not tensors at all" * 100_000
    (folder / "expert_000.safetensors").write_bytes(content)
    experts = manifest_of(folder)["experts"]
    experts[0] |= {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    edited(folder, experts=experts)
    with pytest.raises(BadData, match=r"expert_000\.safetensors.*no safetensors file"):
        open_checkpoint(folder).load()


def bent(folder: Path, **changes) -> Path:
    return edited(folder, regions=manifest_of(folder)["regions"] | changes)


@pytest.mark.parametrize("changes", [{"boxes": [[0, 0, 0, 1, 1]] * 4}, {"boxes": [[0, 0, 0, 0, 1, 1]] * 4},
                                     {"boxes": [[0.0, 0, 0, 1, 1, 1]] * 3}, {"margin": 0.5}, {"axes": [0, 7]},
                                     {"cell": 0}, {"step": -1}, {"routing": "random"}], ids=str)
def test_regions_that_make_no_sense_are_refused(folder, changes):
    with pytest.raises(BadData, match=r"manifest\.json"):
        open_checkpoint(bent(folder, **changes))


@pytest.mark.parametrize("changes", [{"scene_frame": {}}, {"scene_frame": {"format_version": 99}},
                                     {"architecture": {"levels": 99}}, {"architecture": {"colour": "blue"}},
                                     {"experts": []}, {"kind": "guess"}, {"step": -4}, {"more": 1}], ids=str)
def test_a_manifest_that_makes_no_sense_is_refused(folder, changes):
    with pytest.raises(AdaptiveNerfError):
        open_checkpoint(edited(folder, **changes))


def test_an_expert_that_is_named_twice_is_refused(folder):
    experts = manifest_of(folder)["experts"]
    edited(folder, experts=[experts[0], *experts[:3]])
    with pytest.raises(BadData, match="twice"):
        open_checkpoint(folder)
