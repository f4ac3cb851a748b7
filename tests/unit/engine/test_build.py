"""Building the library: at once from two processes, without a compiler, with a broken one; which engine is chosen."""

import os
import platform
import re
import shutil
import subprocess
import sys
import threading
from dataclasses import replace

import pytest
import torch

from adaptive_nerf.common.errors import BadUsage
from adaptive_nerf.engine import engines
from adaptive_nerf.engine.cpu import build

LOAD = "from adaptive_nerf.engine.cpu.library import library; print(library()._name)"
SERVE = """
import logging, torch
logging.basicConfig(format="%(message)s")
from adaptive_nerf.engine.engines import engine
from adaptive_nerf.engine.hash_grid import HashGrid
grid = HashGrid(2, 2, 8, 4, 16)
for _ in range(2):
    features = engine().encode(torch.ones(1, grid.rows, 2), torch.rand(5, 3), torch.zeros(5, dtype=torch.int32), grid)
print(engine().name, round(float(features.min()), 3))
"""

NARROW = """
import torch
from adaptive_nerf.engine.engines import CPU, TORCH
from tests.support.engine_cases import ragged_samples
from adaptive_nerf.engine.hash_grid import HashGrid
from adaptive_nerf.engine.network import colour_head, trunk
grid, shapes, samples = HashGrid(4, 4, 12, 8, 200), (trunk(16), colour_head()), ragged_samples([30, 0, 70], 1, slots=1)
generator = torch.Generator().manual_seed(1)
start = [torch.rand(1, grid.rows, 4, generator=generator) - 0.5, shapes[0].network.initial(generator)[None],
         shapes[1].initial(generator)[None]]
directions, results = torch.rand(3, 16, generator=generator), []
for engine in (CPU, TORCH):
    tables, *weights = [values.clone().requires_grad_() for values in start]
    features = engine.encode(tables, samples.local, samples.slots, grid)
    image = engine.composite(engine.field(*weights, features, directions, samples, shapes), samples).image
    image.square().sum().backward()
    results.append([image, tables.grad, weights[0].grad, weights[1].grad])
for one, other in zip(*results, strict=True):
    torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-3)
print("alike")
"""


def start(code, cache, **more):
    environment = {**os.environ, "ADAPTIVE_NERF_CACHE": str(cache), **more}
    return subprocess.Popen([sys.executable, "-c", code], env=environment, text=True, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE)


@pytest.mark.skipif(build.compiler() is None and "CI" not in os.environ, reason="there is no C++ compiler")
def test_two_processes_that_build_at_once_end_with_one_library(tmp_path):
    both = [start(LOAD, tmp_path / "cache") for _ in range(2)]
    (one, _), (other, _) = (process.communicate() for process in both)
    assert [process.returncode for process in both] == [0, 0]
    assert one == other
    assert [path.suffix for path in (tmp_path / "cache").iterdir() if not path.name.startswith(".")] == [".so"]
    assert {path.name for path in (tmp_path / "cache").iterdir()} == {".lock", os.path.basename(one.strip())}  # noqa: PTH119


def test_without_a_compiler_torch_serves_with_one_warning(tmp_path):
    process = start(SERVE, tmp_path / "cache", PATH="", CXX="")
    out, errors = process.communicate()
    assert out.split() == ["torch", "1.0"]
    assert errors.splitlines() == [
        "the cpu engine needs a C++ compiler, and there is none; on Debian: apt-get install g++; "
        "plain torch serves, with the same results and many times slower"]


def test_a_compiler_that_fails_is_named(tmp_path, monkeypatch):
    broken = tmp_path / "broken++"
    broken.write_text("#!/bin/sh\necho 'engine.cpp:1: error: no luck' >&2\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setenv("CXX", str(broken))
    monkeypatch.setenv("ADAPTIVE_NERF_CACHE", str(tmp_path / "cache"))
    with pytest.raises(build.Unavailable, match=r"broken\+\+: engine.cpp:1: error: no luck"):
        build.library_path()
    assert [path.name for path in (tmp_path / "cache").iterdir()] == [".lock"]


def compiler_with(folder, flags):
    """A compiler that takes these for -march=native: as on another CPU."""
    path = folder / "other++"
    path.write_text(f'#!/bin/sh\nexec g++ $(echo "$*" | sed "s/-march=native/{flags}/")\n')
    path.chmod(0o755)
    return str(path)


@pytest.mark.skipif(platform.machine() != "x86_64" or not shutil.which("g++"), reason="needs g++ on x86-64")
def test_narrower_vectors_give_the_same_results(tmp_path):
    """As on CPUs with AVX2 alone."""
    narrow = compiler_with(tmp_path, "-march=x86-64-v3")
    out, errors = start(NARROW, tmp_path / "cache", CXX=narrow).communicate()
    assert out.strip() == "alike", errors


@pytest.mark.skipif(platform.machine() != "x86_64" or not shutil.which("g++"), reason="needs g++ on x86-64")
def test_halves_by_vectors_are_as_good_as_by_tiles(tmp_path):
    """As on CPUs without the matrix unit, which would otherwise serve here and hide them."""
    plain = compiler_with(tmp_path, "-march=native -mno-amx-tile")
    environment = {**os.environ, "ADAPTIVE_NERF_CACHE": str(tmp_path / "cache"), "CXX": plain}
    done = subprocess.run([sys.executable, "-m", "pytest", "-q", "tests/unit/engine/test_half.py", "-k", "near"],
                          env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert len(list((tmp_path / "cache").glob("engine-*.so"))) == 1


def test_the_library_depends_on_its_sources(monkeypatch, tmp_path):
    before = build._key()
    copy = tmp_path / "kernels"
    copy.mkdir()
    for path in build.SOURCES.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    monkeypatch.setattr(build, "SOURCES", copy)
    assert build._key() == before
    (copy / "grid.h").write_text((copy / "grid.h").read_text() + "\n")
    assert build._key() != before


@pytest.mark.parametrize(("choice", "device", "message"), [
    ("fast", "cpu", "choose one of auto, torch, cpu, triton, tcnn"), ("cpu", "cuda", "choose torch, or auto"),
    ("tcnn", "cpu", "needs CUDA tensors"), ("triton", "cpu", "needs CUDA tensors")])
def test_a_choice_that_cannot_serve_is_refused(monkeypatch, choice, device, message):
    monkeypatch.setenv("ADAPTIVE_NERF_ENGINE", choice)
    with pytest.raises(BadUsage, match=message):
        engines.engine(device)


def test_the_choice_is_taken_from_the_environment(monkeypatch, cpu):
    monkeypatch.setenv("ADAPTIVE_NERF_ENGINE", "torch")
    assert engines.engine().name == "torch"
    monkeypatch.setenv("ADAPTIVE_NERF_ENGINE", "auto")
    assert engines.engine() == cpu
    assert engines.engine(torch.device("cuda")).name in ("torch", "triton", "tcnn")


@pytest.fixture
def choosing_anew():
    engines._engine.cache_clear()
    engines.tiny_cuda_nn.cache_clear()
    yield
    engines._engine.cache_clear()
    engines.tiny_cuda_nn.cache_clear()


def test_a_tiny_cuda_nn_that_cannot_be_imported_is_told_once_and_torch_serves(monkeypatch, tmp_path, caplog,
                                                                              choosing_anew):
    (tmp_path / "tinycudann.py").write_text("raise OSError('libcudart.so.11 is missing')\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delenv("ADAPTIVE_NERF_ENGINE", raising=False)
    assert [engines.engine("cuda").name for _ in range(2)] == ["torch", "torch"]
    why = "tinycudann cannot be imported (libcudart.so.11 is missing)"
    left = "plain torch is all that is left on the GPU, many times slower"
    assert caplog.messages == [f"{why}; torch sees no GPU; {left}"]
    monkeypatch.setenv("ADAPTIVE_NERF_ENGINE", "tcnn")
    with pytest.raises(BadUsage, match=rf"cannot serve: {re.escape(why)}; choose auto"):
        engines.engine("cuda")


@pytest.mark.parametrize(("wants", "seen", "on_cuda", "choice", "taken"), [
    (True, True, "triton", "auto", "cuda"), (False, True, "triton", "auto", "cpu"),
    (True, False, "triton", "auto", "cpu"),
    (True, True, "torch", "auto", "cpu"), (True, True, "torch", "torch", "cuda")])
def test_a_gpu_is_taken_where_it_is_wanted_and_faster(monkeypatch, cpu, wants, seen, on_cuda, choice, taken):
    serves = {"cuda": engines.TORCH if on_cuda == "torch" else replace(engines.TORCH, name=on_cuda), "cpu": cpu}
    monkeypatch.setenv("ADAPTIVE_NERF_ENGINE", choice)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: seen)
    monkeypatch.setattr(engines, "_engine", lambda device, _: serves[device])
    assert engines.device_for(wants).type == taken


def test_threads_that_ask_at_once_get_one_warning(monkeypatch, caplog, choosing_anew):
    both_ask = threading.Barrier(2)

    def refuse():
        raise build.Unavailable("no luck")

    def ask():
        both_ask.wait()
        engines.engine()

    monkeypatch.setattr(engines, "library", refuse)
    monkeypatch.delenv("ADAPTIVE_NERF_ENGINE", raising=False)
    asking = [threading.Thread(target=ask) for _ in range(2)]
    for each in asking:
        each.start()
    for each in asking:
        each.join()
    assert caplog.messages == ["no luck; plain torch serves, with the same results and many times slower"]
