import os
import pickle
import zipfile

import numpy as np
import pytest
import torch

from adaptive_nerf.common.errors import BadData
from adaptive_nerf.data.tensor_files import load_tensors, load_zipped_tensor, save_tensors
from tests.unit.data.scene_factory import save_zipped_tensor

MASK = torch.arange(12).view(3, 4) % 5 == 0


def test_same_input_same_bytes_whatever_the_name(tmp_path):
    for name in ("a.pt", "b.pt"):
        save_tensors(tmp_path / name, {"mask": MASK, "margin": 1.05})
    assert (tmp_path / "a.pt").read_bytes() == (tmp_path / "b.pt").read_bytes()


def test_a_zipped_mask_comes_back_and_repeats_to_the_byte(tmp_path):
    path = tmp_path / "000001.pt"
    save_zipped_tensor(path, MASK)
    first = path.read_bytes()
    save_zipped_tensor(path, MASK)
    assert path.read_bytes() == first
    assert zipfile.ZipFile(path).namelist() == ["000001.pt"]
    assert torch.equal(load_zipped_tensor(path), MASK)


def test_a_plain_mask_is_read_too(tmp_path):
    save_tensors(tmp_path / "000001.pt", MASK)
    assert torch.equal(load_zipped_tensor(tmp_path / "000001.pt"), MASK)


@pytest.mark.parametrize("load", [load_tensors, load_zipped_tensor])
@pytest.mark.parametrize("content", [b"", b"not a tensor", b"PK\x03\x04 truncated"])
def test_what_is_no_tensor_file_is_named(tmp_path, load, content):
    path = tmp_path / "bad.pt"
    path.write_bytes(content)
    with pytest.raises(BadData, match=r"bad\.pt: cannot be read"):
        load(path)


@pytest.mark.parametrize("load", [load_tensors, load_zipped_tensor])
def test_what_the_system_does_not_give_is_not_told_as_damaged(tmp_path, load):
    with pytest.raises(BadData, match=f"{tmp_path}: cannot be read: is a directory$"):
        load(tmp_path)


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")  # torch says so, and reads on
@pytest.mark.parametrize(("save", "load"), [(save_tensors, load_tensors), (save_zipped_tensor, load_zipped_tensor),
                                            (save_tensors, load_zipped_tensor)])
def test_flipped_bytes_are_read_or_refused(tmp_path, save, load):
    path, random = tmp_path / "flipped.pt", np.random.default_rng(5)
    save(path, MASK if load is load_zipped_tensor else {"mask": MASK, "margin": 1.05, "name": "two", "list": [1, None]})
    whole = np.frombuffer(path.read_bytes(), np.uint8)
    refused = 0
    for _ in range(400):
        damaged = whole.copy()
        damaged[random.integers(len(whole), size=random.integers(1, 12))] = random.integers(256)
        path.write_bytes(damaged.tobytes())
        try:
            load(path)
        except BadData:
            refused += 1
    assert refused > 100


class Harmful:
    def __reduce__(self):
        return os.mkdir, ("harmed",)


@pytest.mark.parametrize("load", [load_tensors, load_zipped_tensor])
@pytest.mark.parametrize("write", [lambda path: torch.save(Harmful(), path),
                                   lambda path: path.write_bytes(pickle.dumps(Harmful(), protocol=2))])
def test_a_pickle_that_would_run_code_is_refused_and_does_not_run(tmp_path, monkeypatch, load, write):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "bad.pt"
    write(path)
    with pytest.raises(BadData, match="cannot be read"):
        load(path)
    assert not (tmp_path / "harmed").exists()
