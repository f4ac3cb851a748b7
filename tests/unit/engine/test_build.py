"""Building the library: at once from two processes, without a compiler, with a broken one; which engine is chosen."""

import errno
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
from adaptive_nerf.engine.cpu import build, library

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
HAS_GXX = shutil.which("g++") is not None or "CI" in os.environ
needs_gxx = pytest.mark.skipif(platform.machine() != "x86_64" or not HAS_GXX, reason="needs g++ on x86-64")


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


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("ADAPTIVE_NERF_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def compiler_of(folder, script):
    path = folder / "own++"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


COPIES = 'while [ "$1" != -o ]; do shift; done; echo made > "$2"'


def test_a_compiler_that_never_ends_is_given_up(tmp_path, cache, monkeypatch):
    monkeypatch.setenv("CXX", compiler_of(tmp_path, "exec tail -f /dev/null"))
    monkeypatch.setattr(build, "LONGEST_BUILD_S", 0.1)
    with pytest.raises(build.Unavailable, match=r"own\+\+ was not done after 0.1 s; name another compiler: CXX"):
        build.library_path()


def test_a_compiler_may_be_a_command_of_several_words(tmp_path, cache, monkeypatch):
    monkeypatch.setenv("CXX", f"{compiler_of(tmp_path, '[ $1 = -own ] && ' + COPIES)} -own")
    assert build.library_path().read_text() == "made\n"


def test_where_the_file_system_knows_no_locks_the_library_is_built_all_the_same(tmp_path, cache, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOLCK, "No locks available")
    monkeypatch.setattr(build.fcntl, "lockf", refuse)
    monkeypatch.setenv("CXX", compiler_of(tmp_path, COPIES))
    assert build.library_path().exists()


def test_a_user_without_a_home_has_a_cache_of_their_own(monkeypatch):
    def refuse():
        raise RuntimeError("Could not determine home directory.")
    for name in ("ADAPTIVE_NERF_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(build.Path, "home", refuse)
    assert str(os.getuid()) in build.cache_folder().name


def test_a_library_that_was_built_beforehand_serves_where_nothing_can_be_written(tmp_path, cache, monkeypatch):
    monkeypatch.setenv("CXX", compiler_of(tmp_path, COPIES))
    made = build.library_path()
    monkeypatch.setattr(os, "access", lambda *_: False)
    monkeypatch.setenv("CXX", "")
    monkeypatch.setenv("PATH", "")
    assert build.library_path() == made


def test_a_named_cache_that_cannot_serve_is_told(tmp_path, monkeypatch, caplog):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("ADAPTIVE_NERF_CACHE", str(tmp_path / "file"))
    monkeypatch.setattr(build.tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.setenv("CXX", compiler_of(tmp_path, COPIES))
    assert build.library_path().parent.parent == tmp_path
    assert caplog.messages == [f"{tmp_path / 'file'} cannot be made (File exists); the engine is not kept there"]


def test_libraries_of_long_ago_and_what_killed_builds_left_are_cleared_away(tmp_path, cache, monkeypatch):
    cache.mkdir()
    for name in ("engine-old.so", ".engine-old.so.77", "engine-other.so"):
        (cache / name).write_text("")
    for name in ("engine-old.so", ".engine-old.so.77"):
        os.utime(cache / name, (0, 0))
    monkeypatch.setenv("CXX", compiler_of(tmp_path, COPIES))
    made = build.library_path()
    assert {path.name for path in cache.iterdir()} == {".lock", "engine-other.so", made.name}


@pytest.mark.skipif(build.compiler() is None and "CI" not in os.environ, reason="there is no C++ compiler")
def test_a_library_that_is_damaged_is_built_again(tmp_path, cache, monkeypatch):
    made = tmp_path / "cache" / f"engine-{build._key()}.so"
    made.parent.mkdir()
    made.write_bytes(b"")
    out, errors = start(LOAD, cache).communicate()
    assert out.strip() == str(made), errors


def test_a_library_that_cannot_be_loaded_names_the_remedy(tmp_path, cache, monkeypatch):
    monkeypatch.setenv("CXX", compiler_of(tmp_path, COPIES))
    with pytest.raises(build.Unavailable, match="name a folder from which programs may run: ADAPTIVE_NERF_CACHE"):
        library._opened()


def compiler_with(folder, flags):
    """A compiler that takes these for -march=native: as on another CPU."""
    path = folder / "other++"
    path.write_text(f'#!/bin/sh\nexec g++ $(echo "$*" | sed "s/-march=native/{flags}/")\n')
    path.chmod(0o755)
    return str(path)


@needs_gxx
def test_narrower_vectors_give_the_same_results(tmp_path):
    """As on CPUs with AVX2 alone."""
    narrow = compiler_with(tmp_path, "-march=x86-64-v3")
    out, errors = start(NARROW, tmp_path / "cache", CXX=narrow).communicate()
    assert out.strip() == "alike", errors


@needs_gxx
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
